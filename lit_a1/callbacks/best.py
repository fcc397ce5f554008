"""The checkpoints of a run: of the weights that were measured best, and of the last ones."""

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
        """Its own, beside any ModelCheckpoint of the user."""
        return type(self).__qualname__

    @property
    def _legacy_state_key(self) -> str:  # type: ignore[override]  # Lightning looks for it where the other is missing
        """That of the class above, under which older checkpoints have its state."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)


class BestCheckpoint(LastCheckpoint):
    """Keeps `best.ckpt`: the weights of the epoch with the smallest validation error, as they were measured.

    An epoch that was cut is kept only where no whole one was measured before, and is forgotten when the run goes on.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("best", monitor="val/error", mode="min", **options)
        self._cut = False  # whether the best epoch was

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint carries."""
        return super().state_dict() | {"cut": self._cut}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on, with no best epoch where that was cut."""
        if not state_dict.get("cut"):
            super().load_state_dict(state_dict)

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        self._cut = not trainer.is_last_batch
        super()._save_checkpoint(trainer, filepath)

    def _should_skip_saving_checkpoint(self, trainer: L.Trainer) -> bool:
        cut = not trainer.is_last_batch and bool(self.best_model_path)
        return cut or not was_validated(trainer) or super()._should_skip_saving_checkpoint(trainer)
