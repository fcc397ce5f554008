"""The model card: what is known of exported weights, from the run's record or the note on published weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lit_a1.environment import PROGRAM
from lit_a1.export.graph import INPUT, OUTPUT, ExportedModel
from lit_a1.runs.folders import DRAWN, PRETRAINED
from lit_a1.runs.records import RECORD_FILE, read_record, test_metrics, version_of
from lit_a1.runs.settings import flat
from lit_a1.runs.statistics import wilson
from lit_a1.runs.templates import render

FRONT_MATTER = """\
---
license: mit
library_name: onnx
pipeline_tag: image-classification
---

"""
IN_PARTS = {"train_eval": "training", "val": "validation", "test": "test"}


class MeasuredError(NamedTuple):
    """A measured error."""

    part: str  # of the images: training, validation or test
    error: float
    images: int | None  # how many there were, if known

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval, of 95 %."""
        return wilson(self.error, self.images) if self.images else None


class WeightsInfo(NamedTuple):
    """What is known of the weights in a file."""

    path: Path
    epoch: int  # number of epochs that the weights were trained for
    about: dict[str, Any]  # seed, seconds, machine, versions, commit, finished, command: those recorded
    settings: dict[str, Any]  # flat, as far as they are recorded
    errors: list[MeasuredError]

    @property
    def is_best(self) -> bool:
        """Whether the epoch was chosen on the validation images."""
        return Path(self.about.get("checkpoint", self.path)).stem == "best"

    @property
    def drawn(self) -> bool:
        """Whether the weights were trained on images that this project drew."""
        named = version_of(self.path) is not None and self.path.resolve().parents[2].name.endswith(DRAWN)
        return named or self.settings.get("data.source") == "drawn"


def weights_info(path: Path, epoch: int, training: dict[str, Any], model: dict[str, Any]) -> WeightsInfo:
    """What is known of a file of weights.

    Args:
        path: of a run, published, or anywhere.
        epoch: number of epochs that the weights were trained for.
        training: what the file itself records about its run: `epochs`, `seconds`, `settings` ...; or nothing.
        model: the hyperparameters of the network, if the file has them.

    Raises:
        CheckpointError: the record of its run is damaged.
    """
    if path.resolve().parent == PRETRAINED.resolve():
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        rows = [(part, note.get(f"{part}_error"), note.get(f"{part}_images")) for part in IN_PARTS]
        return WeightsInfo(path, epoch, note, _settings(training, model), _errors(rows))
    run = path.parent.parent
    record = read_record(run) if (run / RECORD_FILE).is_file() else training
    row: dict[str, Any] = next((row for row in record.get("epochs", ()) if row.get("epoch") == epoch - 1), {})
    counts, test_results = record.get("images", {}), test_metrics(run)
    measured_train = record.get("settings", {}).get("data.measure_train")
    if type(measured_train) is int:  # a sample
        counts = counts | {"train": min(measured_train, counts.get("train", measured_train))}
    rows = [("train_eval", row.get("train_eval/error"), counts.get("train"))]
    rows += [("val", row.get("val/error"), counts.get("val"))]
    if test_results.get("checkpoint") == path.name:
        rows.append(("test", test_results["test/error"], test_results.get("images")))
    about = {key: value for key, value in record.items() if key not in ("epochs", "settings")}
    return WeightsInfo(path, epoch, about, _settings(record, model), _errors(rows))


def _settings(record: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    recorded = record.get("settings", {})
    return recorded if len(recorded) > 1 else flat({"model": model})  # published weights only record the seed


def _errors(rows: Sequence[tuple[str, Any, Any]]) -> list[MeasuredError]:
    return [MeasuredError(IN_PARTS[part], float(error), images) for part, error, images in rows if error is not None]


def card(name: str, exported: ExportedModel, sources: Sequence[WeightsInfo], difference: float) -> str:
    """The card of an experiment in Markdown; `difference` is the one that `to_onnx` returns."""
    height, width, channels = exported.shape
    return FRONT_MATTER + render(
        "export/card.md.j2",
        name=name,
        photos=channels == 3,
        height=height,
        width=width,
        channels=channels,
        classes=exported.classes,
        parameters=sum(parameter.numel() for part in exported.parts for parameter in part.net.parameters()),
        parts=exported.parts,
        sources=sources,
        drawn=any(source.drawn for source in sources),
        difference=difference,
        input=INPUT,
        output=OUTPUT,
        program=PROGRAM,
    )
