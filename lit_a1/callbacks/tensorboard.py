"""Logs for TensorBoard, beside the metrics: speed, the first batch, the graph, the mistakes."""

import copy
import time
import warnings
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.profilers import PyTorchProfiler
from torch import Tensor, nn

from lit_a1.callbacks.devices import gather_batches
from lit_a1.data.batch import Batch
from lit_a1.runs.events import add_layout
from lit_a1.runs.shown import log_mistakes

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def writer_of(trainer: L.Trainer) -> "SummaryWriter | None":
    """The event-file writer, on the first device of a trainer that logs to TensorBoard; else None."""
    logger = trainer.logger
    return logger.experiment if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero else None


def flush(trainer: L.Trainer) -> None:
    """Flushes the logs to disk."""
    if (writer := writer_of(trainer)) is not None:
        writer.flush()


class TensorBoardExtras(Callback):
    """Logs images per second, the first batch as the network sees it, the network's graph, and its mistakes."""

    def __init__(self) -> None:
        self._val_outputs: list[tuple[Tensor, Tensor, Tensor]] = []  # indices, labels and log-probabilities of batches
        self._images, self._started = 0, time.perf_counter()  # if a run resumes within an epoch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the epoch's stopwatch."""
        self._images, self._started = 0, time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Shows the first batch and the graph, once."""
        if trainer.global_step == 0 and (writer := writer_of(trainer)) is not None:
            from torchvision.utils import make_grid  # slow to import, and `--help` imports this module

            add_layout(writer)
            writer.add_image("images/first batch", make_grid(batch.images[:64].float().clamp(0, 1)), 0)
            if not isinstance(trainer.profiler, PyTorchProfiler):  # type: ignore[attr-defined]  # its hooks can't be copied
                self._add_graph(writer, pl_module, batch)
            self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Counts images; stops the watch after the last batch, before validation begins."""
        self._images += len(batch.images) * trainer.world_size
        if trainer.is_last_batch:
            if batch.images.is_cuda:
                torch.cuda.synchronize()
            speed = self._images / (time.perf_counter() - self._started)
            pl_module.log("train/images_per_second", speed, on_step=False, on_epoch=True, sync_dist=True)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Flushes the logs before the checkpoint is written, from which a resumed run starts."""
        flush(trainer)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collects the network's predictions for the validation images."""
        if dataloader_idx == 0 and isinstance(outputs, Tensor) and not trainer.sanity_checking:
            self._val_outputs = [] if batch_idx == 0 else self._val_outputs
            self._val_outputs.append((batch.indices, batch.targets, outputs))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Shows the most confident mistakes on validation images, and the predictions closest to a tie."""
        if not self._val_outputs:
            return
        index, labels, outputs = gather_batches(self._val_outputs)
        if (writer := writer_of(trainer)) is not None:
            data = trainer.datamodule  # type: ignore[attr-defined]
            log_mistakes(writer, trainer.global_step, data.sets["val"].images, index, labels, outputs, data.classes)

    @staticmethod
    def _add_graph(writer: "SummaryWriter", module: L.LightningModule, batch: Batch) -> None:
        # tracing runs the network: a copy leaves running statistics and random numbers unchanged
        assert isinstance(module.net, nn.Module)
        net = copy.deepcopy(module.net).cpu().eval()
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")  # of shapes that the tracer treats as constants
            image = batch.images[:1].detach().float().cpu()
            writer.add_graph(torch.jit.trace(net, image, check_trace=False), image)  # add_graph would trace twice
