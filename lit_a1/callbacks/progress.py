"""Progress on the terminal: a bar while an epoch runs, a line when it is over."""

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from torch import Tensor
from tqdm import tqdm

from lit_a1.callbacks.record import epoch_metrics
from lit_a1.runs.printed import epoch_line, epoch_name
from lit_a1.runs.wording import clock


class ProgressLines(ProgressBar):
    """One line for each epoch (loss, error, rate, speed, time left); on a terminal also a bar while the epoch runs."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm | None = None  # for a run that resumes in the middle of an epoch too
        self._sums: dict[str, Tensor] = {}

    def disable(self) -> None:
        """Turns printing off (Lightning calls this on all devices except the first)."""
        self._enabled = False

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        """Prints above the bar."""
        if self._enabled:
            tqdm.write(sep.join(map(str, args)), file=sys.stdout)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock for estimating the time left."""
        self._steps = int(trainer.estimated_stepping_batches)
        self._first_step, self._started = trainer.global_step, time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens the bar."""
        self._sums = {}
        self._bar = tqdm(
            total=int(trainer.num_training_batches),
            desc=epoch_name(trainer.current_epoch, trainer.max_epochs or 0),
            disable=not (self._enabled and sys.stdout.isatty()),
            leave=False,
            dynamic_ncols=True,
            file=sys.stdout,
            bar_format="{desc} {bar} {n_fmt}/{total_fmt}{postfix}",
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advances the bar."""
        if self._bar is None or self._bar.disable:
            return
        self._sums = {name: self._sums.get(name, 0) + outputs[name] for name in ("loss", "error")}
        if batch_idx % 10 == 0:  # reading a value waits for an accelerator
            loss, error = (float(total) / (batch_idx + 1) for total in self._sums.values())
            text = f"loss {loss:.3f}  error {error:.1%}  left {self._time_left(trainer)}"
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the epoch's line."""
        if self._bar is not None:
            self._bar.close()
        metrics = {"epoch": trainer.current_epoch} | epoch_metrics(trainer)
        self.print(epoch_line(metrics, trainer.max_epochs or 0, self._time_left(trainer)))

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Closes the bar, so the terminal stays clean."""
        if self._bar is not None:
            self._bar.close()

    def _time_left(self, trainer: L.Trainer) -> str:
        steps = (self._first_step, trainer.global_step, self._steps)
        before, done, total = (self._pixels(trainer, step) for step in steps)
        if done == before:
            return "?"
        return clock((time.perf_counter() - self._started) / (done - before) * (total - done))

    @staticmethod
    def _pixels(trainer: L.Trainer, steps: int) -> float:
        """The pixels of one image a step, summed over the steps: the image size may change between epochs."""
        size_at = trainer.datamodule.size_at  # type: ignore[attr-defined]
        batches = int(trainer.num_training_batches)
        epochs, rest = divmod(steps, batches)
        return batches * sum(size_at(epoch) ** 2 for epoch in range(epochs)) + rest * size_at(epochs) ** 2
