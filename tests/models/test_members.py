"""Trained networks, rebuilt from their checkpoints alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_a1.models import CatsDogsCNN, Ensemble, members
from lit_a1.models.members import load_member, member_files
from lit_a1.runs import folders as runs
from lit_a1.runs.records import CheckpointError
from tests.models.conftest import TINY, Save


def test_folders_mean_their_best_checkpoints(save: Save, tmp_path: Path) -> None:
    paths = [save(CatsDogsCNN(**TINY), f"runs/version_{n}/checkpoints/best.ckpt") for n in (10, 2)]
    save(CatsDogsCNN(**TINY), "runs/version_2/checkpoints/last.ckpt")
    assert member_files(str(tmp_path / "runs")) == paths[::-1]
    assert member_files(str(tmp_path / "runs" / "version_10")) == paths[:1]
    assert member_files(str(paths[0])) == paths[:1]
    assert len(Ensemble(members=[str(tmp_path / "runs"), str(save(CatsDogsCNN(**TINY), "b.ckpt"))]).members) == 3


def test_published_weights_are_known_by_the_note_beside_them(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(CatsDogsCNN(**TINY), "pretrained/x.ckpt")
    note = {"seconds": 12.5, "peak_memory_gb": 3.25, "seed": 7, "epochs": 3, "machine": "a GPU", "commit": "a1b2c3"}
    note["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(note))
    monkeypatch.setattr(runs, "PRETRAINED", path.parent)
    monkeypatch.setattr(members, "PRETRAINED", path.parent)
    member = load_member(path)
    assert (member.seed, member.training["seconds"], member.training["peak_memory_gb"]) == (7, 12.5, 3.25)
    assert (member.training["machine"], member.training["commit"]) == ("a GPU", "a1b2c3")
    path.with_suffix(".json").write_text(json.dumps(note | {"sha256": ""}))
    with pytest.raises(CheckpointError, match="is not the file that was published"):
        load_member(path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model_class": "Perceptron"}, "is a checkpoint of Perceptron; it must be one of .*CatsDogsCNN"),
        ({"Images": None}, "does not say what images it was trained on"),
        ({"hyper_parameters": {"depth": 3}}, "is of another version of CatsDogsCNN: .*depth"),
        ({"hyper_parameters": TINY | {"widths": (4, 6)}}, "with other hyperparameters"),
    ],
)
def test_checkpoints_that_cannot_be_rebuilt_are_refused(changed: dict[str, Any], words: str, save: Save) -> None:
    path = save(CatsDogsCNN(**TINY))
    torch.save(torch.load(path, weights_only=True) | changed, path)
    with pytest.raises(CheckpointError, match=words):
        load_member(path)
