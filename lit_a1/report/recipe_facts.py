"""How a network was trained, from the settings of its run, for `sections/training.md.j2`."""

import ast
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from lit_a1.report.gather import source_of
from lit_a1.report.published import is_published
from lit_a1.report.recipes import defaults_of
from lit_a1.runs.finished import Run
from lit_a1.runs.settings import UsageError

COLOURS = ("brightness", "contrast", "saturation")


def training_facts(run: Run) -> dict[str, Any]:
    """The facts of a run's training.

    `model`, `data`, `augment` and `trainer` hold its settings by name, defaults included; what is not set is None.
    Epochs count from 1. `sizes` are (first epoch, last epoch, pixels); `colours` are (name, smallest factor, largest
    factor).
    """
    settings: dict[str, Any] = dict(run.record["settings"])
    with contextlib.suppress(UsageError):  # this version does not know the class: only the run's own settings count
        settings = defaults_of(settings) | settings
    parts: dict[str, dict[str, Any]] = {name: defaultdict(lambda: None) for name in ("model", "data", "trainer")}
    for name, value in settings.items():
        part, _, rest = name.partition(".")
        if part in parts and isinstance(value, bool | int | float | str):
            parts[part][rest] = value
    data = parts["data"]
    augment: dict[str, Any] = defaultdict(lambda: None)
    augment |= {name.removeprefix("augment."): value for name, value in data.items() if name.startswith("augment.")}
    epochs, steps = int(run.record["last"]["epoch"]) + 1, int(run.record["last"]["step"])
    sizes = _sizes(data, epochs)
    factors = {name: _number(augment[name]) for name in COLOURS}
    return parts | {
        "name": run.experiment,
        "source": source_of(run.folder, run.record),
        "record": run.record,
        "photos": "catsdogs" in str(data["class_path"]),
        "published": is_published(run),
        "augment": augment,
        "crop": _pair(augment["crop_scale"]) if _pair(augment["crop_scale"]) != [1, 1] else None,
        "colours": [(name, 1 - factor, 1 + factor) for name, factor in factors.items() if factor],
        "mixing": [(name, augment[name]) for name in ("mixup", "cutmix") if augment[name]],
        "epochs": epochs,
        "steps": steps,
        "warmup_steps": round(_number(parts["model"]["warmup"]) * steps),
        "last_rate": f"{_number(parts['model']['lr']) * _number(parts['model']['final_factor']):g}",
        "sizes": sizes,
        "evaluated": round(sizes[-1][2] * (_number(data["eval_scale"]) or 1)) if sizes else None,
        "points": sum("val/error" in row for row in run.epochs),
        "sample": data["measure_train"] if isinstance(data["measure_train"], int) else None,
    }


def _sizes(data: dict[str, Any], epochs: int) -> list[tuple[int, int, int]]:
    schedule = {0: _number(data["size"])}
    for name, pixels in data.items():
        start = name.removeprefix("size_schedule.")
        if start.isdecimal():
            schedule[int(start)] = _number(pixels)
    starts = sorted(start for start in schedule if start < max(epochs, 1))
    return [(start + 1, end, int(schedule[start])) for start, end in zip(starts, [*starts[1:], epochs], strict=True)]


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else 0


def _pair(value: Any) -> Sequence[float] | None:
    """Two numbers, which settings store as text."""
    try:
        pair = ast.literal_eval(str(value))
    except (ValueError, SyntaxError):
        return None
    valid = isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(x, int | float) for x in pair)
    return list(pair) if valid else None
