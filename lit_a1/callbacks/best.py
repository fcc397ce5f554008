"""The checkpoints of a run: the best validated weights, and the last ones."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_a1.callbacks.record import was_validated


class LastCheckpoint(ModelCheckpoint):
    """Keeps `last.ckpt`: the weights of the last epoch."""

    def __init__(self, filename: str = "last", **options: Any) -> None:
        super().__init__(filename=filename, **options)

    @property
    def state_key(self) -> str:
        """A key of its own, different from that of any ModelCheckpoint of the user."""
        return type(self).__qualname__


class BestCheckpoint(LastCheckpoint):
    """Keeps `best.ckpt`: the weights of the epoch with the smallest validation error, as they were validated.

    An interrupted epoch is kept only if no whole epoch was validated before, and is dropped when the run resumes.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("best", monitor="val/error", mode="min", **options)
        self._is_interrupted = False  # whether the best epoch was interrupted

    def state_dict(self) -> dict[str, Any]:
        """The part saved in checkpoints."""
        return super().state_dict() | {"cut": self._is_interrupted}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state, without the best epoch if it was interrupted."""
        if not state_dict.get("cut"):
            super().load_state_dict(state_dict)

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        self._is_interrupted = not trainer.is_last_batch
        super()._save_checkpoint(trainer, filepath)

    def _should_skip_saving_checkpoint(self, trainer: L.Trainer) -> bool:
        interrupted = not trainer.is_last_batch and bool(self.best_model_path)
        return interrupted or not was_validated(trainer) or super()._should_skip_saving_checkpoint(trainer)
