"""A training that is cut anywhere ends as one that was not."""

import itertools
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, OnExceptionCheckpoint

from lit_a1.cli import main
from tests.test_training import SMALL

TINY = [
    *SMALL, "--trainer.max_epochs", "3", "--data.size_schedule", "{0: 8}", "--model.dropout", "0.3",
    "--data.batch_size", "16", "--data.augment.cutout", "0.3", "--data.measure_train", "8",
]  # fmt: skip
STEPS = 64 // 16


def fit(*flags: str, name: str = "cut") -> Path:
    main(["fit", *TINY, "--trainer.logger.init_args.name", name, *flags])
    return Path("lightning_logs", name, "version_0")


def state(run: Path, name: str) -> dict[str, Any]:
    """Weights and optimiser of a checkpoint."""
    found = torch.load(run / "checkpoints" / name, weights_only=True)
    tensors = dict(found["state_dict"])
    for number, each in found["optimizer_states"][0]["state"].items():
        tensors |= {f"{number} {key}": torch.as_tensor(value) for key, value in each.items()}
    return tensors | {"step": torch.tensor(found["global_step"])}


def check_same(run: Path, whole: Path, scalars: Callable[[Path], Any]) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        ours, theirs = state(run, name), state(whole, name)
        assert ours.keys() == theirs.keys()
        for key, tensor in theirs.items():
            assert torch.equal(ours[key], tensor), (name, key)
    records = [json.loads((each / "record.json").read_text())["epochs"] for each in (run, whole)]
    for row in itertools.chain(*records):
        row.pop("train/images_per_second", None)
    assert records[0] == records[1]
    ours, theirs = scalars(run), scalars(whole)
    for tag in ("train/loss", "val/loss", "train/gradient_norm", "train/learning_rate"):
        assert dict(ours[tag]) == dict(theirs[tag]), tag
