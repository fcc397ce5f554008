import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lit_a1 import cli

REPOSITORY = Path(__file__).resolve().parents[1]


def test_help_lists_every_command_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(["--help"])
    assert leaving.value.code == 0
    said = capsys.readouterr().out
    for name, words in cli.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(words)}$", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], ("torch", "lightning", "numpy", "matplotlib")),
        (["fit", "--help"], ("matplotlib", "scipy", "torchvision", "tensorboard", "torch._dynamo.utils")),
        *(
            (words.split(), ("torch", "lightning"))
            for words in ("mlp fit --help", "compare --help", "architecture -h", "benchmark --help", "audit --help")
        ),
    ],
)
def test_help_waits_for_no_import_that_it_does_not_need(arguments: list[str], heavy: tuple[str, ...]) -> None:
    code = (
        "import sys; from lit_a1.cli import main\n"
        f"sys.argv[1:] = {arguments}\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [[], ["tain"]])
def test_no_command_or_a_wrong_one(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(arguments)
    assert leaving.value.code == 2
    said = "".join(capsys.readouterr())
    assert all(name in said for name in cli.COMMANDS)


def test_ctrl_c_leaves_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_command", lambda *_, **__: interrupted)
    with pytest.raises(SystemExit) as leaving:
        cli.main(["audit"])
    assert leaving.value.code == 130


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main([command, "--help"])
    assert leaving.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_a_backend_of_matplotlib_that_is_not_installed_does_no_harm() -> None:
    """A notebook's kernel names its own to every child, which may run in another environment."""
    code = (
        "import sys; from lit_a1.cli import main\n"
        "sys.argv[1:] = ['mlp', '--help']\n"
        "try: main()\n"
        "except SystemExit: import lit_a1.runs.plotting"
    )
    alone = os.environ | {"MPLBACKEND": "module://ipympl.backend_nbagg"}  # which matplotlib refuses at import
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=alone, check=True)


def test_torchvision_can_be_imported_beside_any_torch() -> None:
    code = "import lit_a1, torchvision, lightning; from torchvision.utils import make_grid"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=REPOSITORY, check=True)


def test_a_console_without_a_character_shows_another(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(file, encoding="cp1252", newline="\n"))
    monkeypatch.setattr(cli, "usage", lambda: "é → \udce9")
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    sys.stdout.flush()
    assert file.getvalue() == b"\xe9 ? ?\n"
