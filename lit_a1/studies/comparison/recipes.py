"""The training settings of runs, side by side, to show differences other than the architecture."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lit_a1.runs.finished import Run

OFF = "none"
IN_USE = {
    "norm": "norm", "dropout": "dropout of hidden units", "input_dropout": "dropout of pixels",
    "stochastic_depth": "stochastic depth", "label_smoothing": "label smoothing",
    "average_decay": "decay of the averaged weights", "weight_decay": "weight decay",
    "clip_gradient": "largest gradient norm", "sam_radius": "radius of sharpness-aware minimisation",
    "sam_from": "share of the steps without sharpness-aware minimisation",
    "final_factor": "last learning rate as a share of the peak",
    "precise_bn": "images to recompute batch norm's statistics",
}  # fmt: skip
"""Settings of either network that are off if missing, empty or zero."""


def training_of(run: Run) -> dict[str, str]:
    """How a run was trained, in the same terms for the numpy network and a CNN."""
    settings = run.settings
    model = {name.removeprefix("model."): value for name, value in settings.items() if name.startswith("model.")}
    momentum = "Nesterov momentum" if model.get("nesterov") else "momentum"
    augmentations = [f"{name} {_plain(value)}" for name, value in run.augmentation().items()]
    return {
        "training images": f"{run.record['images']['train']:,}",
        "epochs": str(len(run.epochs)),
        "optimiser": f"{model.get('optimizer', 'sgd')}, {momentum} {model.get('momentum', 0.0)}",
        "learning rate": _plain(model.get("lr", "unknown")),
        "learning rate schedule": _schedule(model),
        "mini-batch": str(model.get("batch_size", settings.get("data.batch_size", "unknown"))),
        **{label: _plain(model.get(name) or OFF) for name, label in IN_USE.items()},
        "pixels per side": str(settings.get("data.size", 28)),
        "augmentation": ", ".join(augmentations) or ("yes" if run.augmented else OFF),
        "pixels": "standardised" if _is_standardised(model) else "0 to 1",
        "nonlinearity": str(model.get("nonlinearity", model.get("activation", "relu"))),
        "initial weights": str(model.get("initialization", "He" if model.get("norm") == "none" else "PyTorch's")),
    }


def differences(first: Run, second: Run) -> list[list[str]]:
    """The settings in which two runs differ, a row each: the name, then both values."""
    a, b = training_of(first), training_of(second)
    return [[name, a[name], b[name]] for name in a if a[name] != b[name]]


def _plain(value: object) -> str:
    """A value as text, without an exponent: `0.00005`."""
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else str(value)


def _schedule(model: Mapping[str, Any]) -> str:
    warmup = model.get("warmup")
    warmup_text = f", warm-up over {100 * warmup:g} % of the steps" if isinstance(warmup, float) and warmup else ""
    return str(model.get("lr_decay", model.get("schedule", "unknown"))) + warmup_text


def _is_standardised(model: Mapping[str, Any]) -> bool:
    """Whether the mean is other than 0, or the standard deviation other than 1 (MNIST has one channel)."""
    return any(str(model.get(name, usual)).strip("[](),") != usual for name, usual in (("mean", "0.0"), ("std", "1.0")))
