"""Progress on the terminal."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from lightning import LightningModule

from lit_a1.callbacks.progress import ProgressLines
from lit_a1.data.module import ImageDataModule


def time_left(monkeypatch: pytest.MonkeyPatch, step: int, sizes: dict[int, int]) -> str:
    """The time left after `step` of 40 steps, ten an epoch, which took a minute."""
    trainer: Any = SimpleNamespace(
        global_step=0, estimated_stepping_batches=40, num_training_batches=10,
        datamodule=ImageDataModule(size_schedule=sizes),
    )  # fmt: skip
    lines, model = ProgressLines(), LightningModule()
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    lines.on_train_start(trainer, model)
    monkeypatch.setattr(time, "perf_counter", lambda: 60.0)
    trainer.global_step = step
    return lines._time_left(trainer)


def test_the_time_left_counts_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert time_left(monkeypatch, 0, {}) == "?"
    assert time_left(monkeypatch, 20, {}) == "1:00"
    assert time_left(monkeypatch, 20, {0: 32, 1: 32, 2: 64, 3: 64}) == "4:00"
