"""Every YAML in configs/ runs, with the command that its header tells."""

import re
import shlex
from pathlib import Path

import pytest

from lit_a1.cli import main
from tests.conftest import CNN, CONFIGS, Refusal

YAMLS = sorted(path for path in CONFIGS.glob("*.yaml") if path.stem != "report")
QUICK = {
    "fit": [
        "--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu", "--model.compile_net", "false",
        "--data.batch_size", "8", "--data.eval_batch_size", "8",
    ],
    "mlp": ["--trainer.max_epochs", "1"],
    "validate": ["--model.members", "[lightning_logs/catsdogs-drawn]", "--trainer.accelerator", "cpu"],
}  # fmt: skip
SMALL = ["--model.widths", "[4,8]", "--model.blocks", "[1]", "--model.stem_stride", "2"]
MEMBER = ["fit", "--config", str(CONFIGS / "catsdogs.yaml"), *CNN, *SMALL, "--trainer.max_epochs", "1"]


@pytest.mark.parametrize("flag", ["-c {}", "--config {}", "--config={}"])
def test_a_yaml_of_another_command_is_refused(flag: str, refusal: Refusal) -> None:
    for command, config, words in (
        ("mlp fit", "catsdogs.yaml", "catsdogs.yaml is for `python main.py fit`, not for the numpy network"),
        ("fit", "mlp.yaml", "mlp.yaml is for `python main.py mlp`, not for fit"),
    ):
        assert words in refusal(*command.split(), *flag.format(CONFIGS / config).split())


def test_a_training_that_another_one_needs_is_asked_for_before_a_run_is_begun(refusal: Refusal) -> None:
    start = ["--model", "lit_a1.models.fine_tuned.FineTunedCNN", "--model.start", "lightning_logs/catsdogs"]
    words = refusal("fit", "--config", str(CONFIGS / "catsdogs.yaml"), *start, "--data.source", "drawn")
    assert "There is no finished training in lightning_logs/catsdogs-drawn, which this one needs" in words
    assert not Path("lightning_logs").exists()


@pytest.mark.filterwarnings("ignore:.*Running in `fast_dev_run` mode.*")
@pytest.mark.usefixtures("few_drawn")
@pytest.mark.parametrize("config", YAMLS, ids=lambda path: path.name)
def test_every_shipped_yaml_runs(config: Path) -> None:
    (line,) = re.findall(
        rf"^#   python main\.py (.* --config configs/{config.name})$", config.read_text(), re.MULTILINE
    )
    command, *options = shlex.split(line)
    options = [str(config) if option.startswith("configs/") else option for option in options]
    drawn = ["--data.source", "drawn"]
    if command == "validate":  # what an ensemble is made of
        main([*MEMBER, *drawn])
    main([command, *options, *drawn, *QUICK[command]])
