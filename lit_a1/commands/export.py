"""`python main.py export`: trained weights as ONNX and safetensors, with a model card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_a1.environment import PROGRAM, quieten, show_messages
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.settings import PlainParser
from lit_a1.runs.wording import number


def main(arguments: Sequence[str]) -> None:
    """Exports a checkpoint, published weights or an ensemble."""
    parser = PlainParser(
        f"{PROGRAM} export",
        usage=f"{PROGRAM} export --config configs/catsdogs.yaml [--ckpt_path best] [--out DIR] [options]",
        description="Write a trained CNN or an ensemble as model.onnx (from bytes to probabilities) and "
        "model.safetensors (the weights), with the model card README.md. `mlp export` exports the numpy network.",
        epilog="It takes the options of validate too: --ckpt_path FILE, best, last or pretrained (default: the newest "
        "run's best); --model.views one. It needs no images.",
    )
    parser.add_argument("--out", type=Path, help="folder of the files (default: export/NAME, as the experiment)")
    options, others = parser.parse_own(arguments, f": `{PROGRAM} mlp export` is for it")
    from lit_a1.export.networks import load_cnns  # after `--help`, which needs no torch
    from lit_a1.training import parse

    show_messages()
    quieten()
    write_files(options.out, *load_cnns(parse(["validate", *others])))


def write_files(out: Path | None, name: str, *network: Any) -> None:
    """Writes a network with its description, and prints how much the ONNX file differs from it; raises as `write`."""
    from lit_a1.export.folder import write

    folder = out or Path("export", name)
    difference = write(folder, name, *network)
    print(f"{relative_to_cwd(folder)}: model.onnx, model.safetensors and README.md.")
    print(f"On random images, the ONNX file's probabilities differ by at most {number(difference)}.")
