"""What the searches of the CNNs and of the numpy network have in common: an objective, and the record of a trial."""

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
"""What the field calls hyperparameters, where it is not their name."""
# takes an epoch, from 1 on, and its validation error (NaN where a loss is not finite); whether to stop the training
Report = Callable[[int, float], bool]


@dataclass(frozen=True)
class TrialRecord:
    """A trial that is over."""

    number: int
    state: str  # complete, pruned (stopped early), failed (its process was), refused (settings that don't go together)
    errors: Mapping[int, float]  # share of wrong validation images, or NaN, by the epochs that were measured
    best_epoch_counts: bool  # trials are compared by their best epoch, not by their last one
    sampled: Settings = field(default_factory=dict)  # what Optuna proposed
    settings: Settings = field(default_factory=dict)
    words: str = ""
    parameters: int = 0
    seconds: float = 0.0
    start: bool = False  # its settings are the command's own, or what can be sampled nearest to them
    own: Settings | None = None  # the command's own settings, where it starts from these
    refused: str = ""  # why its settings were refused
    architecture: str = ""
    machine: str = ""
    ran_in: str = ""  # HOST:FOLDER of its process, where processes share no disk

    @property
    def diverged(self) -> bool:
        """Whether its loss was not finite in the end."""
        return any(map(math.isnan, self.errors.values()))

    @property
    def epochs(self) -> int:
        """How many it was trained for, as far as it was measured."""
        return max(self.errors, default=0)

    @property
    def best_epoch(self) -> int:
        """The first one with the smallest error; 0 where there is none."""
        finite = [epoch for epoch in sorted(self.errors) if math.isfinite(self.errors[epoch])]
        return min(finite, key=lambda epoch: self.errors[epoch], default=0)

    @property
    def epoch(self) -> int:
        """The one whose error counts; 0 where there is none."""
        if self.best_epoch_counts:
            return self.best_epoch
        return 0 if self.diverged else self.epochs

    @property
    def error(self) -> float:
        """What trials are compared by; infinite where there is none."""
        return self.errors[self.epoch] if self.epoch else math.inf

    def line(self) -> str:
        """The trial in the terminal."""
        state = "diverged" if self.diverged else self.state
        found = f"accuracy {1 - self.error:7.2%} in epoch {self.epoch:2}" if self.epoch else self.refused
        epochs = f"{self.epochs:2} epochs in {clock(self.seconds)}"
        return f"trial {self.number:2}  {state:8}  {found:28}  {epochs}  {self.words}"

    def cells(self) -> dict[str, str]:
        """Its cells of `trials.csv`, all but the settings."""
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
    """What is searched: settings of a network, and how one that has them is trained."""

    study_name: str  # in the journal
    words: str  # the network, its images and the seed
    runs: Path  # the folder of the studies
    seed: int
    epochs: int  # of a trial that is not stopped early
    shared: Settings  # what the trials of a study have in common
    space: Space
    sampled: Mapping[str, Any]  # what Optuna samples from: a distribution for each hyperparameter
    start: Settings  # what is sampled first
    own: Settings  # the command's own settings

    # makes `settings` of what was sampled, and `words` and other fields of `TrialRecord` that are known by then
    about: Callable[[Settings], dict[str, Any]]
    # trains with some settings, in a folder that it may leave something in, reports each epoch that was measured, and
    # returns the numbers of parameters and of images; quiet if an earlier trial has said which data were found and
    # what this machine can't do; raises UsageError where the settings are refused
    train: Callable[[Settings, Path, Report, bool], tuple[int, dict[str, int]]]
    command: Callable[[Settings], str]  # what to type to train a network with some settings
    # writes `record.json` into the study's folder: the results, and what they were measured on
    record: Callable[[Path, Sequence[TrialRecord], dict[str, Any]], None]

    columns: str  # of `trials.csv`, before the settings
    names: Mapping[str, str]  # what settings are called in tables and texts, by their full names
    images: Mapping[str, int] = field(default_factory=dict)  # of each split, if known before the first training
    wanted: str = ""  # what the best trial must have, in words: "two hidden layers"
    is_wanted: Callable[[Settings], bool] = lambda settings: True  # whether settings have it
    best_epoch_counts: bool = False  # trials are compared by their best epoch, not by their last one
    one_sampler: bool = False  # a process seeds its sampler once, elsewhere anew for each trial

    def term(self, name: str) -> str:
        """What texts and axes call a hyperparameter."""
        short = self.names.get(name, name)
        return TERMS.get(short, short.replace("_", " "))
