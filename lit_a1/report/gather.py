"""Finds what was run: finished trainings, studies and analyses, and runs that were stopped or can't be read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from lit_a1.analysis import PARTS as ANALYSES
from lit_a1.analysis.result import INDEX, AnalysisResult, read_result
from lit_a1.environment import REPOSITORY
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import DRAWN, relative_to_cwd, run_folders
from lit_a1.runs.records import RECORD_FILE, read_json
from lit_a1.runs.settings import PARTS, UsageError
from lit_a1.studies.curves import read

RECORDED = REPOSITORY / "docs" / "studies"  # part of the project, and shown for studies that have not been run
Kind = type | tuple[type, ...]
NUMBER = (int, float)
TRAINING_FIELDS: dict[str, Kind] = {  # fields of a training's record, and their types
    **dict.fromkeys(("settings", "images", "best", "last", "versions"), dict),
    **dict.fromkeys(("commit", "machine", "finished"), str),
    **dict.fromkeys(("seconds", "parameters", "peak_memory_gb"), NUMBER),
    "epochs": list,
    "seed": (int, list),
}
STUDY_FIELDS: dict[str, Kind] = {  # optional fields of a study's record, and their types
    **dict.fromkeys(("commit", "machine", "setup", "weights"), str),
    "trials": dict,
    "seed": (int, list),
}
LIMITS: dict[str, tuple[str, ...]] = {  # trainer settings that leave out images or steps, except at these values
    **dict.fromkeys(("limit_train_batches", "limit_val_batches"), ("1.0",)),
    **dict.fromkeys(("fast_dev_run", "overfit_batches"), ("False", "0", "0.0")),
    "max_steps": ("-1",),
    "max_time": (),
}


class Study(NamedTuple):
    """What a study wrote: a record, a text, tables, figures."""

    folder: Path
    record: dict[str, Any]
    recorded: bool  # it comes with the project, and was not run here


@dataclass(frozen=True)
class Analysis:
    """What `analyze` wrote about one network: its index, the readable parts, the names of the unreadable ones."""

    folder: Path
    index: dict[str, Any]
    parts: dict[str, AnalysisResult]
    unreadable: list[str]


@dataclass(frozen=True)
class RecordedRuns:
    """Everything below a folder of runs; for each kind of image, either runs on real or runs on drawn images count."""

    logs: Path
    drawn_digits: bool = False
    drawn_photos: bool = False

    def drawn(self, name: str) -> bool:
        """Whether an experiment's runs on drawn images count."""
        return self.drawn_digits if _is_digits(name) else self.drawn_photos

    def folder(self, name: str) -> Path:
        """The folder of an experiment's runs."""
        return self.logs / (f"{name}{DRAWN}" if self.drawn(name) else name)

    def versions(self, name: str) -> list[Path]:
        """Folders of an experiment's runs, oldest first."""
        return run_folders(self.folder(name))

    def trainings(self, name: str) -> list[Run]:
        """Finished trainings of an experiment, oldest first."""
        return [run for path in self.versions(name) if isinstance(run := _training(path), Run)]

    def newest(self, name: str) -> Run | None:
        """The newest finished training of an experiment."""
        return runs[-1] if (runs := self.trainings(name)) else None

    def runs_with_newest_settings(self, name: str) -> list[Run]:
        """Trainings with the settings of the newest one, sorted by seed; only the newest of each seed."""
        trainings = self.trainings(name)
        runs = {str(run.seed): run for run in trainings if run.settings == trainings[-1].settings}
        return [runs[seed] for seed in sorted(runs, key=lambda seed: (len(seed), seed))]

    def unfinished(self, name: str) -> list[str]:
        """A sentence for each folder of an experiment without a finished run, which says why."""
        return [reason for path in self.versions(name) if isinstance(reason := _training(path), str)]

    def study(self, name: str) -> Study | None:
        """The newest finished run of a study, or else the one that comes with the project, on real digits."""
        candidates = [(path, False) for path in reversed(self.versions(name))]
        if not self.drawn(name):
            candidates.append((RECORDED / name, True))
        for path, recorded in candidates:
            if (record := read_json(path / RECORD_FILE)) is not None and _is_study_record(record):
                return Study(path, record, recorded)
        return None

    def damaged(self) -> list[Path]:
        """Records of studies and indices of analyses that exist but are invalid."""
        paths = self.logs.glob(f"m*-*/version_*/{RECORD_FILE}")
        studies = [path for path in paths if "-" in path.parts[-3].removesuffix(DRAWN)]  # not trainings on drawn digits
        damaged = [path for path in studies if (record := read_json(path)) is None or not _is_study_record(record)]
        damaged += [path for path in self.logs.glob(f"*/*/*/{INDEX}") if read_json(path) is None]
        return sorted(map(relative_to_cwd, damaged))


def gather(logs: Path, source: str) -> RecordedRuns:
    """The runs below a folder; `source` is `real`, `drawn`, or `auto`: drawn if nothing else was run."""
    if source != "auto":
        return RecordedRuns(logs, source == "drawn", source == "drawn")
    names = {path.parent.name for path in logs.glob("*/version_*")}
    kinds = [[name.endswith(DRAWN) for name in names if _is_digits(name) == digits] for digits in (True, False)]
    return RecordedRuns(logs, *(bool(drawn) and all(drawn) for drawn in kinds))


def _is_digits(name: str) -> bool:
    return name.startswith(("mlp", "mnist"))


def _training(folder: Path) -> Run | str:
    """A finished training, or why there is none."""
    if not (folder / RECORD_FILE).is_file():
        return f"`{relative_to_cwd(folder)}` has no {RECORD_FILE}: its training has not ended."
    try:
        run = read(folder)
    except UsageError as error:
        return f"{error}"
    if "diverged" in run.record:
        return f"`{relative_to_cwd(folder)}` is left out. {run.record['diverged']}"
    path, missing = relative_to_cwd(folder / RECORD_FILE), _missing_fields(run)
    if missing:
        return f"`{path}` is not that of a training: it lacks {', '.join(missing)}."
    values = {name: run.settings.get(f"trainer.{name}") for name in LIMITS}
    limits = [f"{name}={value}" for name, value in values.items() if str(value) not in ("None", *LIMITS[name])]
    if limits:
        return f"`{relative_to_cwd(folder)}` is no whole run, and is left out: it was limited by {', '.join(limits)}."
    return run


def _missing_fields(run: Run) -> list[str]:
    """What the record of a training lacks."""
    record = run.record
    if missing := [name for name, kind in TRAINING_FIELDS.items() if not isinstance(record.get(name), kind)]:
        return missing
    rows, images = [record["best"], record["last"], *record["epochs"]], record["images"]
    settings = record["settings"]
    classes = [value for name, value in settings.items() if name.endswith("class_path")]
    valid = {name.partition(".")[0] for name in settings} <= {*PARTS, "seed"} and _all_of(str, classes)
    valid &= _all_of((*NUMBER, str), settings.values())
    try:
        valid &= run.augmented is not None
    except (LookupError, SyntaxError, TypeError, ValueError):
        valid = False
    checks = {
        "whole epochs": bool(record["epochs"]) and all(map(_is_epoch, rows)),
        "how many images": {"train", "val"} <= images.keys() and _all_of(int, images.values()),
        "settings": valid,
        "versions": _all_of(str, record["versions"].values()) and {"torch", "numpy"} <= record["versions"].keys(),
        "seed": not isinstance(run.seed, list) or _all_of(int, run.seed),
        "setup": isinstance(record.get("setup", ""), str),
    }
    return [name for name, passed in checks.items() if not passed]


def _is_epoch(row: object) -> bool:
    """Whether these are the metrics of an epoch; losses may be infinite, errors must be from 0 to 1."""
    if not isinstance(row, dict) or not {"epoch", "step"} <= row.keys() or not _all_of(NUMBER, row.values()):
        return False
    shares = [value for name, value in row.items() if name.endswith("error")]
    return isfinite(row["epoch"] + row["step"]) and all(0 <= share <= 1 for share in shares)


def _all_of(kind: Kind, values: Iterable[object]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _is_study_record(record: dict[str, Any]) -> bool:
    return all(isinstance(record[name], kind) for name, kind in STUDY_FIELDS.items() if name in record)


def read_analysis(folder: Path) -> Analysis | None:
    """What `analyze` wrote in a folder; None if there is nothing."""
    parts = {name: read_result(folder / f"{name}.json") for name in ANALYSES if (folder / f"{name}.json").is_file()}
    if not parts:
        return None
    readable = {name: part for name, part in parts.items() if part is not None}
    unreadable = [name for name in parts if name not in readable]
    return Analysis(folder, read_json(folder / INDEX) or {}, readable, unreadable)


def source_of(folder: Path, record: dict[str, Any]) -> str:
    """Where numbers come from: `lightning_logs/mlp/version_0, seed 0, commit 68341960fb, AMD EPYC, 2 cores`."""
    seed = record.get("seed")
    seeds = f"seeds {', '.join(map(str, seed))}" if isinstance(seed, list) else f"seed {seed}"
    about = [f"commit {record.get('commit') or 'unknown'}", record.get("machine") or "machine unknown"]
    return ", ".join([display_path(folder), *([] if seed is None else [seeds]), *about])


def sources(runs: Sequence[Run]) -> str:
    """Where the numbers of several runs come from."""
    return "; ".join(source_of(run.folder, run.record) for run in runs)


def display_path(folder: Path) -> str:
    """A path as the report shows it: relative to the current or the project's folder, if it lies below one of them."""
    folder = folder.resolve()
    roots = [root for root in (Path.cwd(), REPOSITORY) if folder.is_relative_to(root)]
    return str(folder.relative_to(roots[0]) if roots else folder)
