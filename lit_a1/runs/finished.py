"""A finished run as its folder and its record tell it, whatever network was trained."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lit_a1.runs.folders import DRAWN
from lit_a1.runs.records import Metrics, best_of

Weights = Literal["last", "best"]
MOVING = ("shift", "rotation")  # settings of the augmentation that move digits
OTHER = ("brightness", "contrast", "cutout", "mixup", "cutmix")  # and some that do not


@dataclass(frozen=True)
class Run:
    """One training of an experiment."""

    folder: Path  # `lightning_logs/EXPERIMENT/version_N`
    weights: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """`version_N`."""
        return self.folder.name

    @property
    def experiment(self) -> str:
        """The name of its YAML."""
        return self.folder.parent.name.removesuffix(DRAWN)

    @property
    def seed(self) -> int:
        """Of the initial weights and all that is random in training."""
        return self.record["seed"]

    @property
    def epochs(self) -> list[Metrics]:
        """What was measured after each epoch."""
        return self.record["epochs"]

    @property
    def measured(self) -> Metrics:
        """The metrics of the epoch that the weights are of."""
        return self.epochs[-1] if self.weights.stem == "last" else best_of(self.epochs)

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides how the run went, but for the seed."""
        return {name: value for name, value in self.record["settings"].items() if name != "seed"}

    @property
    def training_images_measured(self) -> int:
        """How many training images are measured as those of validation are, where any are: all, or a sample."""
        wanted, count = self.settings.get("data.measure_train"), self.record["images"]["train"]
        return min(wanted, count) if type(wanted) is int else count

    @property
    def kind(self) -> str:
        """What was trained."""
        return "MLP" if self.weights.suffix == ".npz" else "CNN"

    def augmentation(self, names: Sequence[str] = MOVING + OTHER) -> dict[str, float]:
        """The settings of the augmentation, of those named, that change images."""
        found = {name: self.settings.get(f"data.augment.{name}", 0) for name in names}
        return {name: value for name, value in found.items() if value}

    @property
    def augmented(self) -> bool:
        """Whether it was trained on changed images."""
        crop = str(self.settings.get("data.augment.crop_scale", (1.0, 1.0)))
        flip = self.settings.get("data.augment.flip", "none")
        return bool(self.augmentation()) or flip != "none" or ast.literal_eval(crop)[0] < 1
