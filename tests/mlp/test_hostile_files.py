"""Files of weights of the numpy network that are damaged, foreign or hostile: refused, and nothing is run."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lit_a1.mlp import files
from tests.hostile import FILES, MIB, MLP, Touch, repacked

pytest_plugins = ["tests.hostile"]
pytestmark = pytest.mark.long


WITHOUT_RUN = {
    **{name: FILES[name] for name in FILES if name.startswith(("empty", "text", "a page", "cut", "its", "a list"))},
    "a pickle": lambda data: arrays(data, w1=np.array([Touch()], dtype=object)),
    "a lone pickle": lambda data: pickle.dumps(Touch()),
    "other kinds of numbers": lambda data: arrays(data, w1=np.zeros((784, 8), complex)),
    "no weights": lambda data: arrays(data, w1=None),
    "a giant": lambda data: arrays(data, dims=np.array([784, 10**9, 10])),
    "no layers": lambda data: arrays(data, dims=np.array(784)),
    "layers of texts": lambda data: arrays(data, dims=np.array(["a", "b", "c"])),
    "no nonlinearity": lambda data: arrays(data, nonlinearity=np.array("os.system")),
    "epochs below 0": lambda data: arrays(data, done=np.array([-5, -7])),
    "a bomb": lambda data: repacked(arrays(data, more=np.zeros(5 * MIB, np.uint8)), zipfile.ZIP_DEFLATED),
}
RUNS = ("", "text", "[]", "7", "null", "{}", '{"settings": {}}', '{"settings": [], "epochs": 3}', "[" * 10**5)
OF_EPOCHS = (
    "[]",
    "[1]",
    "[{}]",
    '[{"epoch": "x", "step": 1}]',
    '[{"epoch": 0, "step": 1, "val/error": null}]',
    "null",
    "{}",
)


def arrays(data: bytes, **changes: np.ndarray | None) -> bytes:
    """A file of weights with other arrays, or without some."""
    found = dict(np.load(io.BytesIO(data))) | changes
    np.savez(file := io.BytesIO(), **{name: array for name, array in found.items() if array is not None})
    return file.getvalue()


@pytest.fixture
def path() -> Path:
    """Where the weights of a run lie."""
    path = Path("lightning_logs/mlp-drawn/version_0/checkpoints/last.npz")
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("what", WITHOUT_RUN)
def test_a_file_that_holds_no_network_of_ours_is_refused(
    what: str, path: Path, npz: bytes, tried: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 4 * MIB)  # of 1 GiB
    path.write_bytes(WITHOUT_RUN[what](npz))
    for command in ("test", "fit"):
        assert "last.npz" in tried(path, "mlp", command, *MLP)
    assert [each.name for each in path.parent.iterdir()] == ["last.npz"]


def test_what_a_run_was_must_be_in_it(path: Path, npz: bytes, tried: Callable[..., str]) -> None:
    run = json.loads(str(np.load(io.BytesIO(npz))["run"]))
    epochs = [json.dumps(run | {"epochs": json.loads(text)}) for text in OF_EPOCHS]
    others = [
        json.dumps(run | {name: value}) for name in ("seconds", "made_by", "settings") for value in ("x", None, [1])
    ]
    for text in (*RUNS, *epochs, *others):
        path.write_bytes(arrays(npz, run=np.array(text)))
        assert "last.npz" in tried(path, "mlp", "fit", *MLP), text
        tried(path, "mlp", "test", *MLP)
