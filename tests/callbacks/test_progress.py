"""Progress on the terminal."""

import math
import time
from types import SimpleNamespace
from typing import Any

import pytest

from lit_a1.callbacks.progress import ProgressLines
from lit_a1.data.module import ImageDataModule
from lit_a1.models import CatsDogsCNN
from tests.models.conftest import SMALL


def time_left(monkeypatch: pytest.MonkeyPatch, step: int, sizes: dict[int, int], sam_step: float = math.inf) -> str:
    """The time left after `step` of 40 steps, ten an epoch, which took a minute."""
    model = CatsDogsCNN(**SMALL)
    model.sam_step = sam_step
    trainer: Any = SimpleNamespace(
        global_step=0, estimated_stepping_batches=40, num_training_batches=10, lightning_module=model,
        datamodule=ImageDataModule(size_schedule=sizes),
    )  # fmt: skip
    lines = ProgressLines()
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    lines.on_train_start(trainer, trainer.lightning_module)
    monkeypatch.setattr(time, "perf_counter", lambda: 60.0)
    trainer.global_step = step
    return lines._time_left(trainer)


def test_the_time_left_counts_pixels_and_sharpness_aware_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert time_left(monkeypatch, 0, {}) == "?"
    assert time_left(monkeypatch, 20, {}) == "1:00"
    assert time_left(monkeypatch, 20, {0: 32, 1: 32, 2: 64, 3: 64}) == "4:00"
    assert time_left(monkeypatch, 20, {}, sam_step=20.0) == "2:00"  # each of the other half takes two passes
    assert time_left(monkeypatch, 30, {}, sam_step=20.0) == "0:30"
    assert time_left(monkeypatch, 20, {0: 32, 1: 32, 2: 64, 3: 64}, sam_step=20.0) == "8:00"
