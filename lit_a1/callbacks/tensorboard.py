"""What TensorBoard shows besides the curves: speed, the first batch, the graph, the hyperparameters."""

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

from lit_a1.data.batch import Batch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def writer_of(trainer: L.Trainer) -> "SummaryWriter | None":
    """The event-file writer of a trainer that logs to TensorBoard, on its first device; else None."""
    logger = trainer.logger
    return logger.experiment if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero else None


class TensorBoardExtras(Callback):
    """Logs images per second, the first batch as the network sees it, and the network's graph."""

    def __init__(self) -> None:
        self._images, self._started = 0, time.perf_counter()  # a run that goes on in the middle of an epoch starts here

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the epoch's stopwatch."""
        self._images, self._started = 0, time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Shows the first batch and the graph, once."""
        if trainer.global_step == 0 and (writer := writer_of(trainer)) is not None:
            writer.add_image("first batch", _grid(batch), 0)
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
            pl_module.log("train/images_per_second", speed, on_step=False, on_epoch=True)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Brings what was logged to the disk before a checkpoint is written, which a resumed run starts from."""
        if (writer := writer_of(trainer)) is not None:
            writer.flush()

    @staticmethod
    def _add_graph(writer: "SummaryWriter", module: L.LightningModule, batch: Batch) -> None:
        # tracing runs the network: a copy keeps running statistics and random draws as they were
        assert isinstance(module.net, nn.Module)
        net = copy.deepcopy(module.net).cpu().eval()
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")  # the tracer's remarks on shapes that it takes for constants
            image = batch.images[:1].detach().float().cpu()
            writer.add_graph(torch.jit.trace(net, image, check_trace=False), image)  # add_graph would trace twice


def _grid(batch: Batch) -> Tensor:
    from torchvision.utils import make_grid  # slow to import, and `--help` comes this way

    return make_grid(batch.images[:64].float().clamp(0, 1), nrow=8)
