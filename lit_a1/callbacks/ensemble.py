"""What an ensemble was measured at: a line for each member alone and one for the mean, and the record of the run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from lit_a1.data.files import write_text
from lit_a1.data.module import PictureDataModule
from lit_a1.environment import commit, machine, peak_memory_gb
from lit_a1.models.ensemble import MEMBER, Ensemble
from lit_a1.models.members import Member
from lit_a1.runs.folders import RECORD_FILE, near, new_version, record_of
from lit_a1.runs.wording import counted, listed


class EnsembleRecord(Callback):
    """Prints an ensemble's figures beside those of its members; leaves `record.json` (or `test.json`) in a new folder.

    The record has the keys of a training's. What was spent is the sum over the members: `parameters`, `seconds`, and
    the `epoch` and `step` of its only row of figures; `seed` is a list.

    Args:
        settings: of the command, flat: `{"model.members": ..., ...}`.
        runs: the folder of the experiment, `lightning_logs/NAME`; None writes nothing.
    """

    def __init__(self, settings: dict[str, Any] | None = None, runs: Path | None = None) -> None:
        self.settings, self.runs = settings or {}, runs

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints, and writes the record."""
        assert isinstance(pl_module, Ensemble)
        figures, alone = _figures(trainer, len(pl_module.members))
        say("val", pl_module.members, figures, alone)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if self.runs is None or not isinstance(data, PictureDataModule):
            return
        pictures = {part: len(pictures) for part, pictures in data.sets.items()}
        record = self._record(pl_module.members, figures, alone, pictures)
        folder = new_version(self.runs)
        write_text(folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")
        print(f"Record: {near(folder / RECORD_FILE)}")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints, and writes the figures."""
        assert isinstance(pl_module, Ensemble)
        figures, alone = _figures(trainer, len(pl_module.members))
        say("test", pl_module.members, figures, alone)
        if self.runs is not None:
            members = _about(pl_module.members, alone, "test")
            file = new_version(self.runs) / "test.json"
            write_text(file, json.dumps({"members": members, **figures}, indent=1) + "\n")
            print(f"Figures: {near(file)}")

    def _record(
        self,
        members: Sequence[Member],
        figures: dict[str, float],
        alone: Sequence[dict[str, float]],
        pictures: dict[str, int],
    ) -> dict[str, Any]:
        if unknown := [str(member.path) for member in members if "seconds" not in member.training]:
            print(f"Not counted in seconds, as no {RECORD_FILE} is beside it: {listed(unknown)}.")
        epochs = sum(len(member.training.get("epochs", ())) or member.epoch for member in members)
        row = {"epoch": epochs - 1, "step": sum(member.step for member in members)} | figures
        return record_of(
            [row],
            settings=self.settings,
            seed=[member.seed for member in members],
            pictures=pictures,
            parameters=sum(member.parameters for member in members),
            seconds=round(sum(member.training.get("seconds", 0.0) for member in members), 1),
            peak_memory_gb=round(max(_memory(members), peak_memory_gb()), 2),
            machine=machine(),
            commit=commit(),
            members=_about(members, alone, "val"),
        )


def _memory(members: Sequence[Member]) -> float:
    return max(member.training.get("peak_memory_gb", 0.0) for member in members)


def _figures(trainer: L.Trainer, count: int) -> tuple[dict[str, float], list[dict[str, float]]]:
    """The ensemble's figures by tag, and each member's `loss` and `error`."""
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    names = {number: MEMBER.format(number) for number in range(count)}
    alone = [{name: figures.pop(f"{names[number]}/{name}") for name in ("loss", "error")} for number in range(count)]
    return figures, alone


def _about(members: Sequence[Member], alone: Sequence[dict[str, float]], stage: str) -> list[dict[str, Any]]:
    return [
        {
            "checkpoint": str(near(member.path)),
            "model_class": type(member.model).__qualname__,
            "seed": member.seed,
            f"{stage}/error": own["error"],
        }
        for member, own in zip(members, alone, strict=True)
    ]


def say(stage: str, members: Sequence[Member], figures: dict[str, float], alone: Sequence[dict[str, float]]) -> None:
    """Prints a line for each member alone and one for the mean.

    Args:
        stage: `val` or `test`.
        members: of the ensemble.
        figures: of the mean, by tag.
        alone: `loss` and `error` of each member.
    """
    lines = [(str(near(member.path)), own) for member, own in zip(members, alone, strict=True)]
    lines.append(
        (f"mean of {counted(len(members), 'member')}", {k: figures[f"{stage}/{k}"] for k in ("loss", "error")})
    )
    width = max(len(name) for name, _ in lines)
    for name, own in lines:
        error = own["error"]
        print(f"{name:{width}}  {stage}/loss {own['loss']:.4f}  {stage}/error {error:.4f}  ({1 - error:.2%} right)")
