"""The trained networks that the page can show: published weights and the runs below a folder, each read once."""

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from lit_a1.runs.folders import PRETRAINED, pretrained, run_folders
from lit_a1.runs.records import RECORD_FILE, CheckpointError, read_json
from lit_a1.runs.settings import UsageError

KINDS = {"photos": "CNN of cats and dogs", "digits": "CNN of digits", "perceptrons": "numpy network"}


class Networks:
    """The files of the networks by kind (of `KINDS`) and label, published ones first, the most accurate first.

    Hold `lock` while using a network: an analysis hooks into its layers, which two analyses can't do at once.
    """

    def __init__(self, logs: Path) -> None:
        self.lock = threading.Lock()
        self.banks: dict[str, Any] = {}  # by label: training photos to find nearest neighbours in, once asked for
        self.paths: dict[str, dict[str, Path]] = {kind: {} for kind in KINDS}
        for kind, label, path in (*_published(), *_runs(logs)):
            self.paths[kind][label] = path

    def labels(self, kind: str) -> list[str]:
        """The labels to choose from."""
        return list(self.paths[kind])

    def path(self, kind: str, label: str | None) -> Path:
        """The file of a network; a UsageError if there is no such label, a CheckpointError if the file is damaged."""
        if label not in self.paths[kind]:
            raise UsageError(f"There is no {KINDS[kind]} {label or 'to choose'}: train one with fit.")
        path = self.paths[kind][label]
        return pretrained(path.stem, path.suffix) if path.parent == PRETRAINED else path

    def note(self, kind: str, label: str) -> dict[str, Any]:
        """The published note on a network; empty for a run's network."""
        path = self.path(kind, label)
        return (read_json(path.with_suffix(".json")) or {}) if path.parent == PRETRAINED else {}

    @functools.cache  # noqa: B019  # there is one, which lives as long as the process
    def cnn(self, kind: str, label: str | None) -> Any:
        """A `TrainedNetwork` without images; raises as `load_member` and `path`."""
        from lit_a1.analysis.network import without_images  # these take seconds, which the page need not wait for
        from lit_a1.models.members import load_member

        return without_images(label or "", load_member(self.path(kind, label)))

    @functools.cache  # noqa: B019
    def perceptron(self, label: str | None) -> Any:
        """An `NN`; raises as `load_weights` and `path`."""
        from lit_a1.mlp.setup import Setup, load_weights

        path = self.path("perceptrons", label)
        net = Setup({}).like(path).network()
        load_weights(net, path)
        return net

    def warm_up(self) -> None:
        """Loads the first network of each kind, so that the first answer is as fast as later ones."""
        from lit_a1.analysis import attention, calibration, feature_maps  # noqa: F401
        from lit_a1.studies.comparison import changes  # noqa: F401

        for kind, labels in self.paths.items():
            for label in list(labels)[:1]:
                with self.lock, suppress(CheckpointError):  # the error appears when it is asked for
                    self.perceptron(label) if kind == "perceptrons" else self.cnn(kind, label)


def _published() -> Iterator[tuple[str, str, Path]]:
    """Kind, label and file of each published network, the smallest validation error first."""
    notes = {path: json.loads(path.read_text(encoding="utf-8")) for path in PRETRAINED.glob("*.json")}
    for path, note in sorted(notes.items(), key=lambda item: item[1]["val_error"]):
        suffix = Path(note["checkpoint"]).suffix
        yield _kind(suffix, path.stem.startswith("mnist")), f"{path.stem} (published)", path.with_suffix(suffix)


def _runs(logs: Path) -> Iterator[tuple[str, str, Path]]:
    """Kind, label and file of each finished run, the newest of an experiment first."""
    for experiment in sorted(path for path in logs.glob("*") if path.is_dir()):
        for run in reversed(run_folders(experiment)):
            settings = (read_json(run / RECORD_FILE) or {}).get("settings")
            for path in (run / "checkpoints" / f"best{suffix}" for suffix in (".ckpt", ".npz")):
                if settings and path.is_file():
                    digits = str(settings.get("data.class_path")).endswith("MNISTDataModule")
                    yield _kind(path.suffix, digits), f"{experiment.name}, {run.name}", path


def _kind(suffix: str, digits: bool) -> str:
    return "perceptrons" if suffix == ".npz" else "digits" if digits else "photos"
