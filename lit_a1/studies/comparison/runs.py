"""The runs that a comparison is made of: which ones are alike, what was left out and why, and their networks."""

import ast
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lit_a1.data.mnist_module import MNISTDataModule
from lit_a1.data.resample import resize
from lit_a1.environment import PROGRAM
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import load_weights
from lit_a1.models.architecture import layers_of
from lit_a1.models.mnist import MNISTCNN
from lit_a1.runs.checkpoints import read
from lit_a1.runs.folders import DRAWN
from lit_a1.runs.records import RECORD_FILE, CheckpointError, Figures, best_of
from lit_a1.runs.settings import UsageError

Weights = Literal["last", "best"]
Answers = NDArray[np.int64]
MOVING = ("shift", "rotation")  # settings of the augmentation that move digits
OTHER = ("brightness", "contrast", "cutout", "mixup", "cutmix")  # and some that do not
REGULARISATION = {
    "dropout": "dropout",
    "input_dropout": "dropout of pixels",
    "stochastic_depth": "stochastic depth",
    "weight_decay": "weight decay",
    "label_smoothing": "label smoothing",
    "average_decay": "averaged weights with the decay",
}
BATCH = 500  # pictures that a network sees at once


@dataclass(frozen=True)
class Run:
    """One training of an experiment."""

    folder: Path
    """`lightning_logs/EXPERIMENT/version_N`."""
    weights: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """`version_N`."""
        return self.folder.name

    @property
    def seed(self) -> int:
        """Of initial weights, order of pictures, augmentation and dropout."""
        return self.record["seed"]

    @property
    def epochs(self) -> list[Figures]:
        """What was measured after each epoch."""
        return self.record["epochs"]

    @property
    def measured(self) -> Figures:
        """The figures of the epoch that the weights are of."""
        return self.epochs[-1] if self.weights.stem == "last" else best_of(self.epochs)

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides how the run went, but for the seed."""
        return {name: value for name, value in self.record["settings"].items() if name != "seed"}

    @property
    def kind(self) -> str:
        """What was trained."""
        return "MLP" if self.weights.suffix == ".npz" else "CNN"

    def augmentation(self, names: Sequence[str] = MOVING + OTHER) -> dict[str, float]:
        """The settings of the augmentation, of those named, that change pictures."""
        found = {name: self.settings.get(f"data.augment.{name}", 0) for name in names}
        return {name: value for name, value in found.items() if value}

    @property
    def regularisation(self) -> dict[str, float]:
        """What else was done in training that not every network has, by its name in words."""
        found = {words: self.settings.get(f"model.{name}", 0) for name, words in REGULARISATION.items()}
        return {words: value for words, value in found.items() if value}

    @property
    def augmented(self) -> bool:
        """Whether it was trained on changed pictures."""
        crop = str(self.settings.get("data.augment.crop_scale", (1.0, 1.0)))
        flip = self.settings.get("data.augment.flip", "none")
        return bool(self.augmentation()) or flip != "none" or ast.literal_eval(crop)[0] < 1

    @cached_property
    def network(self) -> "Network":
        """Its trained network, read once.

        Raises:
            CheckpointError: the file is damaged, or of another network.
        """
        return _mlp(self) if self.kind == "MLP" else _cnn(self)


@dataclass(frozen=True)
class Network:
    """A trained network, and what it is made of."""

    answer: Callable[[torch.Tensor], Answers]
    """Pictures (N,1,28,28) in [0,1] -> the digit (N,) that it takes each of them for."""
    parameters: int
    multiply_adds: int
    """For one picture."""

    def answers(self, pictures: torch.Tensor) -> Answers:
        """The same in batches."""
        with torch.inference_mode():
            return np.concatenate([self.answer(batch) for batch in pictures.split(BATCH)])


@dataclass(frozen=True)
class Experiment:
    """Runs that differ in their seeds alone, in the order of these."""

    name: str
    runs: list[Run]


def _mlp(run: Run) -> Network:
    settings = run.settings
    try:
        hidden = tuple(ast.literal_eval(str(settings["model.hidden_dims"])))
        net = NN(hidden, len(hidden), nonlinearity=settings["model.nonlinearity"], parameter_range=(1, 1 << 62))
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise CheckpointError(f"{run.folder / RECORD_FILE} does not say what network was trained: {error}.") from error
    load_weights(net, run.weights)
    _check_epoch(run, net.epoch)

    def answer(pictures: torch.Tensor) -> Answers:
        return net.forward(pictures.reshape(len(pictures), -1).numpy()).argmax(axis=1)

    return Network(answer, net.n_parameters, sum(weights.size for weights in net.weights))


def _check_epoch(run: Run, done: int) -> None:
    if done != (recorded := int(run.measured["epoch"]) + 1):
        raise CheckpointError(
            f"{run.weights} holds the weights after epoch {done}, but {RECORD_FILE} beside it those figures of epoch "
            f"{recorded}: go on with that run to its end, or take its folder away."
        )


def _cnn(run: Run) -> Network:
    checkpoint = read(run.weights)
    if (found := checkpoint["model_class"]) != MNISTCNN.__qualname__:
        raise CheckpointError(f"{run.weights} is a checkpoint of {found}; {MNISTCNN.__qualname__} was expected.")
    try:
        model = MNISTCNN.load_from_checkpoint(run.weights, map_location="cpu").eval()
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{run.weights} is of another version of {found}: {str(error).split(chr(10))[0]}"
        ) from error
    _check_epoch(run, checkpoint["epoch"] + 1)
    size = checkpoint[MNISTDataModule.__qualname__]["size"]  # that the weights were trained and validated at

    def answer(pictures: torch.Tensor) -> Answers:
        return model(resize(pictures, size)).argmax(1).numpy()

    parts = layers_of(model.evaluated_net()[1], (1, size, size))  # type: ignore[index]  # 0 standardises
    return Network(answer, parts.parameters, parts.multiply_adds)


# folders


def find_experiments(
    names: Sequence[str], logs: Path, weights: Weights, drawn: bool
) -> tuple[list[Experiment], list[str]]:
    """The runs to compare: of each experiment, those with the settings of its newest one.

    Args:
        names: of the experiments, without `-drawn`.
        logs: the folder of all runs.
        weights: which checkpoint a run must have.
        drawn: whether the runs on drawn digits are meant.

    Returns:
        The experiments that have runs, in the order of `names`; and a sentence for each run or experiment left out.

    Raises:
        UsageError: fewer than two experiments have runs.
    """
    for name in names:
        if name.endswith(DRAWN):
            wanted = name.removesuffix(DRAWN)
            raise UsageError(
                f"{name} holds runs on drawn digits, which are never compared with others: --experiments {wanted} "
                "--source drawn compares them with each other."
            )
    if len(names := list(dict.fromkeys(names))) < 2:
        raise UsageError(f"--experiments needs two names at least; got {', '.join(names)}.")
    experiments, left_out = [], []
    for name in names:
        folder = logs / (name + (DRAWN if drawn else ""))
        runs, reasons = _alike(folder, weights)
        left_out += [f"{folder.name}/{reason}" for reason in reasons]
        if runs:
            experiments.append(Experiment(name, runs))
        else:
            left_out.append(f"{folder.name}: there is no finished run with {weights} weights.")
    if len(experiments) < 2:
        missing = [name for name in names if name not in {found.name for found in experiments}]
        there = f"only {experiments[0].name} has any" if experiments else "there is none"
        raise UsageError(
            f"A comparison needs finished runs of two experiments below {logs}, on {'drawn' if drawn else 'real'} "
            f"digits: {there}. "
            f"Train with {' or '.join(f'`{fit_command(name, drawn)}`' for name in missing)}."
        )
    return experiments, left_out


def fit_command(name: str, drawn: bool) -> str:
    """What trains an experiment: the numpy network's names begin with `mlp`."""
    source = " --data.source drawn" * drawn
    return f"{PROGRAM} {'mlp ' * name.startswith('mlp')}fit --config configs/{name}.yaml{source}"


def _alike(folder: Path, weights: Weights) -> tuple[list[Run], list[str]]:
    """The newest run of each seed that has the settings of the newest run, by seed; and why others were left out."""
    numbered = {int(path.name[8:]): path for path in folder.glob("version_*") if path.name[8:].isdecimal()}
    runs: dict[int, Run] = {}
    newest: Run | None = None
    reasons: list[str] = []
    for _, path in sorted(numbered.items(), reverse=True):
        run = _read(path, weights)
        if isinstance(run, str):
            reasons.append(f"{path.name}: {run}.")
            continue
        newest = newest or run
        if difference := _difference(run, newest):
            reasons.append(f"{path.name}: trained with other settings than {newest.name} ({difference}).")
        elif run.seed in runs:
            reasons.append(f"{path.name}: {runs[run.seed].name} is newer and has the same seed, {run.seed}.")
        else:
            runs[run.seed] = run
    return [runs[seed] for seed in sorted(runs)], reasons[::-1]


def _read(folder: Path, weights: Weights) -> Run | str:
    """A run, or why there is none to compare."""
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"no {RECORD_FILE}: its training has not ended"
    except ValueError:
        return f"its {RECORD_FILE} is damaged"
    needed = ("settings", "seed", "epochs", "pictures", "seconds")
    if not isinstance(record, dict) or any(not record.get(name) and record.get(name) != 0 for name in needed):
        return f"its {RECORD_FILE} is not that of a training, with {', '.join(needed)}"
    if any("val/error" not in row for row in record["epochs"]):
        return "it was not validated after each epoch"
    for suffix in (".ckpt", ".npz"):
        if (path := folder / "checkpoints" / f"{weights}{suffix}").is_file():
            return Run(folder, path, record)
    return f"no checkpoints/{weights}.ckpt or .npz"


def _difference(run: Run, newest: Run) -> str:
    """The first setting in which they differ; empty where there is none."""
    ours, theirs = run.settings, newest.settings
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            return f"{name}={ours.get(name)} instead of {theirs.get(name)}"
    return ""
