"""`python main.py analyze`: looks inside a trained CNN, and at what it gets wrong."""

from collections.abc import Sequence
from pathlib import Path

from lit_a1.analysis import PARTS
from lit_a1.environment import PROGRAM, quieten, show_messages
from lit_a1.runs.folders import PRETRAINED, resolve
from lit_a1.runs.records import CheckpointError, version_of
from lit_a1.runs.settings import PlainParser, build


def build_parser() -> PlainParser:
    """The command's own options; all others are those of `validate`."""
    parser = PlainParser(
        f"{PROGRAM} analyze",
        usage=f"{PROGRAM} analyze --config configs/catsdogs.yaml [--ckpt_path best] [options]",
        description="Look inside a trained CNN and at its predictions on the validation images. Figures, tables and "
        "text go to the folder of its run, and to TensorBoard.",
        epilog="It takes the options of validate too: --ckpt_path FILE, best, last or pretrained (default: the newest "
        "run's best); --data.source drawn.",
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    words = "folder of the results (default: analysis in the folder of the run, or analysis-FILE beside the runs)"
    parser.add_argument("--out", type=Path, help=words)
    return parser


def main(arguments: Sequence[str]) -> None:
    """Analyses a checkpoint on its validation images."""
    options, others = build_parser().parse_own(arguments, "; analyze looks inside CNNs")
    from lit_a1.analysis import analyze  # after `--help`, which needs no torch
    from lit_a1.analysis.network import load_network
    from lit_a1.data.module import ImageDataModule
    from lit_a1.flags import experiment_of
    from lit_a1.training import parse

    show_messages()
    quieten()
    settings = parse(["validate", *others])
    if str(settings.model.class_path).endswith(".Ensemble"):
        raise CheckpointError("An ensemble has no layers of its own: analyze one of its members.")
    data = build(ImageDataModule, settings.data)
    data.locate("validate")
    logs, name = experiment_of(settings, data.drawn)
    path = resolve(settings.get("ckpt_path"), logs / name)
    print(f"Checkpoint: {path}")
    in_run = path.parent.parent / "analysis" if version_of(path) is not None else None
    beside_runs = logs / name / f"analysis-{'pretrained' if path.parent == PRETRAINED else path.stem}"
    analyze.run(load_network(name, path, data), options.out or in_run or beside_runs, options.parts)
