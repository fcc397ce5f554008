"""Numbers of a training that are not finite: seen at once, and told in a sentence."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from lit_a1.runs.checkpoints import all_finite
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.records import DivergedError

WAIT = 100  # numbers that an accelerator computes before the host, which has to wait for each, looks at them
LEAST_SCALE = 1e-4  # of the loss under float16, as fairseq's: below it the gradients overflow whatever it is
UNUSABLE = "{} is not finite: these weights are of a training that diverged. Use others."


class FiniteModule(L.LightningModule):
    """Ends a training or a measurement whose numbers are not finite, with a DivergedError that says what to do.

    A subclass has `lr` and `clip_gradient`, notes the numbers of each step with `note`, and then calls `look`. What was
    measured is looked at after each validation and test, the weights after each epoch and before each checkpoint.
    """

    lr: float
    clip_gradient: float
    validated_step = -1
    in_step = False  # whether weights and statistics are between two steps

    def __init__(self) -> None:
        super().__init__()
        self._noted: list[tuple[str, int, Tensor]] = []

    def note(self, what: str, step: int, value: Tensor) -> None:
        """Keeps a number () of a step, counted from 1."""
        self._noted.append((what, step, value))

    def look(self) -> None:
        """Looks at what was noted: after each step on a processor, now and then on other devices."""
        noted = self._noted
        if self.device.type != "cpu" and len(noted) < WAIT and not self.trainer.is_last_batch:
            return
        self._noted = []
        finite = torch.stack([value for *_, value in noted]).isfinite().tolist() if noted else []
        for (what, step, _), sound in zip(noted, finite, strict=True):
            if not sound:
                raise self._diverged(what, step)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and scaler.get_scale() < LEAST_SCALE:
            raise self._diverged("the gradient in float16", self.global_step)

    def _check_weights(self) -> None:
        if not all_finite(self.state_dict().values()):
            raise self._diverged("a weight", self.global_step)

    def on_train_epoch_end(self) -> None:
        """Looks at the weights, also where no checkpoint is written."""
        self._check_weights()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Looks at the weights."""
        self._check_weights()

    def on_validation_end(self) -> None:
        """Looks at what was measured, and notes at which step."""
        self.validated_step = self.global_step
        for name, value in self.trainer.callback_metrics.items():
            if not (name.startswith("train/") or value.isfinite()):
                raise self._diverged(name, self.global_step)

    def on_test_end(self) -> None:
        """Looks at what was measured."""
        self.on_validation_end()

    def _diverged(self, what: str, step: int) -> DivergedError:
        if self.trainer.state.fn != "fit":
            return DivergedError(UNUSABLE.format(what))
        tries = [f"a smaller --model.lr than {self.lr:g}"]
        tries += [] if self.clip_gradient else ["--model.clip_gradient 1"]
        tries += ["--trainer.precision 32-true"] if "16" in str(self.trainer.precision) else []
        checkpoints = [each for each in self.trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
        kept = [path for each in checkpoints if each.best_model_path and (path := Path(each.best_model_path)).is_file()]
        last = relative_to_cwd(max(kept, key=lambda path: path.stat().st_mtime)) if kept else None
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        return DivergedError.told(what, f"step {step}", rate, last, " or ".join(tries))
