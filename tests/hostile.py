"""What the tests of hostile checkpoints share: small trainings, damaged files, and the commands that read them."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_a1.cli import main
from tests.conftest import REPOSITORY, draw_few

CONFIG = str(REPOSITORY / "configs" / "catsdogs.yaml")
TINY = [
    "--config", CONFIG, "--model.widths", "[4,8]", "--model.blocks", "[1]", "--model.compile_net", "false",
    "--model.precise_bn", "0", "--data.source", "drawn", "--data.batch_size", "8", "--data.eval_batch_size", "8",
    "--data.size_schedule", "null", "--data.size", "16", "--data.eval_scale", "1.0", "--data.measure_train", "false",
    "--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.limit_train_batches", "2",
    "--trainer.max_epochs", "2",
]  # fmt: skip
MLP = ["--model.hidden_dims", "[8]", "--model.parameter_range", "[1,99999]", "--data.source", "drawn"]
MLP += ["--trainer.max_epochs", "2"]
MIB = 1 << 20
GONE = object()  # in the place of a value: there is none


class Touch:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch touched",)


def saved(content: Any) -> bytes:
    torch.save(content, file := io.BytesIO())
    return file.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run of a CNN, cut after an epoch of two, and one of the numpy network."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        draw_few(patch, 16)
        main(["fit", *TINY, "--trainer.max_steps", "2"])
        main(["mlp", "fit", *MLP])
    return folder / "lightning_logs"


@pytest.fixture
def ckpt(trained: Path) -> bytes:
    return (trained / "catsdogs-drawn/version_0/checkpoints/last.ckpt").read_bytes()


@pytest.fixture
def npz(trained: Path) -> bytes:
    return (trained / "mlp-drawn/version_0/checkpoints/last.npz").read_bytes()


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command with a checkpoint: the sentence that refuses it, or nothing where it runs to its end."""
    draw_few(monkeypatch, 16)

    def run(path: Path, *command: str) -> str:
        try:
            main([*command, "--ckpt_path", str(path)])
        except SystemExit as leaving:
            said = capsys.readouterr().err.strip().splitlines()
            if leaving.code in (0, None) or not said[-1].startswith("error: ") or len(said[-1]) > 600:
                pytest.fail(f"left with {leaving.code}: {said}")
            return said[-1]
        finally:
            assert not Path("touched").exists()
        capsys.readouterr()
        return ""

    return run


def repacked(data: bytes, kind: int = zipfile.ZIP_STORED, **changes: bytes) -> bytes:
    """A zip file with other contents for some entries, by the last part of their names."""
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file := io.BytesIO(), "w", kind) as new:
        for entry in old.infolist():
            new.writestr(
                entry.filename, changes.get(entry.filename.rpartition("/")[2].replace(".", "_"), old.read(entry))
            )
    return file.getvalue()


FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "text": lambda data: b"epoch,loss\n",
    "a page": lambda data: b"<html>404 Not Found</html>",
    "a program": lambda data: b"\x7fELF" + bytes(999),
    **{f"cut at {tenth} tenths": lambda data, tenth=tenth: data[: len(data) * tenth // 10] for tenth in range(1, 10)},
    "its tail": lambda data: data[len(data) // 2 :],
    "a pickle": lambda data: pickle.dumps(Touch()),
    "a pickle in a checkpoint": lambda data: saved({"state_dict": Touch()}),
    "a pickle beside weights": lambda data: saved(torch.load(io.BytesIO(data), weights_only=True) | {"epoch": Touch()}),
    "a pickle in the place of another": lambda data: repacked(data, data_pkl=pickle.dumps(Touch(), 2)),
    "a module": lambda data: saved(torch.nn.Linear(2, 2)),
    "a list": lambda data: saved([1]),
    "a tensor": lambda data: saved(torch.zeros(3)),
    "weights alone": lambda data: saved(torch.load(io.BytesIO(data), weights_only=True)["state_dict"]),
    "of a later format": lambda data: repacked(data, version=b"99999\n"),
    "no pickle in it": lambda data: repacked(data, data_pkl=b""),
    "another archive": lambda data: repacked(data)[:-22] + b"PK\5\6" + bytes(18),
    "another byte order": lambda data: repacked(data, byteorder=b"middle"),
    "a bomb": lambda data: repacked(data, zipfile.ZIP_DEFLATED, **{"0": bytes(8 * MIB)}),
}


def changed(data: bytes, place: tuple[Any, ...], value: Any) -> bytes:
    """A checkpoint with another value in some place, or without it."""
    content = holder = torch.load(io.BytesIO(data), weights_only=True)
    *above, key = place
    for each in above:
        holder = holder[each]
    if value is GONE:
        del holder[key]
    else:
        holder[key] = value(holder[key]) if callable(value) else value
    return saved(content)
