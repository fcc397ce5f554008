"""Several devices train the network that one would."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lit_a1.data.batch import Batch
from lit_a1.models import DistilledCNN
from tests.models.conftest import SMALL, RandomImages, checkpoint, fit
from tests.models.test_loss_scale import scaled_float32

REPOSITORY = Path(__file__).resolve().parents[2]
COUNT = 48  # images, all of them in each step, whatever their order


class Keep(L.Callback):
    """Writes what a process ends with to FOLDER/DEVICES-RANK.pt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        torch.save(pl_module.state_dict(), self.folder / f"{trainer.world_size}-{trainer.global_rank}.pt")


class OneFails(L.Callback):
    """Makes the gradients of one step NaN, on the first device alone."""

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        if trainer.global_step == 1 and trainer.is_global_zero:
            batch.images.fill_(float("nan"))


def train(folder: Path, devices: int) -> None:
    """Learns from the teacher in the folder: sharpness-aware steps, clipped gradients, loss scaling."""
    torch.manual_seed(3)
    model = DistilledCNN(
        teachers=[str(folder / "teacher.ckpt")], **SMALL, norm="none", clip_gradient=0.5, sam_radius=0.2, sam_from=0.5
    )
    options: dict[str, Any] = {"strategy": "ddp_fork"} if devices > 1 else {}
    callbacks = [Keep(folder), OneFails()]
    options |= {"devices": devices, "callbacks": callbacks, "plugins": [scaled_float32()]}
    fit(model, RandomImages(COUNT, batch_size=COUNT // devices), max_epochs=5, **options)
    assert model.average is not None
    assert model.average.updates == 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint(tmp_path / "teacher.ckpt")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*method of metric Mean was called before")  # an epoch is a step: one has no norm
def test_two_devices_end_with_the_weights_of_one(folder: Path) -> None:
    """Gradients are shared in both passes of a sharpness-aware step, and what one device can't step with, none does."""
    train(folder, 1)
    code = f"import lit_a1; from tests.models import test_devices as t; t.train(t.Path({str(folder)!r}), 2)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    single, *shared = (torch.load(folder / name, weights_only=True) for name in ("1-0.pt", "2-0.pt", "2-1.pt"))
    for name, expected in single.items():
        if name.startswith(("net", "average")):
            assert torch.equal(shared[0][name], shared[1][name]), name
            torch.testing.assert_close(shared[0][name], expected, rtol=1e-4, atol=1e-6)
