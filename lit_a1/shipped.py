"""What comes with the project beside its code: YAMLs, recorded runs and studies."""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
REPOSITORY = _PACKAGE if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent
"""The clone; where the package is installed, the package itself: it then has `configs` and `docs` in it."""
PROGRAM = "lit-a1" if Path(sys.argv[0]).stem == "lit-a1" or REPOSITORY == _PACKAGE else "python main.py"
"""What a user types before a command, as this one was called."""
NAMES_A_YAML = ("-c", "--config", "--space")


def with_shipped_yamls(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the path of a YAML of the project where its name is given and no such file is there.

    `--config catsdogs.yaml` and `--config configs/catsdogs.yaml` thus mean the same in any folder.
    """
    found = list(arguments)
    for place, (before, argument) in enumerate(itertools.pairwise(["", *arguments])):
        flag, equals, name = ("", "", argument) if before in NAMES_A_YAML else argument.partition("=")
        if not (before in NAMES_A_YAML or flag in NAMES_A_YAML) or Path(name).exists():
            continue
        path = REPOSITORY / "configs" / name.removeprefix("configs/")
        if path.is_file():
            here = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            found[place] = f"{flag}{equals}{here}"
    return found
