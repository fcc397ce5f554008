"""What a command of the numpy network is set to: the network, its data, where the results go."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lit_a1.data.mnist import Mnist, Wanted, load_mnist
from lit_a1.mlp.files import to_pixels
from lit_a1.mlp.network import NN, Array, Labels
from lit_a1.runs.folders import DRAWN, new_version
from lit_a1.runs.records import CheckpointError, StudyRecord

TRAINED_WITH = (
    *("lr", "lr_decay", "batch_size", "momentum", "nesterov", "weight_decay", "dropout", "input_dropout"),
    "seed",
)


class Examples(NamedTuple):
    """Pictures as the network sees them."""

    pictures: Array
    """(N, 784), from 0 to 1."""
    labels: Labels
    """(N,), the digits 0 to 9."""


class Digits(NamedTuple):
    """MNIST, or what stands in for it, in its usual split."""

    train: Examples
    valid: Examples
    test: Examples
    drawn: bool
    """Whether the digits are a stand-in, drawn by this project."""
    origin: str
    """The folder that they come from, or what stands in for them."""

    @property
    def name(self) -> str:
        """The same without where that folder is on this machine, for what is kept and passed on."""
        return self.origin if self.drawn else f"the digits of {Path(self.origin).resolve().name}/"


@dataclass(frozen=True)
class Setup:
    """The settings of a command, from its line and the YAML.

    Args:
        model: keywords of `NN`, but for the ones below.
        seed: of the network.
        epochs: to train for.
        source: of the digits, as `load_mnist` has it.
        save_dir: the folder of all runs, which TensorBoard reads.
        name: of the experiment, whose runs are `save_dir/name/version_N`.
    """

    model: Mapping[str, Any]
    seed: int = 0
    epochs: int = 20
    source: Wanted = "auto"
    save_dir: Path = Path("lightning_logs")
    name: str = "mlp"

    def network(self, **changes: Any) -> NN:
        """The network, untrained; `changes` are keywords of `NN` that differ here. Raises as `NN`."""
        keywords = {"seed": self.seed, "epochs": self.epochs, **self.model, **changes}
        return NN(**{"n_hidden": len(keywords.get("hidden_dims", (512, 512))), **keywords})

    @cached_property
    def mnist(self) -> Mnist:
        """The digits as they are on disk, read once.

        Raises:
            DataError: as `load_mnist`.
        """
        return load_mnist(self.source)

    def digits(self, dtype: str = "float32") -> Digits:
        """The same as the network sees them; raises as `mnist`."""
        found = self.mnist
        train, valid, test = (Examples(to_pixels(part.pictures, dtype), part.labels) for part in found[:3])
        return Digits(train, valid, test, found.drawn, found.origin)

    def runs(self, drawn: bool) -> Path:
        """The folder of the experiment's runs; those on drawn digits have one of their own."""
        return self.save_dir / (self.name + DRAWN if drawn else self.name)


def describe(net: NN) -> str:
    """Architecture, nonlinearity, learning rate, mini-batches and seed, in words: what a study was run with."""
    momentum = "Nesterov momentum" if net.nesterov else "momentum"
    extras = {momentum: net.momentum, "weight decay": net.weight_decay, "dropout": net.dropout}
    extras["dropout of pixels"] = net.input_dropout
    parts = [f"{net.architecture} ({net.n_parameters:,} parameters)", net.nonlinearity.replace("_", " ")]
    parts += [f"learning rate {net.lr:g} ({net.lr_decay})", f"mini-batches of {net.batch_size}"]
    parts += [f"{name} {value:g}" for name, value in extras.items() if value]
    return ", ".join([*parts, f"seed {net.seed}"])


def load_weights(net: NN, path: Path) -> bool:
    """Reads weights, and for `describe` what they were trained with, where the file says that; returns whether it does.

    Raises:
        CheckpointError: the file is damaged, or of another network.
    """
    try:
        net.load(str(path))
    except ValueError as error:
        raise CheckpointError(f"{error}.") from error
    state = run_state(path)
    for name in TRAINED_WITH if state else ():
        setattr(net, name, state["settings"]["seed" if name == "seed" else f"model.{name}"])
    return bool(state)


def run_state(path: Path) -> dict[str, Any]:
    """What `mlp fit` keeps in a file beside the weights: settings, epochs and seconds so far; empty in other files."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["run"])) if "run" in file else {}


class Study(StudyRecord):
    """A study of the numpy network: its folder, its record, and in `words` what it is run with.

    Args:
        setup: of the command; the study's runs are `save_dir/name/version_N`.
        net: a network as the study trains it.
        digits: the data.
        folder: of an earlier study, to go on in; a new one by default.
    """

    def __init__(self, setup: Setup, net: NN, digits: Digits, folder: Path | None = None) -> None:
        self.words = describe(net) + (" (drawn digits, not MNIST)" if digits.drawn else "")
        about = {"setup": self.words, "parameters": net.n_parameters, "seed": setup.seed, "model": dict(setup.model)}
        folder = folder or new_version(setup.runs(digits.drawn))
        super().__init__(folder, **about, epochs=setup.epochs, data=digits.name)
