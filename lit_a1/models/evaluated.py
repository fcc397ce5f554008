"""The LightningModule that measures a network and predicts with it; `Classifier` trains it."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lit_a1.data.batch import Batch
from lit_a1.environment import computes_bfloat16
from lit_a1.layers import cross_entropy
from lit_a1.models.divergence import UNUSABLE, FiniteModule
from lit_a1.models.half import UNSURE, HalfPrecision
from lit_a1.models.inputs import Views, forward_in_parts, tta_views
from lit_a1.models.metrics import Mean
from lit_a1.optim import WeightAverage
from lit_a1.runs.records import DivergedError

STAGES = ("train", "train_eval", "val", "test")  # `train`: augmented, dropout on; `train_eval`: measured like `val`


class Prediction(NamedTuple):
    """What `predict` returns for a batch: `indices` (N,) int64 and `probabilities` (N,K) float32."""

    indices: Tensor
    probabilities: Tensor


def log_mean(log_probabilities: Tensor) -> Tensor:
    """Log of the mean probabilities: (M,N,K) -> (N,K)."""
    return log_probabilities.logsumexp(0) - math.log(len(log_probabilities))


class EvaluatedModule(FiniteModule):
    """Measures the averaged weights of `net`, and predicts with them."""

    net: nn.Sequential  # standardises images, and maps them to logits
    average: WeightAverage | None
    views: Views
    channels_last: bool
    metrics: nn.ModuleDict
    _half: tuple[HalfPrecision, ...] = ()  # a network that is not in checkpoints

    def evaluated_net(self) -> nn.Module:
        """The network for validation, test and prediction: the averaged one, if there is one."""
        return self.net if self.average is None else self.average.net

    def forward(self, images: Tensor) -> Tensor:
        """Log-probabilities (N,K) of images (N,C,H,W) in [0,1], with probabilities averaged over `views`.

        Computed in float32 whatever the trainer's precision: half precision would label an image near 50 % as a cat on
        one machine and as a dog on another. On a GPU, cuDNN's convolutions round their inputs to TF32.
        """
        return self._log_probabilities(self.evaluated_net(), images)

    def forward_bfloat16(self, images: Tensor) -> Tensor:
        """As `forward`, but in bfloat16, which changes probabilities in the second decimal."""
        if not self._half:
            self._half = (HalfPrecision(*self.evaluated_net().children()),)
        return self._log_probabilities(self._half[0], images)

    def _log_probabilities(self, net: nn.Module, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            views = tta_views(self._to_memory_format(images.float()), self.views)
            logits = torch.stack([forward_in_parts(net, view) for view in views])
        return log_mean(logits - logits.logsumexp(-1, keepdim=True))

    def _to_memory_format(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def _measure(self, stage: str, loss: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """Adds a batch to a stage's loss and error; returns the batch's error."""
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        error = (logits.argmax(1) != classes).float().mean()
        for name, value in (("loss", loss), ("error", error)):
            metric = self.metrics[f"{stage}_{name}"]
            assert isinstance(metric, Mean)
            metric.update(value, weight=len(classes))
            if stage != "train" or self.trainer.is_last_batch:  # logging costs more than measuring
                self.log(f"{stage}/{name}", metric, on_step=False, on_epoch=True, add_dataloader_idx=False)
        return error

    def _measure_outputs(self, stage: str, log_probabilities: Tensor, targets: Tensor) -> None:
        """As `_measure`, for log-probabilities (N,K) of images without augmentation; a device may have none left."""
        loss = cross_entropy(log_probabilities, targets) if len(targets) else log_probabilities.sum()  # empty: 0
        self._measure(stage, loss, log_probabilities, targets)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Adds a batch to `val/loss` and `val/error`, or to `train_eval/loss` ...; returns log-probabilities (N,K)."""
        return self._evaluate(("val", "train_eval")[dataloader_idx], batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to `test/loss` and `test/error`."""
        self._evaluate("test", batch)

    def _evaluate(self, stage: str, batch: Batch) -> Tensor:
        log_probabilities = self(batch.images)
        self._measure_outputs(stage, log_probabilities, batch.targets)
        return log_probabilities

    def on_predict_start(self) -> None:
        """Drops the half-precision copy, so that it is made from the current weights."""
        self._half = ()

    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction:
        """Class probabilities of a batch; raises a DivergedError if they are not finite.

        On a CPU that computes bfloat16 they come from `forward_bfloat16`; near a tie `forward` computes them again.
        """
        images = batch.images
        if images.device.type == "cpu" and computes_bfloat16(on_cpu=True):
            probabilities = self.forward_bfloat16(images).exp()
            first, second = probabilities.topk(2).values.unbind(1)
            if (unsure := ~(first - second >= UNSURE)).any():
                probabilities[unsure] = self(images[unsure]).exp()
        else:
            probabilities = self(images).exp()
        prediction = Prediction(batch.indices.cpu(), probabilities.cpu())
        if not prediction.probabilities.isfinite().all():
            raise DivergedError(UNUSABLE.format("A probability"))
        return prediction
