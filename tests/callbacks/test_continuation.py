"""Where a run was cut, as the checkpoint that an exception left has it."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback, OnExceptionCheckpoint

from lit_a1.callbacks.continuation import Continuation
from lit_a1.callbacks.record import RunRecord
from lit_a1.models import CatsDogsCNN
from lit_a1.runs.checkpoints import check_resumable, read
from lit_a1.runs.records import CheckpointError
from tests.models.conftest import SMALL, WITHOUT_COMMAND, RandomImages, check_equal, fit

pytestmark = WITHOUT_COMMAND
BATCHES, EPOCHS = 3, 2
MODEL = {**SMALL, "widths": (4, 8), "dropout": 0.3, "average_decay": 0.5, "precise_bn": 8}
HOOKS = ("on_train_batch_start", "on_train_batch_end", "on_validation_start", "on_validation_end", "on_train_epoch_end")


class CutError(Exception):
    """What cuts a training."""


def cutting(hook: str, count: int) -> Callback:
    """Cuts at a call of a hook."""
    callback, calls = Callback(), itertools.count(1)

    def cut(*_: Any) -> None:
        if next(calls) == count:
            raise CutError

    setattr(callback, hook, cut)
    return callback


def train(folder: Path, cut: Callback | None, resume: Path | None = None, **options: Any) -> dict[str, Any]:
    """Two epochs; returns what they end with: weights, optimiser, the record's rows."""
    torch.manual_seed(3)
    model, record = CatsDogsCNN(**MODEL), RunRecord()
    callbacks = [Continuation(), record, *([cut, OnExceptionCheckpoint(folder)] if cut else [])]
    options |= {"enable_checkpointing": cut is not None, "max_epochs": EPOCHS, "callbacks": callbacks}
    runner = fit(model, RandomImages(), resume, **options)
    state = runner.optimizers[0].state_dict()["state"]
    found = model.state_dict() | {
        f"{n} {key}": torch.as_tensor(x) for n, each in state.items() for key, x in each.items()
    }
    return found | {f"{row['epoch']} {key}": torch.tensor(x) for row in record.record.epochs for key, x in row.items()}


@pytest.mark.long
@pytest.mark.parametrize("options", [{}, {"check_val_every_n_epoch": EPOCHS}])
def test_wherever_it_was_cut_it_ends_the_same(options: dict[str, Any], tmp_path: Path) -> None:
    uninterrupted = train(tmp_path, None, **options)
    assert sum(name.endswith("train/loss") for name in uninterrupted) == EPOCHS
    validated = EPOCHS // options.get("check_val_every_n_epoch", 1)
    for hook, times in zip(HOOKS, (EPOCHS * BATCHES, EPOCHS * BATCHES, validated, validated, EPOCHS), strict=True):
        for count in range(1, times + 1):
            folder = tmp_path / f"{hook}-{count}"
            with pytest.raises(CutError):
                train(folder, cutting(hook, count), **options)
            check_equal(train(folder, None, folder / "on_exception.ckpt", **options), uninterrupted)


def test_a_step_that_was_cut_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(CutError):
        train(tmp_path, cutting("on_before_optimizer_step", 5))
    path = tmp_path / "on_exception.ckpt"
    with pytest.raises(CheckpointError, match="was written in the middle of a step: go on with the last"):
        check_resumable(read(path), {}, EPOCHS, path)
