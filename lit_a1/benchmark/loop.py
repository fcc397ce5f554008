"""Lightning's loop with this project's callbacks against a plain loop: seconds per step, and peak memory."""

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback

from lit_a1.benchmark.recipe import Recipe
from lit_a1.benchmark.step import BareLoop
from lit_a1.benchmark.timing import Timing, timing_of
from lit_a1.environment import REPOSITORY, keep_freed_memory, peak_memory_gb, quieten
from lit_a1.training import TrainingCLI

EPOCHS = 4
WARM_UP = 3  # steps that are not timed


class Stopwatch(Callback):
    """Records when each step of the last epoch ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Records the time."""
        if trainer.current_epoch == EPOCHS - 1:
            self.ends.append(time.perf_counter())


class TimedCLI(TrainingCLI):
    """`fit`, with a stopwatch among its callbacks."""

    watch: Stopwatch

    def _callbacks(self) -> list[Callback]:
        self.watch = Stopwatch()
        return [*super()._callbacks(), self.watch]


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a new process, so that nothing else has used the process's memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def fit(folder: str) -> tuple[float, float]:
    """Seconds a step of `fit`, and the process's peak memory in bytes."""
    keep_freed_memory()
    quieten()
    flags = {"config": REPOSITORY / "configs/catsdogs.yaml", "data.source": "drawn", "trainer.max_epochs": EPOCHS}
    flags["trainer.logger.init_args.save_dir"] = folder
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        watch = TimedCLI(["fit", *(f"--{name}={value}" for name, value in flags.items())]).watch
    return float(np.diff(watch.ends[WARM_UP:]).mean()), peak_memory_gb() * 1e9


def bare_loop(steps: int) -> tuple[float, float]:
    """Seconds a step of a plain loop, and the process's peak memory in bytes."""
    loop = BareLoop(Recipe())
    for _ in range(WARM_UP):
        loop.step()
    start = time.perf_counter()
    for _ in range(steps):
        loop.step()
    return (time.perf_counter() - start) / steps, peak_memory_gb() * 1e9


def loop(pairs: int) -> list[Timing]:
    """Times both sides in turn, each in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        measured = [(in_new_process(fit, folder), in_new_process(bare_loop, 60)) for _ in range(pairs)]
    ours, theirs = zip(*measured, strict=True)
    other = "a plain loop, which measures and saves nothing"
    seconds, memory = (([run[k] for run in ours], [run[k] for run in theirs]) for k in (0, 1))
    return [
        timing_of("a step of `fit --config configs/catsdogs.yaml`", other, *seconds, 1.03),
        timing_of("peak memory of `fit --config configs/catsdogs.yaml`", other, *memory, 1.2, "B"),
    ]
