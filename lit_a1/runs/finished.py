"""A finished run, as read from its folder and record, for any network."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_a1.runs.folders import DRAWN
from lit_a1.runs.records import Metrics

MOVING = ("shift", "rotation")  # settings of the augmentation that move digits
COLOURS = ("brightness", "contrast", "saturation", "grayscale")
NOT_MOVING = (*COLOURS, "trivial", "cutout", "mixup", "cutmix")  # and settings that do not


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
        """The seed of the initial weights and of all randomness in training."""
        return self.record["seed"]

    @property
    def epochs(self) -> list[Metrics]:
        """The metrics of each epoch."""
        return self.record["epochs"]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that affect the run, except the seed."""
        return {name: value for name, value in self.record["settings"].items() if name != "seed"}

    @property
    def training_images_measured(self) -> int:
        """How many training images are evaluated like validation images, if any are: all, or a sample."""
        sample_size, count = self.settings.get("data.measure_train"), self.record["images"]["train"]
        return min(sample_size, count) if type(sample_size) is int else count

    @property
    def kind(self) -> str:
        """The kind of network."""
        return "MLP" if self.weights.suffix == ".npz" else "CNN"

    def augmentation(self, names: Sequence[str] = MOVING + NOT_MOVING) -> dict[str, float]:
        """The named augmentation settings that change images."""
        found = {name: self.settings.get(f"data.augment.{name}", 0) for name in names}
        return {name: value for name, value in found.items() if value}

    @property
    def augmented(self) -> bool:
        """Whether it was trained on changed images."""
        crop = str(self.settings.get("data.augment.crop_scale", (1.0, 1.0)))
        flip = self.settings.get("data.augment.flip", "none")
        return bool(self.augmentation()) or flip != "none" or ast.literal_eval(crop)[0] < 1
