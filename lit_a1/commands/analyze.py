"""`python main.py analyze`: looks inside a trained CNN, and at what it gets wrong."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lit_a1.analysis import PARTS
from lit_a1.environment import PROGRAM, show_messages
from lit_a1.runs.folders import PRETRAINED, CheckpointError, resolve, version_of
from lit_a1.runs.settings import build, concise, kind_of_config


def parser_of() -> argparse.ArgumentParser:
    """The command's own options; all others are those of `validate`."""
    parser = argparse.ArgumentParser(
        f"{PROGRAM} analyze",
        usage=f"{PROGRAM} analyze --config configs/catsdogs.yaml [--ckpt_path best] [options]",
        description="Look inside a trained CNN, and at its answers on the pictures that training held out: figures, "
        "tables and words in the folder of its run, and in TensorBoard.",
        epilog="It takes the options of validate too: --ckpt_path FILE, best, last or pretrained (default: the newest "
        "run's best); --data.source drawn.",
        allow_abbrev=False,
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, help="folder of the results (default: analysis in the folder of the run)")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Analyses a checkpoint.

    Raises:
        SystemExit: with a sentence, where something was wrong with the input.
        DataError: there are no pictures, or other ones than the checkpoint was validated on.
    """
    options, others = parser_of().parse_known_args(list(arguments))
    if not others:
        print("error: name a network, with --config configs/catsdogs.yaml for example", file=sys.stderr)
        raise SystemExit(2)
    if (kind := kind_of_config(others)) is not None and kind[1] != "fit":
        print(f"error: {kind[0]} is of the numpy network; analyze looks inside CNNs", file=sys.stderr)
        raise SystemExit(2)
    from lit_a1.analysis import analyze  # after `--help`, which needs no torch
    from lit_a1.analysis.subject import load_subject
    from lit_a1.data.module import PictureDataModule
    from lit_a1.training import experiment_of, parse, quieten

    show_messages()
    quieten()
    settings = parse(["validate", *others])
    try:
        if str(settings.model.class_path).endswith(".Ensemble"):
            raise CheckpointError("An ensemble has no layers of its own: analyze one of its members.")
        data = build(PictureDataModule, settings.data)
        data.locate("validate")
        logs, name = experiment_of(settings, data.drawn)
        path = resolve(settings.get("ckpt_path"), logs / name)
        print(f"Checkpoint: {path}")
        analyze.run(load_subject(name, path, data), options.out or _folder(path, logs / name), options.parts)
    except (CheckpointError, OSError, ValueError, TypeError) as error:  # the last two: what a class refuses
        print(f"error: {concise(str(error))}", file=sys.stderr)
        raise SystemExit(1) from error


def _folder(path: Path, runs: Path) -> Path:
    """Beside the run that a checkpoint belongs to; else beside the runs of its experiment."""
    if version_of(path) is not None:
        return path.parent.parent / "analysis"
    return runs / f"analysis-{'pretrained' if path.parent == PRETRAINED else path.stem}"
