"""Shared by the CNN search and the cross-validation: both run `fit` many times, each run in its own folder."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.trainer import Trainer

from lit_a1.runs.settings import UsageError
from lit_a1.training import TrainingCLI

# trainer options whose other values would end training at another point, or validate on fewer images
REQUIRED_VALUES = dict.fromkeys(["max_time", "min_epochs", "min_steps", "callbacks", "limit_val_batches"])
REQUIRED_VALUES |= {"max_steps": -1, "fast_dev_run": False, "overfit_batches": 0.0}


def check_settings(settings: Namespace, study: str, logger_reason: str, how_to_resume: str, **required: bool) -> None:
    """Raises a UsageError for settings under which runs of a study would not be comparable, or not be measured.

    `logger_reason` says why the study needs a logger; `required` extends `REQUIRED_VALUES`.
    """
    trainer, seed = settings.trainer, settings.seed_everything
    if (trainer.max_epochs or 0) < 1:
        raise UsageError(f"trainer.max_epochs must be 1 or above in a {study}; got {trainer.max_epochs}")
    if trainer.logger is False:
        raise UsageError(f"trainer.logger must not be false in a {study}: {logger_reason}")
    for name, value in (REQUIRED_VALUES | required).items():
        if trainer.get(name) not in (None, value):
            raise UsageError(f"trainer.{name} must be left out in a {study}; got {trainer.get(name)}")
    if isinstance(seed, bool):
        raise UsageError(f"seed_everything must be a number in a {study}; got {seed}")
    if settings.get("ckpt_path"):
        raise UsageError(f"--ckpt_path resumes one run; a {study} is resumed {how_to_resume}")


class FolderCLI(TrainingCLI):
    """`fit` in a given folder, on one device, with one more callback.

    `quiet` hides the messages on which data were found and what this machine lacks.
    """

    run_name: ClassVar[str]  # the name of one run in the study
    several_devices_hint: ClassVar[str]  # what to start to use several devices

    def __init__(self, arguments: Sequence[str], folder: Path, callback: Callback, *, quiet: bool) -> None:
        self.folder, self.callback = folder, callback
        logging.getLogger("lit_a1").setLevel(logging.WARNING if quiet else logging.INFO)
        torch.compiler.reset()  # drops the compiled networks of earlier runs
        super().__init__(["fit", *arguments])

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the trainer."""
        trainer = super().instantiate_trainer(**kwargs)
        self._runs = self.folder.parent
        if trainer.world_size > 1:
            self.parser.error(
                f"a {self.run_name} is trained on one device, not on {trainer.world_size}: "
                f"start {self.several_devices_hint} --trainer.devices [0], [1] and so on"
            )
        return trainer

    def _loggers(self, folder: Path, name: str, **others: Any) -> list[Logger]:
        return super()._loggers(self.folder.parent, "", version=self.folder.name)

    def _callbacks(self) -> list[Callback]:
        return [*super()._callbacks(), self.callback]
