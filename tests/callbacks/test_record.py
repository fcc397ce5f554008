"""The record of a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from lit_a1 import environment
from lit_a1.callbacks import record
from lit_a1.callbacks.record import RunRecord
from lit_a1.models import CatsDogsCNN, FineTunedCNN
from tests.models import conftest
from tests.models.conftest import SMALL


def fit(folder: Path, model: CatsDogsCNN, epochs: int, checkpoint: Path | None = None) -> dict[str, Any]:
    """Trains, keeps what it ends with in FOLDER/last.ckpt, and returns the record."""
    logger = TensorBoardLogger(folder, name="", version=0)
    runner = conftest.fit(model, resume=checkpoint, max_epochs=epochs, callbacks=[RunRecord()], logger=logger)
    runner.save_checkpoint(folder / "last.ckpt")
    return json.loads((folder / "version_0" / "record.json").read_text())


def test_a_resumed_run_names_all_code_and_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or epochs of changed code would pass for those of the commit that it ended with."""
    for number, (code, machine) in enumerate([("a1+", "here"), ("b2", "here"), ("b2", "there")], 1):
        monkeypatch.setattr(environment, "commit", lambda code=code: code)
        monkeypatch.setattr(record, "machine", lambda on_cpu, machine=machine: machine if on_cpu else "a GPU")
        found = fit(tmp_path, CatsDogsCNN(**SMALL), number, tmp_path / "last.ckpt" if number > 1 else None)
    assert (found["commit"], found["machine"]) == ("a1+ and b2", "here and there")
    assert "began_with" not in found


def test_what_training_began_with_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "commit", lambda: "")
    (tmp_path / "first").mkdir()
    assert fit(tmp_path / "first", CatsDogsCNN(**SMALL), 1)["commit"] == ""  # outside a checkout
    start = str(tmp_path / "first" / "last.ckpt")
    assert fit(tmp_path, FineTunedCNN(start=start, **SMALL), 1)["began_with"] == [start]
