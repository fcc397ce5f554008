"""The set-up of a numpy network's command: the network, its data, and the folder for results."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lit_a1.data.mnist import Mnist, SourceName, load_mnist
from lit_a1.mlp.files import read_arrays, to_pixels
from lit_a1.mlp.network import NN, Array, Labels
from lit_a1.runs.folders import DRAWN, new_version
from lit_a1.runs.records import CheckpointError, StudyRecord, loading

TRAINED_WITH = (
    "initialization", "lr", "lr_decay", "lr_decay_rate", "batch_size", "momentum", "nesterov", "weight_decay",
    "dropout", "input_dropout",
)  # fmt: skip


class Examples(NamedTuple):
    """Images as the network sees them, and their labels."""

    images: Array  # (N, 784), from 0 to 1
    labels: Labels  # (N,), the digits 0 to 9


class Digits(NamedTuple):
    """`Mnist` as the network sees it."""

    train: Examples
    valid: Examples
    test: Examples
    drawn: bool
    origin: str

    @property
    def name(self) -> str:
        """The origin without the path to its folder, to store and share."""
        return self.origin if self.drawn else f"the digits of {Path(self.origin).resolve().name}/"


@dataclass(frozen=True)
class Setup:
    """The settings of a command; its runs are `save_dir/name/version_N`."""

    model: Mapping[str, Any]  # other keywords of `NN`
    seed: int = 0
    epochs: int = 20
    source: SourceName = "auto"
    save_dir: Path = Path("lightning_logs")
    name: str = "mlp"

    def network(self, **changes: Any) -> NN:
        """The untrained network, with `changes` to the keywords of `NN`. Raises as `NN`."""
        keywords = {"seed": self.seed, "epochs": self.epochs, **self.model, **changes}
        return NN(**{"n_hidden": len(keywords.get("hidden_dims", (512, 512))), **keywords})

    def like(self, path: Path) -> "Setup":
        """A copy that matches a weights file: layers, nonlinearity and, if `mlp fit` wrote it, training settings.

        CheckpointError if the file is damaged, or its network is outside `parameter_range`.
        """
        with loading(path):
            try:
                dims, nonlinearity = read_arrays(str(path), ("dims", "nonlinearity"))
                model = {**self.model, "hidden_dims": tuple(dims.tolist()[1:-1]), "nonlinearity": str(nonlinearity)}
                if not (state := run_state(path)):
                    setup = replace(self, model=model)
                else:
                    model |= {name: state["settings"][f"model.{name}"] for name in TRAINED_WITH}
                    epochs = state["settings"]["trainer.max_epochs"]
                    setup = replace(self, model=model, seed=state["settings"]["seed"], epochs=epochs)
                setup.network()
            except ValueError as error:
                message = f"{error}."
                raise CheckpointError(message if str(path) in message else f"{path}: {message}") from error
        return setup

    @cached_property
    def mnist(self) -> Mnist:
        """The digits as on disk, read once; raises as `load_mnist`."""
        return load_mnist(self.source)

    def digits(self) -> Digits:
        """The digits as the network sees them, in float32."""
        train, valid, test = (Examples(to_pixels(part.images, "float32"), part.labels) for part in self.mnist[:3])
        return Digits(train, valid, test, self.mnist.drawn, self.mnist.origin)

    def runs(self, drawn: bool) -> Path:
        """The folder of the experiment's runs; runs on drawn digits have their own."""
        return self.save_dir / (self.name + DRAWN if drawn else self.name)


def describe(net: NN) -> str:
    """The network's settings in words, for the record of a study."""
    momentum = "Nesterov momentum" if net.nesterov else "momentum"
    extras = {momentum: net.momentum, "weight decay": net.weight_decay, "dropout": net.dropout}
    extras["dropout of pixels"] = net.input_dropout
    parts = [f"{net.architecture} ({net.n_parameters:,} parameters)", net.nonlinearity.replace("_", " ")]
    parts += [f"learning rate {net.lr:g} ({net.lr_decay})", f"mini-batches of {net.batch_size}"]
    parts += [f"{name} {value:g}" for name, value in extras.items() if value]
    return ", ".join([*parts, f"seed {net.seed}"])


def load_weights(net: NN, path: Path) -> None:
    """Reads weights; raises a CheckpointError if the file is damaged or of another network."""
    with loading(path):
        try:
            net.load(str(path))
        except ValueError as error:
            raise CheckpointError(f"{error}.") from error


def run_state(path: Path) -> dict[str, Any]:
    """The state of a `TrainingRecord` that `mlp fit` saves with the weights; empty in other files."""
    with loading(path), np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["run"])) if "run" in file else {}


class Study(StudyRecord):
    """A study of networks like `net`: its folder (by default a new one), its record, and its settings in `words`."""

    def __init__(self, setup: Setup, net: NN, digits: Digits, folder: Path | None = None) -> None:
        self.words = describe(net) + (" (drawn digits, not MNIST)" if digits.drawn else "")
        about = {"setup": self.words, "parameters": net.n_parameters, "seed": setup.seed, "model": dict(setup.model)}
        folder = folder or new_version(setup.runs(digits.drawn))
        super().__init__(folder, **about, epochs=setup.epochs, data=digits.name)
