"""The three files of an export, together or not at all."""

import json
from pathlib import Path

import pytest
import torch

from lit_a1 import export
from lit_a1.data.files import replacing
from lit_a1.export import folder
from lit_a1.export.card import weights_info
from lit_a1.export.graph import ExportedModel, exported_cnns
from lit_a1.runs.settings import UsageError
from tests.export.conftest import REASON, member

safetensors = pytest.importorskip("safetensors", reason=REASON)
SOURCES = [weights_info(Path("best.ckpt"), 1, {}, {})]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> ExportedModel:
    monkeypatch.setattr(folder, "to_onnx", lambda exported: (b"onnx", 1e-7))
    return exported_cnns([member()], 20, ["Cat", "Dog"])


def test_the_weights_are_those_of_the_network(exported: ExportedModel) -> None:
    assert folder.write(Path("out"), "catsdogs", exported, SOURCES) == 1e-7
    assert {path.name for path in Path("out").iterdir()} == {"model.onnx", "model.safetensors", "README.md"}
    assert Path("out/model.onnx").read_bytes() == b"onnx"
    with safetensors.safe_open("out/model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["classes"]) == ["Cat", "Dog"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dictionary
    state = exported.parts[0].net.state_dict()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in tensors.items())


def test_missing_packages_are_named(exported: ExportedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name.startswith("onnx") else name)
    with pytest.raises(UsageError, match=r'onnx, onnxscript and onnxruntime must be installed .*"\.\[export\]"'):
        folder.write(Path("out"), "catsdogs", exported, SOURCES)
    assert not Path("out").exists()


def test_all_files_are_written_or_none(exported: ExportedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> object:
        if path.name == folder.CARD:
            raise OSError(28, "No space left on device", str(path))
        return replacing(path)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "replacing", full)
        with pytest.raises(OSError, match="No space"):
            folder.write(Path("out"), "catsdogs", exported, SOURCES)
        assert not Path("out").exists()
    folder.write(Path("out"), "catsdogs", exported, SOURCES)
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    monkeypatch.setattr(folder, "to_onnx", lambda exported: (b"newer", 1e-7))
    monkeypatch.setattr(folder, "replacing", full)
    with pytest.raises(OSError, match="No space"):
        folder.write(Path("out"), "catsdogs", exported, SOURCES)
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before
