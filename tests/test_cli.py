import io
import os
import re
import subprocess
import sys

import pytest
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lit_a1 import cli
from lit_a1.data.errors import DataError
from lit_a1.models.rules import RuleError
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.settings import UsageError
from lit_a1.startup import VersionError
from tests.conftest import REPOSITORY, Capture


def python(code: str, **options: object) -> str:
    """What a program prints that a Python of its own runs here."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True,
        **options,  # type: ignore[call-overload]
    )  # fmt: skip
    return done.stdout


def main_of(*arguments: str) -> str:
    """A program that runs a command as the only thing that its process does."""
    run = f"import sys; from lit_a1.cli import main\nsys.argv[1:] = {list(arguments)}\n"
    return run + "try: main()\nexcept SystemExit: pass\n"


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main([*command.split(), "--help"])
    assert leaving.value.code == 0
    said = capsys.readouterr().out
    assert "usage:" in said
    for name, (_, line) in cli.COMMANDS.items() if not command else ():
        assert re.search(rf"^  {name} +{re.escape(line)}$", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        ("--help", ("torch", "lightning", "numpy", "matplotlib")),
        ("fit --help", ("matplotlib", "scipy", "torchvision", "tensorboard", "torch._dynamo.utils")),
        *(
            (words, ("torch", "lightning"))
            for words in ("mlp fit --help", "compare --help", "architecture -h", "benchmark --help", "audit --help")
        ),
    ],
)
def test_help_waits_for_no_import_that_it_does_not_need(arguments: str, heavy: tuple[str, ...]) -> None:
    listed = f"print([name for name in {heavy} if name in sys.modules])"
    assert python(main_of(*arguments.split()) + listed).splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [[], ["tain"]])
def test_no_command_or_a_wrong_one(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(arguments)
    assert leaving.value.code == 2
    said = "".join(capsys.readouterr())
    assert all(name in said for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), 130),
        (UsageError("a sentence,\n  in two lines"), 2),
        *((kind("a sentence,\n  in two lines"), 1) for kind in (CheckpointError, DataError, RuleError, VersionError)),
        (MisconfigurationException("a sentence,\n  in two lines"), 1),
        (FileNotFoundError("a sentence, in two lines"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_known_error_ends_in_a_sentence(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def failing(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(cli, "run", failing)
    with pytest.raises(SystemExit) as leaving:
        cli.main(["audit"])
    assert leaving.value.code == status
    assert capsys.readouterr().err == ("" if status == 130 else "error: a sentence, in two lines\n")


def test_a_mistake_of_our_own_has_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "run", lambda *_, **__: [][0])
    with pytest.raises(IndexError):
        cli.main(["audit"])


def test_a_backend_of_matplotlib_that_is_not_installed_does_no_harm() -> None:
    """A notebook's kernel names its own to every child, which may run in another environment."""
    alone = os.environ | {"MPLBACKEND": "module://ipympl.backend_nbagg"}  # which matplotlib refuses at import
    python(main_of("mlp", "--help") + "import lit_a1.runs.plotting", env=alone)


def test_torchvision_can_be_imported_beside_any_torch() -> None:
    python("import lit_a1, torchvision; from torchvision.utils import make_grid")


def test_a_console_without_a_character_shows_another(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(file, encoding="cp1252", newline="\n"))
    monkeypatch.setattr(cli, "usage", lambda *_: "é → \udce9")
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    sys.stdout.flush()
    assert file.getvalue() == b"\xe9 ? ?\n"


def test_output_that_is_closed_and_a_terminal_without_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "0")  # with which Rich would print nothing
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit) as leaving:
        cli.main(["nonsense"])
    assert leaving.value.code == 2
    assert "COLUMNS" not in os.environ
    sys.stdout.close()
