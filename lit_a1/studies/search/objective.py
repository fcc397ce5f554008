"""Shared by the searches for CNNs and the numpy network: an objective, and the record of a trial."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_a1.runs.wording import clock
from lit_a1.studies.search.space import Space

Settings = Mapping[str, Any]
TERMS = {
    "lr": "learning rate", "lr_decay": "learning rate schedule", "batch_size": "mini-batch size",
    "nesterov": "Nesterov momentum", "dropout": "dropout of hidden units", "input_dropout": "dropout of pixels",
    "layers": "hidden layers", "taper": "width ratio of layers",
}  # fmt: skip
"""Standard terms for hyperparameters whose names differ from them."""
# takes an epoch (from 1) and its validation error (NaN if a loss is not finite); returns whether to stop the training
Report = Callable[[int, float], bool]


@dataclass(frozen=True)
class TrialRecord:
    """A trial that is over."""

    number: int
    state: str  # complete, pruned (stopped early), failed (with its process), refused (incompatible settings)
    errors: Mapping[int, float]  # validation error, or NaN, by validated epoch
    best_epoch_counts: bool  # whether trials are compared by their best epoch, not their last one
    sampled: Settings = field(default_factory=dict)  # what Optuna proposed
    settings: Settings = field(default_factory=dict)
    words: str = ""
    parameters: int = 0
    seconds: float = 0.0
    start: bool = False  # whether its settings are the command's own, or the nearest possible sample
    own: Settings | None = None  # the command's own settings, if it starts from them
    refused: str = ""  # why its settings were refused
    architecture: str = ""
    machine: str = ""
    ran_in: str = ""  # HOST:FOLDER of its process, if processes share no disk

    @property
    def diverged(self) -> bool:
        """Whether its loss became infinite or NaN."""
        return any(map(math.isnan, self.errors.values()))

    @property
    def epochs(self) -> int:
        """The number of epochs up to its last validation."""
        return max(self.errors, default=0)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the smallest error; 0 if there is none."""
        finite = [epoch for epoch in sorted(self.errors) if math.isfinite(self.errors[epoch])]
        return min(finite, key=lambda epoch: self.errors[epoch], default=0)

    @property
    def epoch(self) -> int:
        """The epoch whose error counts; 0 if there is none."""
        if self.best_epoch_counts:
            return self.best_epoch
        return 0 if self.diverged else self.epochs

    @property
    def error(self) -> float:
        """The error by which trials are compared; infinite if there is none."""
        return self.errors[self.epoch] if self.epoch else math.inf

    def line(self) -> str:
        """The trial's line in the terminal."""
        state = "diverged" if self.diverged else self.state
        result = f"accuracy {1 - self.error:7.2%} in epoch {self.epoch:2}" if self.epoch else self.refused
        epochs = f"{self.epochs:2} epochs in {clock(self.seconds)}"
        return f"trial {self.number:2}  {state:8}  {result:28}  {epochs}  {self.words}"

    def cells(self) -> dict[str, str]:
        """Its cells in `trials.csv`, except the settings."""
        return {
            "trial": str(self.number),
            "state": self.state,
            "diverged": "yes" if self.diverged else "no",
            "val_accuracy_best": f"{1 - self.errors[self.best_epoch]:.5f}" if self.epoch else "",
            "best_epoch": str(self.best_epoch) if self.epoch else "",
            "val_accuracy_last": f"{1 - self.errors[self.epochs]:.5f}" if self.epoch and not self.diverged else "",
            "epochs": str(self.epochs),
            "seconds": f"{self.seconds:.1f}",
            "parameters": str(self.parameters),
            "architecture": self.architecture,
            "machine": self.machine,
        }


@dataclass(frozen=True)
class Objective:
    """What is searched: settings of a network, and how a network with these settings is trained."""

    study_name: str  # in the journal
    words: str  # the network, its images and the seed
    runs: Path  # the parent folder of the studies
    seed: int
    epochs: int  # of a trial that is not stopped early
    shared: Settings  # the settings that the trials of a study share
    space: Space
    distributions: Mapping[str, Any]  # a distribution for Optuna for each hyperparameter
    start: Settings  # the first sample
    own: Settings  # the command's own settings

    # turns a sample into `settings`, `words` and other fields of `TrialRecord` that are known before training
    describe_sample: Callable[[Settings], dict[str, Any]]
    # trains with some settings, in a folder it may write to; reports each validated epoch; returns the numbers of
    # parameters and images; quiet if an earlier trial has printed which data were found and what this machine lacks;
    # raises a UsageError if the settings are refused
    train: Callable[[Settings, Path, Report, bool], tuple[int, dict[str, int]]]
    command: Callable[[Settings], str]  # the command that trains a network with some settings
    # writes `record.json` into the study's folder: the results, and the code and machine that they are from
    record: Callable[[Path, Sequence[TrialRecord], dict[str, Any]], None]

    columns: str  # of `trials.csv`, before the settings
    names: Mapping[str, str]  # short names of settings for tables and texts, by their full names
    requirement: str = ""  # what the best trial must have, in words: "two hidden layers"
    meets_requirement: Callable[[Settings], bool] = lambda settings: True  # whether settings meet it
    best_epoch_counts: bool = False  # whether trials are compared by their best epoch, not their last one
    one_sampler: bool = False  # whether a process seeds its sampler once, not for each trial

    def term(self, name: str) -> str:
        """The term for a hyperparameter in texts and on axes."""
        short = self.names.get(name, name)
        return TERMS.get(short, short.replace("_", " "))
