"""Detects training values that are not finite, and reports them in a sentence."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from lit_a1.runs.checkpoints import all_finite, kept_checkpoints
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.records import DivergedError

WAIT = 100  # values that an accelerator computes before the host checks them, as each check makes it wait
LEAST_SCALE = 1e-4  # of the loss under float16, as in fairseq: below it the gradients overflow whatever the scale
UNUSABLE = "{} is not finite: these weights are of a training that diverged. Use others."


class FiniteModule(L.LightningModule):
    """Ends a training or a measurement with values that are not finite, by a DivergedError that says what to do.

    A subclass has `lr`, `weight_decay` and `clip_gradient`, notes the values of each step with `note`, and then calls
    `check_noted`. Metrics are checked after each validation and test; weights after each epoch and before each
    checkpoint.
    """

    lr: float
    weight_decay: float
    clip_gradient: float
    validated_step = -1
    in_step = False  # whether a step is in progress, with only some weights and statistics updated

    def __init__(self) -> None:
        super().__init__()
        self._noted: list[tuple[str, int, Tensor]] = []

    def note(self, what: str, step: int, value: Tensor) -> None:
        """Keeps a number of a step; steps count from 1."""
        self._noted.append((what, step, value))

    def check_noted(self) -> None:
        """Checks the noted values: after each step on a CPU, now and then on other devices."""
        noted = self._noted
        if self.device.type != "cpu" and len(noted) < WAIT and not self.trainer.is_last_batch:
            return
        self._noted = []
        finite = torch.stack([value for *_, value in noted]).isfinite().tolist() if noted else []
        for (what, step, _), is_finite in zip(noted, finite, strict=True):
            if not is_finite:
                raise self._diverged(what, step)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and scaler.get_scale() < LEAST_SCALE:
            raise self._diverged("the gradient in float16", self.global_step)

    def _check_weights(self) -> None:
        if not all_finite(self.state_dict().values()):
            raise self._diverged("a weight", self.global_step)

    def on_train_epoch_end(self) -> None:
        """Checks the weights, even if no checkpoint is written."""
        self._check_weights()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks the weights."""
        self._check_weights()

    def on_validation_end(self) -> None:
        """Checks the metrics, and notes the step of the validation."""
        self.validated_step = self.global_step
        for name, value in self.trainer.callback_metrics.items():
            if not (name.startswith("train/") or value.isfinite()):
                raise self._diverged(name, self.global_step)

    on_test_end = on_validation_end

    def _diverged(self, what: str, step: int) -> DivergedError:
        if self.trainer.state.fn != "fit":
            return DivergedError(UNUSABLE.format(what))
        remedies = [f"a smaller --model.lr than {self.lr:g}"]
        if self.lr * self.weight_decay > 1:  # a step of decay then overshoots zero
            remedies.append(f"a smaller --model.weight_decay than {self.weight_decay:g}")
        remedies += [] if self.clip_gradient else ["--model.clip_gradient 1"]
        remedies += ["--trainer.precision 32-true"] if "16" in str(self.trainer.precision) else []
        paths = kept_checkpoints(self.trainer)
        last = relative_to_cwd(max(paths, key=lambda path: path.stat().st_mtime)) if paths else None
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        return DivergedError.with_advice(what, f"step {step}", rate, last, " or ".join(remedies))
