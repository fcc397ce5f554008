"""Every YAML in configs/ runs, with the command that its header tells."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_a1.cli import main
from lit_a1.data import catsdogs, mnist

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
QUICK = {
    "fit": ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu", "--model.compile_net", "false"],
    "mlp": ["--trainer.max_epochs", "1"],
    "validate": ["--model.members", "[lightning_logs/catsdogs-drawn]", "--trainer.accelerator", "cpu"],
}
MEMBER = [
    "fit", "--config", str(REPOSITORY / "configs" / "catsdogs.yaml"), "--trainer.accelerator", "cpu",
    "--trainer.max_epochs", "1", "--model.widths", "[4,8]", "--model.blocks", "[1]", "--model.compile_net", "false",
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "config", "words"),
    [
        (["mlp", "fit"], "catsdogs.yaml", "catsdogs.yaml is for `python main.py fit`, not for the numpy network"),
        (["fit"], "mlp.yaml", "mlp.yaml is for `python main.py mlp`, not for fit"),
    ],
)
@pytest.mark.parametrize("flag", ["-c {}", "--config {}", "--config={}"])
def test_a_yaml_of_another_command_is_refused(
    command: list[str], config: str, words: str, flag: str, refusal: Callable[..., str]
) -> None:
    assert words in refusal(*command, *flag.format(REPOSITORY / "configs" / config).split())


@pytest.mark.filterwarnings("ignore:.*Running in `fast_dev_run` mode.*")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_yaml_runs(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DRAWN_TRAIN", "DRAWN_VALID", "DRAWN_TEST"):
        monkeypatch.setattr(mnist, name, 100)
        monkeypatch.setattr(catsdogs, name, 100)
    (line,) = re.findall(
        rf"^#   python main\.py (.* --config configs/{config.name})$", config.read_text(), re.MULTILINE
    )
    command, *options = shlex.split(line)
    options = [str(config) if option.startswith("configs/") else option for option in options]
    drawn = ["--data.source", "drawn"]
    if command == "validate":  # what an ensemble is made of
        main([*MEMBER, *drawn])
    main([command, *options, *drawn, *QUICK[command]])
