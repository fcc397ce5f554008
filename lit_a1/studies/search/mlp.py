"""The search for the numpy network: which network a sample describes, and how it is trained."""

import json
import math
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lit_a1.environment import PROGRAM, REPOSITORY
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Setup, Study, describe
from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import typed
from lit_a1.studies.search.objective import Objective, Report, Settings, TrialRecord
from lit_a1.studies.search.space import Range, Space, distributions, nearest_sample, read_space, values_text

SPACE = REPOSITORY / "configs" / "spaces" / "mlp.yaml"
COLUMNS = "trial state diverged val_accuracy_best best_epoch val_accuracy_last epochs seconds parameters architecture"


def objective(setup: Setup) -> Objective:
    """The search for a network's size, shape and settings; `setup` gives those of the first trial."""
    net, digits = setup.network(), setup.digits()
    ranges = read_space(SPACE)
    space: Space = {"parameters": Range(*net.parameter_range), **ranges}
    names = {name: name for name in ranges if name not in ("layers", "taper")}
    hidden, own = net.dims[1:-1], {name: getattr(net, name) for name in names}
    sizes: dict[str, float] = {"parameters": net.n_parameters, "layers": len(hidden)}
    sizes["taper"] = (hidden[-1] / hidden[0]) ** (1 / (len(hidden) - 1)) if len(hidden) > 1 else 1.0
    source = "drawn digits (NOT MNIST)" if digits.drawn else digits.name

    def describe_sample(sampled: Settings) -> dict[str, Any]:
        settings = settings_of(sampled, space, (net.dims[0], net.dims[-1]))
        network = setup.network(**settings)
        fields = {"settings": settings, "words": describe(network), "parameters": network.n_parameters}
        return fields | {"architecture": network.architecture}

    def train(settings: Settings, folder: Path, report: Report, quiet: bool) -> tuple[int, dict[str, int]]:
        if not quiet:
            print(f"Digits: {digits.origin}")
        network = setup.network(**settings)
        for epoch in range(1, setup.epochs + 1):
            with np.errstate(over="ignore", invalid="ignore"):  # if the learning rate is far too large
                loss, _ = network.train(*digits.train)
                val_loss, error = network.test(*digits.valid)
            if report(epoch, error if math.isfinite(loss + val_loss) else math.nan):
                break
        return network.n_parameters, images

    def record(folder: Path, trials: Sequence[TrialRecord], results: dict[str, Any]) -> None:
        seconds = round(sum(trial.seconds for trial in trials), 1)  # includes earlier processes
        Study(setup, net, digits, folder).record(**results, seconds=seconds)

    images = {"train": len(digits.train.labels), "val": len(digits.valid.labels)}
    return Objective(
        study_name="mlp",
        words=f"mlp on {source}, {images['train']:,} images to learn from, seed {setup.seed}",
        runs=setup.runs(digits.drawn),
        seed=setup.seed,
        epochs=setup.epochs,
        shared=_shared(setup, ranges),
        space=space,
        distributions=distributions(space),
        start=nearest_sample({**own, **sizes, "nesterov": "yes" if net.nesterov else "no"}, space),
        own={"hidden_dims": list(hidden), "n_hidden": len(hidden), **own},
        describe_sample=describe_sample,
        train=train,
        command=lambda settings: _command(settings, setup),
        record=record,
        columns=COLUMNS,
        names=names,
        requirement="two hidden layers",  # as in the assignment
        meets_requirement=lambda settings: settings["n_hidden"] == 2,
        best_epoch_counts=True,
        one_sampler=True,
    )


def widths(layers: int, taper: float, parameters: float, ends: tuple[int, int], allowed: Sequence[float]) -> list[int]:
    """Units h, t h, t^2 h ... (rounded) of hidden layers, chosen so that the network has about `parameters` parameters.

    `taper` is t, above 0 and at most 1; `ends` are the numbers of inputs and outputs; `allowed` are the fewest and the
    most parameters, biases included. Raises a UsageError if no network fits between them.
    """

    def units(first: int) -> list[int]:
        return [max(1, round(first * taper**k)) for k in range(layers)]

    def size(first: int) -> int:
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise([ends[0], *units(first), ends[1]]))

    below = bisect_right(range(1, int(parameters) // ends[0] + 2), parameters, key=size)  # largest h not above it
    fitting = [first for first in (below, below + 1) if first and allowed[0] <= size(first) <= allowed[1]]
    if not fitting:
        raise UsageError(
            f"parameter_range must leave room for {layers} hidden layers of any taper; {allowed[0]:,} to "
            f"{allowed[1]:,} has none for {taper:.2f}"
        )
    return units(min(fitting, key=lambda first: abs(size(first) - parameters)))


def settings_of(sampled: Settings, space: Space, ends: tuple[int, int]) -> dict[str, Any]:
    """A sample from the space as keywords of `NN`; `ends` are inputs and outputs. Raises as `widths`."""
    size = space["parameters"]
    assert isinstance(size, Range)
    hidden = widths(int(sampled["layers"]), sampled["taper"], sampled["parameters"], ends, (size.low, size.high))
    settings: dict[str, Any] = {"hidden_dims": hidden, "n_hidden": len(hidden)}
    for name, values in space.items():
        if name not in ("parameters", "layers", "taper"):
            settings[name] = values.meaning(sampled[name]) if isinstance(values, Range) else sampled[name]
    settings["batch_size"] = 2 ** round(math.log2(settings["batch_size"]))
    settings["nesterov"] = settings["nesterov"] == "yes" and settings["momentum"] > 0
    return settings


def _shared(setup: Setup, ranges: Space) -> dict[str, Any]:
    checksum, counts = 0, []
    for part in (setup.mnist.train, setup.mnist.valid):
        counts.append(f"{len(part.labels):,}")
        for array in part:
            checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    shared = {"data": f"{' + '.join(counts)} images ({checksum:08x})", "epochs": setup.epochs, "seed": setup.seed}
    shared |= {name: value for name, value in setup.model.items() if name not in (*ranges, "hidden_dims", "n_hidden")}
    return shared | {f"the range of {name}": values_text(values) for name, values in ranges.items()}


def _command(settings: Settings, setup: Setup) -> str:
    shared = {
        name: value
        for name, value in setup.model.items()
        if name not in settings and not np.array_equal(value, getattr(NN, name))
    }
    words = [*PROGRAM.split(), "mlp", "fit"]
    for name, value in {**settings, **shared}.items():
        if name != "n_hidden":
            words += [f"--model.{name}", value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))]
    words += ["--seed_everything", str(setup.seed), "--trainer.max_epochs", str(setup.epochs)]
    return typed(*words, *(["--data.source", setup.source] if setup.source != "auto" else []))
