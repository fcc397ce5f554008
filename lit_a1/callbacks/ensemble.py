"""An ensemble's metrics and those of its members, printed and recorded."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from lit_a1.callbacks.record import measured_images
from lit_a1.environment import commit, machine, peak_memory_gb
from lit_a1.models.ensemble import MEMBER, Ensemble
from lit_a1.runs.folders import new_version, relative_to_cwd
from lit_a1.runs.records import RECORD_FILE, is_part, record_of, write_json
from lit_a1.runs.wording import counted, listed


class EnsembleRecord(Callback):
    """Prints an ensemble's metrics and those of its members; writes `record.json` (or `test.json`) to a new folder.

    The record has the keys of a training's record. Costs are sums over the members: `parameters`, `seconds`, and the
    `epoch` and `step` of its only row of metrics. `seed` is a list. `settings` are flat: `{"model.members": ...}`.
    `runs` is the folder of the experiment, `lightning_logs/NAME`; with None, nothing is written.
    """

    def __init__(self, settings: dict[str, Any], runs: Path | None) -> None:
        self.settings, self.runs = settings, runs

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints, and writes the record."""
        assert isinstance(pl_module, Ensemble)
        if not trainer.is_global_zero:
            return
        members, (entries, metrics) = pl_module.members, _print_metrics("val", trainer, pl_module)
        if is_part(*measured_images(trainer)) or self.runs is None:
            return
        if unknown := [str(member.path) for member in members if "seconds" not in member.training]:
            print(f"Not counted in seconds, for lack of a {RECORD_FILE}: {listed(unknown)}.")
        epochs = sum(len(member.training.get("epochs", ())) or member.epoch for member in members)
        memory = [peak_memory_gb(), *(member.training.get("peak_memory_gb", 0.0) for member in members)]
        record = record_of(
            [{"epoch": epochs - 1, "step": sum(member.step for member in members)} | metrics],
            settings=self.settings,
            seed=[member.seed for member in members],
            images={part: len(image_set) for part, image_set in trainer.datamodule.sets.items()},  # type: ignore[attr-defined]
            parameters=sum(member.parameters for member in members),
            seconds=round(sum(member.training.get("seconds", 0.0) for member in members), 1),
            peak_memory_gb=round(max(memory), 2),
            machine=machine(pl_module.device.type == "cpu"),
            commit=commit(),
            members=entries,
        )
        _write("Record", new_version(self.runs) / RECORD_FILE, record)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints, and writes the metrics."""
        assert isinstance(pl_module, Ensemble)
        if not trainer.is_global_zero:
            return
        entries, metrics = _print_metrics("test", trainer, pl_module)
        if not is_part(*(images := measured_images(trainer))) and self.runs is not None:
            content = {"members": entries, "images": images[0], **metrics}
            _write("Metrics", new_version(self.runs) / "test.json", content)


def _print_metrics(stage: str, trainer: L.Trainer, ensemble: Ensemble) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Prints a line for each member and one for their mean; returns the members' record entries, and the metrics."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    entries, lines = [], []
    for number, member in enumerate(ensemble.members):
        loss, error = (metrics.pop(f"{MEMBER.format(number)}/{name}") for name in ("loss", "error"))
        path, model_class = str(relative_to_cwd(member.path)), type(member.model).__qualname__
        entries.append({"checkpoint": path, "model_class": model_class, "seed": member.seed, f"{stage}/error": error})
        lines.append((path, loss, error))
    lines.append((f"mean of {counted(len(entries), 'member')}", metrics[f"{stage}/loss"], metrics[f"{stage}/error"]))
    width = max(len(name) for name, *_ in lines)
    for name, loss, error in lines:
        print(f"{name:{width}}  {stage}/loss {loss:.4f}  {stage}/error {error:.4f}  ({1 - error:.2%} right)")
    return entries, metrics


def _write(title: str, path: Path, content: dict[str, Any]) -> None:
    write_json(path, content)
    print(f"{title}: {relative_to_cwd(path)}")
