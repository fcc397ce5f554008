"""Runs as their commands leave them, with figures that were made up, in `lightning_logs` of the test's own folder."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard import SummaryWriter

from lit_a1.report.rows import shipped

LOGS = Path("lightning_logs")


def write_events(folder: Path, epochs: Sequence[dict[str, float]]) -> None:
    """An event file as `fit` writes it: a step counts from 0."""
    with SummaryWriter(folder) as writer:
        for row in epochs:
            for name, value in row.items():
                if name != "step":
                    writer.add_scalar(name, value, int(row["step"]) - 1)


@pytest.fixture
def add_run() -> Callable[..., Path]:
    """Adds a training: one validation error an epoch, with event file, record and config."""

    def add(
        name: str, errors: Sequence[float | None], seed: int = 0, settings: dict[str, Any] | None = None,
        finished: bool = True, **about: Any,
    ) -> Path:  # fmt: skip
        runs = LOGS / name
        folder = runs / f"version_{len(list(runs.glob('version_*')))}"
        folder.mkdir(parents=True)
        epochs = [
            {"epoch": k, "step": 10 * (k + 1), "train/loss": 0.5 / (k + 1), "train/error": 0.3 / (k + 1)}
            | ({} if error is None else {"val/loss": 2 * error + 0.001 * k, "val/error": error})
            for k, error in enumerate(errors)
        ]
        write_events(folder, epochs)
        config = f"trainer:\n  max_epochs: {len(epochs) + (not finished)}\n"
        (folder / "config.yaml").write_text(config)
        if finished:
            best = min(epochs, key=lambda row: row.get("val/error", 2.0))
            record = {
                "settings": shipped(name.removesuffix("-drawn")) | {"seed": seed} | (settings or {}),
                "seed": seed, "parameters": 900_000, "seconds": 125.0, "peak_memory_gb": 1.5, "epochs": epochs,
                "best": best, "last": epochs[-1], "pictures": {"train": 18_000, "val": 2000},
                "machine": "a machine, 2 cores", "commit": "abc1234567", "finished": "2026-11-20 10:00",
                "versions": {"torch": "2.13.0", "numpy": "2.0"},
            }  # fmt: skip
            (folder / "record.json").write_text(json.dumps(record | about))
        return folder

    return add
