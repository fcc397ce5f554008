"""What a recipe asks for and a machine cannot do, or does slowly."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from lit_a1 import environment
from lit_a1.cli import main
from tests.conftest import Capture
from tests.test_training import SMALL

TINY = [
    *SMALL, "--data.size_schedule", "{0: 16}", "--trainer.precision", "bf16-mixed", "--trainer.max_epochs", "1",
    "--trainer.limit_train_batches", "3",
]  # fmt: skip
pytestmark = pytest.mark.usefixtures("photos")


def record() -> dict[str, Any]:
    """Of the newest run."""
    return json.loads((max(Path("lightning_logs/catsdogs").iterdir()) / "record.json").read_text())


@pytest.mark.parametrize(
    ("requested", "has_bfloat16", "used", "words"),
    [
        ("bf16-mixed", True, "bf16-mixed", ""),
        ("bf16-mixed", False, "32-true", "no fast bfloat16 arithmetic: trainer.precision is 32-true instead of bf16-"),
        ("16-mixed", True, "bf16-mixed", "no fast float16 arithmetic: trainer.precision is bf16-mixed instead of 16-"),
    ],
)
def test_half_precision_needs_a_processor_that_computes_it(
    requested: str, has_bfloat16: bool, used: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(environment, "computes_bfloat16", lambda on_cpu: has_bfloat16)
    main(["fit", *TINY, "--trainer.precision", requested])
    assert record()["settings"]["trainer.precision"] == used
    output = capsys.readouterr().err
    assert words in output
    assert ("arithmetic" in output) == bool(words)
    main(["validate", *TINY, "--trainer.precision", requested])  # in float32 whatever is asked for
    output = capsys.readouterr().err
    assert "trainer.precision" not in output
    assert "AMP" not in output  # as Lightning would warn


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    main(["fit", *TINY, "--model.compile_net", "true"])
    assert record()["settings"]["model.compile_net"] is False
    output = capsys.readouterr().err
    assert "model.compile_net is false instead of true, which is slower: there is no C++ compiler" in output
    main(["validate", *TINY, "--model.compile_net", "true"])  # only training is compiled
    assert "compiler" not in capsys.readouterr().err


@pytest.mark.skipif(bool(environment.why_not_compiled(on_cpu=True)), reason="this machine lacks what compiling needs")
def test_a_compiled_network_in_half_precision_is_trained_and_measured() -> None:
    counted = torch._dynamo.utils.counters["stats"]
    torch.compiler.reset(), counted.clear()
    main(["fit", *TINY, "--model.compile_net", "true", "--data.size_schedule", "{0: 12, 1: 16}"])
    assert record()["settings"]["model.compile_net"] is True
    assert counted["unique_graphs"] >= 1
    main(["validate", *TINY, "--model.compile_net", "true"])


@pytest.mark.parametrize(
    ("epochs", "steps", "every", "measured"),
    [
        (4, -1, 3, [1, 3]),
        (3, -1, 5, [2]),
        (-1, 6, 5, [0, 1]),  # without a number of epochs each may be the last
        (4, 9, 2, [0, 1, 2]),  # likewise
        (4, 8, 2, [0, 1]),  # of the third, which is cut off, nothing is known
    ],
)
def test_the_last_epoch_is_always_measured(epochs: int, steps: int, every: int, measured: list[int]) -> None:
    length = ["--trainer.max_epochs", str(epochs), "--trainer.max_steps", str(steps)]
    length += ["--trainer.check_val_every_n_epoch", str(every)]
    main(["fit", *TINY, *length])
    epochs_of = {tag: [row["epoch"] for row in record()["epochs"] if tag in row] for tag in ("val/error", "train/loss")}
    assert epochs_of == {"val/error": measured, "train/loss": list(range(measured[-1] + 1))}
    assert ("val/error" in record()["last"]) == (steps != 8)


def test_two_runs_that_start_at_once_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning takes the next number that it sees; here, as when both look at once, it sees none twice."""
    monkeypatch.setattr(TensorBoardLogger, "_get_next_version", lambda self: 0)
    for _ in range(2):
        main(["fit", *TINY])
    runs = sorted(path.name for path in Path("lightning_logs/catsdogs").iterdir())
    assert runs == ["version_0", "version_1"]
    for run in runs:
        written = {path.name.partition(".")[0] for path in Path("lightning_logs/catsdogs", run).iterdir()}
        assert written >= {"checkpoints", "config", "events", "hparams", "record"}, run


def test_statistics_that_were_not_taken_again_are_told_of(capsys: Capture) -> None:
    """As in `last.ckpt` of a run that was stopped after an epoch that is not validated."""
    main(["fit", *TINY])
    path = Path("lightning_logs/catsdogs/version_0/checkpoints/last.ckpt")
    main(["validate", *TINY, "--ckpt_path", str(path)])
    assert "batch-norm" not in capsys.readouterr().err
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["precise_bn"] is True
    torch.save(checkpoint | {"precise_bn": False}, path)
    main(["validate", *TINY, "--ckpt_path", str(path)])
    assert "last.ckpt is from an epoch that was not validated: its batch-norm statistics" in capsys.readouterr().err
