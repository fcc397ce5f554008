"""What has been run: finished trainings, studies and analyses, and what was stopped or can't be read."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lit_a1.analysis.comparison_runs import Run
from lit_a1.analysis.curves import read
from lit_a1.analysis.part import INDEX
from lit_a1.mlp.setup import UsageError
from lit_a1.report.rows import REPOSITORY
from lit_a1.runs import DRAWN, RECORD_FILE, Figures, near

RECORDED = REPOSITORY / "docs" / "studies"
"""Studies that come with the project, shown where one has not been run."""
NEEDED = ("settings", "epochs", "seconds", "pictures", "parameters", "best", "last")


@dataclass(frozen=True)
class Unfinished:
    """The folder of a run without a record that can be read."""

    folder: Path
    reason: str
    """In a sentence, with what its event file still tells."""


@dataclass(frozen=True)
class Study:
    """What a study left: a record, words, tables, figures."""

    folder: Path
    record: dict[str, Any]
    recorded: bool
    """It was not run here, but comes with the project."""

    def words(self, name: str) -> str | None:
        """A text of the study, `comparison.md`; None where it is gone."""
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    @property
    def source(self) -> str:
        """Folder, seed, commit, machine."""
        return source_of(self.folder, self.record)


@dataclass(frozen=True)
class Looked:
    """What `analyze` left of one network: its index, and the parts that can be read."""

    folder: Path
    index: dict[str, Any]
    parts: dict[str, dict[str, Any]]
    unreadable: list[str]
    """Sentences on parts that can't be read."""


@dataclass(frozen=True)
class Gathered:
    """Everything below a folder of runs."""

    logs: Path
    drawn: bool
    """Whether runs on drawn pictures are meant."""

    def folder(self, name: str) -> Path:
        """Of an experiment's runs."""
        return self.logs / (name + DRAWN * self.drawn)

    def versions(self, name: str) -> list[Path]:
        """Folders of an experiment's runs, oldest first."""
        numbered = {
            int(path.name[8:]): path for path in self.folder(name).glob("version_*") if path.name[8:].isdecimal()
        }
        return [numbered[number] for number in sorted(numbered)]

    def trainings(self, name: str) -> list[Run]:
        """Finished trainings of an experiment, oldest first."""
        return [found for path in self.versions(name) if isinstance(found := self._training(path), Run)]

    def alike(self, name: str) -> list[Run]:
        """The newest training of each seed that has the settings of the newest one, by seed."""
        runs: dict[str, Run] = {}
        newest: Run | None = None
        for run in reversed(self.trainings(name)):
            newest = newest or run
            if run.settings == newest.settings:
                runs.setdefault(str(run.seed), run)
        return [runs[seed] for seed in sorted(runs)]

    def unfinished(self, name: str) -> list[Unfinished]:
        """Folders of an experiment that hold no finished run."""
        found = [(path, self._training(path)) for path in self.versions(name)]
        return [Unfinished(path, reason) for path, reason in found if isinstance(reason, str)]

    def _training(self, folder: Path) -> Run | str:
        """A finished training, or why there is none."""
        if not (folder / RECORD_FILE).is_file():
            return _stopped(folder)
        try:
            run = read(folder)
        except UsageError as error:
            return f"{error}"
        if lacking := [name for name in NEEDED if not run.record.get(name)]:
            return f"`{near(folder / RECORD_FILE)}` is not that of a training: it lacks {', '.join(lacking)}."
        return run

    def study(self, name: str) -> Study | None:
        """The newest finished run of a study; else the one that comes with the project, of real digits."""
        folders = self.versions(name)[::-1]
        found = [(path, False) for path in folders] + [(RECORDED / name, True)] * (not self.drawn)
        for path, recorded in found:
            record = _json(path / RECORD_FILE)
            if isinstance(record, dict):
                return Study(path, record, recorded)
        return None

    def looked(self, run: Path) -> Looked | None:
        """The analysis of a run; None where there is none. `run` may be the folder of an analysis itself."""
        folder = run / "analysis" if (run / "analysis").is_dir() else run
        paths = sorted(folder.glob("*.json"))
        parts, unreadable = {}, []
        for path in paths:
            if path.name in (INDEX, RECORD_FILE, "validate.json", "test.json"):
                continue
            found = _json(path)
            if isinstance(found, dict) and found.keys() >= {"title", "words", "numbers", "figures", "tables"}:
                parts[path.stem] = found
            else:
                unreadable.append(f"`{near(path)}` can't be read: it is damaged, or not the part of an analysis.")
        index = _json(folder / INDEX)
        if not parts and not unreadable:
            return None
        return Looked(folder, index if isinstance(index, dict) else {}, parts, unreadable)

    @cached_property
    def is_empty(self) -> bool:
        """Whether nothing has been run."""
        return not any(self.logs.glob("*/version_*"))


def gather(logs: Path, source: str) -> Gathered:
    """What is below a folder of runs.

    Args:
        logs: `lightning_logs`.
        source: `real`, `drawn`, or `auto`: drawn pictures only where nothing was run on real ones.
    """
    if source != "auto":
        return Gathered(logs, source == "drawn")
    names = {path.parent.name for path in logs.glob("*/version_*")}
    return Gathered(logs, bool(names) and all(name.endswith(DRAWN) for name in names))


def test_figures(run: Run) -> dict[str, Any]:
    """What `test` left beside a run: `checkpoint`, `test/loss`, `test/error`; empty where it was not tested."""
    found = _json(run.folder / "test.json")
    return found if isinstance(found, dict) and "test/error" in found else {}


def source_of(folder: Path, record: dict[str, Any]) -> str:
    """Where numbers are from: `lightning_logs/mlp/version_0, seed 0, commit 68341960fb, AMD EPYC, 2 cores`."""
    seed = record.get("seed")
    seeds = f"seeds {', '.join(map(str, seed))}" if isinstance(seed, list) else f"seed {seed}" * (seed is not None)
    parts = [str(shown(folder)), seeds, f"commit {record.get('commit') or 'unknown'}"]
    return ", ".join(part for part in [*parts, record.get("machine") or "machine unknown"] if part)


def sources(runs: Sequence[Run]) -> str:
    """The same of several runs."""
    return "; ".join(source_of(run.folder, run.record) for run in runs)


def shown(folder: Path) -> Path:
    """A path as the report names it: within the project, if it is there."""
    folder = folder.resolve()
    return folder.relative_to(REPOSITORY) if folder.is_relative_to(REPOSITORY) else near(folder)


def _json(path: Path) -> Any:
    """What a JSON file holds; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _stopped(folder: Path) -> str:
    """What is known of a run that did not end."""
    epochs = scalars(folder)
    planned = _planned(folder)
    of = f" of {planned}" if planned else ""
    if not epochs:
        return f"`{near(folder)}` has no {RECORD_FILE} and no figures: it was stopped before an epoch had ended."
    measured = [row for row in epochs if "val/error" in row]
    said = f"`{near(folder)}` has no {RECORD_FILE}: it was stopped, or is still running, after epoch {len(epochs)}{of}"
    if measured:
        said += f"; its last validation error is {100 * measured[-1]['val/error']:.2f} %"
    return said + "."


def _planned(folder: Path) -> int | None:
    try:
        settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        return int(settings["trainer"]["max_epochs"])
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        return None


def scalars(folder: Path) -> list[Figures]:
    """The epochs in a run's event files, by TensorBoard's tags; what a torn file still holds, none where there is none.

    Args:
        folder: of the run.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not any(folder.glob("events.out.tfevents.*")):
        return []
    log = logging.getLogger("tensorboard")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it warns of a torn end, which is told in the report
    try:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
    finally:
        log.setLevel(level)
    rows: dict[int, Figures] = {}
    for tag in events.Tags()["scalars"]:
        if tag.startswith(("train/", "val/", "train_eval/")):
            for event in events.Scalars(tag):
                rows.setdefault(event.step, {})[tag] = event.value
    return [row | {"step": step + 1} for step, row in sorted(rows.items()) if "train/error" in row]
