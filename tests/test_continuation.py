"""A training that is cut anywhere ends as one that was not."""

import itertools
import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_a1.callbacks.progress import ProgressLines
from lit_a1.cli import main
from lit_a1.models import Classifier
from lit_a1.runs.folders import run_folders
from tests.conftest import Background, Refusal, scalars
from tests.signals import signal_at
from tests.test_training import SMALL, STEP

TINY = [
    *SMALL, "--trainer.max_epochs", "3", "--data.size_schedule", "{0: 8}", "--model.dropout", "0.3",
    "--data.batch_size", "16", "--data.augment.cutout", "0.3", "--data.measure_train", "8",
]  # fmt: skip
STEPS = 64 // 16
NAME = "--trainer.logger.init_args.name"
Later = Callable[[], None]


def fit(*flags: str, name: str = "cut") -> Path:
    main(["fit", *TINY, NAME, name, *flags])
    return run_folders(Path("lightning_logs", name))[-1]


def state(run: Path, name: str) -> dict[str, Any]:
    """Weights and optimiser of a checkpoint."""
    found = torch.load(run / "checkpoints" / name, weights_only=True)
    tensors = dict(found["state_dict"])
    for number, each in found["optimizer_states"][0]["state"].items():
        tensors |= {f"{number} {key}": torch.as_tensor(value) for key, value in each.items()}
    return tensors | {"step": torch.tensor(found["global_step"])}


def check_same_end(run: Path, whole: Path, names: Sequence[str] = ("last.ckpt",)) -> None:
    """The weights, the optimiser and the record."""
    for name in names:
        ours, theirs = state(run, name), state(whole, name)
        assert ours.keys() == theirs.keys()
        for key, tensor in theirs.items():
            assert torch.equal(ours[key], tensor), (name, key)
    records = [json.loads((each / "record.json").read_text())["epochs"] for each in (run, whole)]
    for row in itertools.chain(*records):
        row.pop("train/images_per_second", None)
    assert records[0] == records[1]


def check_same(run: Path, whole: Path) -> None:
    """The same, `best.ckpt` and the curves."""
    check_same_end(run, whole, ("last.ckpt", "best.ckpt"))
    ours, theirs = scalars(run), scalars(whole)
    for tag in ("train/loss", "val/loss", "train/gradient_norm", "train/learning_rate"):
        assert dict(ours[tag]) == dict(theirs[tag]), tag


@pytest.fixture
def whole(photos: Path) -> Path:
    """A run that was not cut."""
    return fit(name="whole")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Has TensorBoard take the next process's events for later ones: it orders their files by the second."""
    clock, seconds = time.time, itertools.count(2, 2)

    def wait() -> None:
        ahead = next(seconds)
        monkeypatch.setattr("tensorboard.summary.writer.event_file_writer.time.time", lambda: clock() + ahead)

    return wait


def cut_at(monkeypatch: pytest.MonkeyPatch, owner: type, hook: str, count: int) -> None:
    """Ends a training at the call of a hook, as the keyboard does."""
    method, calls = getattr(owner, hook), itertools.count(1)

    def cutting(*arguments: Any, **options: Any) -> Any:
        if next(calls) == count:
            raise KeyboardInterrupt
        return method(*arguments, **options)

    monkeypatch.setattr(owner, hook, cutting)


@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*:UserWarning")
def test_a_run_that_was_killed_and_resumed_ends_the_same(whole: Path, later: Later, in_background: Background) -> None:
    killed = in_background("fit", *TINY, NAME, "cut", killed_at=(*STEP, STEPS + 3))
    output = killed.communicate()[0]
    assert killed.returncode == -signal.SIGKILL, output
    later()
    check_same(fit("--ckpt_path", "last"), whole)
    assert [path.name for path in Path("lightning_logs/cut").iterdir()] == ["version_0"]


@pytest.mark.filterwarnings("ignore:.*callbacks used to create.*:UserWarning")
def test_cut_by_steps_by_time_and_by_steps_again(whole: Path, later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the first epoch, in the second, which is then measured, and at the end of one; with a worker and without.

    The learning rate is that of the whole run all along.
    """
    fit("--trainer.max_steps", "2")
    later()
    with monkeypatch.context() as patch:
        check = "lightning.pytorch.callbacks.timer.Timer._check_time_remaining"
        patch.setattr(check, lambda self, trainer: setattr(trainer, "should_stop", trainer.global_step == 6))
        fit("--trainer.max_time", "01:00:00:00", "--ckpt_path", "last", "--data.workers", "1")
    later()
    fit("--trainer.max_steps", "8", "--ckpt_path", "last")
    later()
    check_same(fit("--ckpt_path", "last"), whole)


@pytest.mark.filterwarnings("ignore:.*no pre-optimization state.*")
def test_from_checkpoints_of_lightnings_own_callbacks(
    whole: Path, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on in its own folder, wherever they lie; a new run takes none of them up."""
    steps = {"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": 2, "dirpath": "x", "filename": "y"}}
    left = [steps, {"class_path": "OnExceptionCheckpoint", "init_args": {"dirpath": "."}}]
    with monkeypatch.context() as patch:
        cut_at(patch, ProgressLines, "on_train_batch_end", STEPS)
        with pytest.raises(SystemExit):
            fit("--trainer.callbacks", json.dumps(left))
    later()
    with monkeypatch.context() as patch:
        cut_at(patch, Classifier, "training_step", 4)
        with pytest.raises(SystemExit):
            fit("--trainer.callbacks", json.dumps(left[:1]), "--ckpt_path", "on_exception.ckpt")
    later()
    run = fit("--ckpt_path", "x/y.ckpt")
    assert run.name == "version_0"
    check_same(run, whole)


@pytest.mark.filterwarnings("ignore:.*srun.*:UserWarning")
def test_slurm_requeues(whole: Path, later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command goes on where its signal came; another recipe's does not take up what it left."""
    for name, value in {"JOB_ID": "7", "NTASKS": "1", "JOB_NAME": "x", "PROCID": "0", "LOCALID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setattr("lightning.pytorch.trainer.connectors.signal_connector.call", lambda command: 0)
    with monkeypatch.context() as patch:
        signal_at("lit_a1.models:Classifier", "on_before_optimizer_step", 6, signal.SIGUSR1, patch.setattr)
        cut_at(patch, Classifier, "training_step", 8)
        with pytest.raises(SystemExit):
            fit()
    later()
    assert fit("--model.lr", "0.1", name="other").is_dir()
    check_same(fit(), whole)
    assert not list(Path().rglob("hpc_ckpt*"))


def test_what_can_not_be_the_same_is_refused(photos: Path, refusal: Refusal) -> None:
    run = fit("--trainer.max_steps", "5")
    before = (run / "config.yaml").read_text()
    for flags, words in {
        "max_epochs 5": "spans trainer.max_epochs=3, not 5. Resume it with --trainer.max_epochs 3",
        "limit_train_batches 3": "go on without --trainer.limit_train_batches",
        "max_steps 3": "has 5 steps behind it: trainer.max_steps must be above that",
    }.items():
        name, value = flags.split()
        assert words in refusal("fit", *TINY, "--ckpt_path", f"{run}/checkpoints/last.ckpt", f"--trainer.{name}", value)
    shares = fit("--trainer.max_steps", "5", "--model.sync_norm", "false", name="shares")
    last = ["--model.sync_norm", "false", "--ckpt_path", f"{shares}/checkpoints/last.ckpt", "--trainer.devices", "2"]
    assert "was started on 1 device, not on 2, and with sync_norm false" in refusal("fit", *TINY, NAME, "shares", *last)
    assert (run / "config.yaml").read_text() == before


def test_cut_after_the_last_epoch(whole: Path) -> None:
    """Before the record was written, which is made up for."""
    record = json.loads((whole / "record.json").read_text())
    (whole / "record.json").unlink()
    assert fit("--ckpt_path", "last", name="whole") == whole
    again = json.loads((whole / "record.json").read_text())
    for name in ("epochs", "best", "images", "parameters", "settings"):
        assert again[name] == record[name]
