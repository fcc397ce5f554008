"""Several devices train the network that one would, and parts of a batch that of the whole."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lit_a1.callbacks.continuation import Continuation
from lit_a1.callbacks.record import RunRecord
from lit_a1.data.augment import Augment
from lit_a1.data.batch import Batch
from lit_a1.data.errors import DataError
from lit_a1.models import CatsDogsCNN, Classifier, DistilledCNN
from tests.conftest import REPOSITORY
from tests.models.conftest import SMALL, Losses, RandomImages, checkpoint, fit, weights
from tests.models.test_loss_scale import scaled_float32

COUNT, BATCH, EPOCHS = 60, 12, 10  # 50 steps
WIDE = Augment(
    flip="random", crop_scale=(0.5, 1.0), shift=2, rotation=10, brightness=0.2, grayscale=0.1, cutout=0.3,
    cutout_fill="noise", mixup=0.4, cutmix=1.0,
)  # fmt: skip
DROPS = {**SMALL, "widths": (4, 8), "blocks": (2,), "dropout": 0.3, "stochastic_depth": 0.4, "average_decay": 0.9}
VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {"clip_gradient": 0.5},
    "muon": {"optimizer": "muon", "lr": 0.02, "precise_bn": 20},
    "adamw": {"optimizer": "adamw", "lr": 0.01, "norm": "group"},
    "sharp": {"sam_radius": 0.1, "sam_from": 0.5},
    "parts": {"accumulate": 3, "norm": "layer", "sam_radius": 0.1, "sam_from": 0.5},
    "parts of batch norm": {"accumulate": 3},
}
DEFAULT = ("sharp",)


class Doubles(RandomImages):
    """Augmented images and their targets in double precision, as the networks."""

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        targets = batch.targets.double() if batch.targets.is_floating_point() else batch.targets
        return Batch(batch.images.double(), targets, batch.indices)


class Keep(Losses):
    """Writes a process's weights and losses to FOLDER/NAME-DEVICES-RANK.pt."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self.folder, self.name = folder, name

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        losses = torch.tensor(self.losses, dtype=torch.float64)
        results = {"weights": weights(pl_module), "losses": losses, "metrics": dict(trainer.callback_metrics)}
        torch.save(results, self.folder / f"{self.name}-{trainer.world_size}-{trainer.global_rank}.pt")


def train(
    folder: Path, devices: int, variant: str, double: bool = True, resume: Path | None = None, **options: Any
) -> L.Trainer:
    torch.manual_seed(3)
    model = CatsDogsCNN(**DROPS | VARIANTS[variant])
    data = (Doubles if double else RandomImages)(COUNT, batch_size=BATCH, augment=WIDE)
    options = {"max_epochs": EPOCHS, "callbacks": [Keep(folder, variant)]} | options
    if devices > 1:
        options["strategy"] = "ddp_fork"
    return fit(model.double() if double else model, data, resume, devices=devices, **options)


def run_in_own_process(call: str) -> None:
    """Calls a function of this file in a process of its own, which forks for the devices."""
    code = f"import lit_a1; from pathlib import Path; from tests.models import test_devices as t; t.{call}"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def check_same(folder: Path, name: str, devices: int, tolerance: float) -> None:
    """The losses of all shares together, the weights, and what validation measured."""
    single = torch.load(folder / f"{name}-1-0.pt")
    shared = [torch.load(folder / f"{name}-{devices}-{rank}.pt") for rank in range(devices)]
    losses = torch.stack([each["losses"] for each in shared]).mean(0)
    torch.testing.assert_close(losses, single["losses"], rtol=0, atol=tolerance)
    for key, expected in single["weights"].items():
        assert all(torch.equal(each["weights"][key], shared[0]["weights"][key]) for each in shared), key
        torch.testing.assert_close(shared[0]["weights"][key], expected, rtol=tolerance, atol=tolerance)
    for key, expected in single["metrics"].items():
        found = [float(each["metrics"][key]) for each in shared]
        assert found == pytest.approx([float(expected)] * devices, abs=max(tolerance, 1e-6)), key


def train_all(folder: Path, devices: int, variants: tuple[str, ...], double: bool = True) -> None:
    for variant in variants:
        train(folder, devices, variant, double)


def resumable_callbacks() -> list[L.Callback]:
    return [Continuation(), RunRecord()]


def finish_cut_run(folder: Path, devices: int) -> None:
    """The run of `sharp` that was cut, to its end."""
    callbacks = [*resumable_callbacks(), Keep(folder, "resumed")]
    train(folder, devices, "sharp", resume=folder / f"cut-{3 - devices}.ckpt", callbacks=callbacks)


def train_until_cut(folder: Path, devices: int) -> None:
    """The run of `sharp`, cut within an epoch."""
    callbacks = [*resumable_callbacks(), SaveAt(folder / f"cut-{devices}.ckpt", 23)]
    train(folder, devices, "sharp", callbacks=callbacks)


class SaveAt(L.Callback):
    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def train_on_two_devices(folder: Path) -> None:
    """All of the plain tests, since a process takes seconds to start."""
    train_all(folder, 2, DEFAULT)
    train_until_cut(folder, 2)
    finish_cut_run(folder, 2)


def test_two_devices_end_with_the_weights_of_one_and_go_on_with_its_run(tmp_path: Path) -> None:
    """Batch norm, dropout, mixing, averages and sharpness-aware steps are those of the whole batch."""
    train_all(tmp_path, 1, DEFAULT)
    train_until_cut(tmp_path, 1)
    run_in_own_process(f"train_on_two_devices(Path({str(tmp_path)!r}))")
    finish_cut_run(tmp_path, 1)
    for variant in DEFAULT:
        check_same(tmp_path, variant, 2, 1e-10)
    uninterrupted = torch.load(tmp_path / "sharp-1-0.pt")
    for devices in (1, 2):  # each with what the other has left
        found = torch.load(tmp_path / f"resumed-{devices}-0.pt")
        for key, expected in uninterrupted["weights"].items():
            torch.testing.assert_close(found["weights"][key], expected, rtol=1e-10, atol=1e-10)
        assert float(found["metrics"]["train/gradient_norm"]) == pytest.approx(
            float(uninterrupted["metrics"]["train/gradient_norm"]), abs=1e-6
        )


@pytest.mark.long
@pytest.mark.parametrize(("double", "tolerance"), [(True, 1e-10), (False, 5e-3)])
@pytest.mark.parametrize("devices", [2, 4])
def test_any_number_of_devices(devices: int, double: bool, tolerance: float, tmp_path: Path) -> None:
    """In single precision, where 50 steps make something of a rounding too."""
    variants = tuple(name for name in VARIANTS if name != "parts of batch norm")  # whose parts are others
    train_all(tmp_path, 1, variants, double)
    run_in_own_process(f"train_all(Path({str(tmp_path)!r}), {devices}, {variants}, {double})")
    for variant in variants:
        check_same(tmp_path, variant, devices, tolerance)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_parts_add_up_to_the_whole(norm: str) -> None:
    """Parts that are not equal too. Batch norm sees a part at a time."""
    found = []
    for parts in (0, 1, 5, 100):
        torch.manual_seed(3)
        model = CatsDogsCNN(**DROPS | {"norm": norm, "accumulate": parts, "sam_radius": 0.1}).double()
        runner = fit(model, Doubles(COUNT, batch_size=BATCH, augment=WIDE), max_epochs=3)
        assert runner.global_step == model.average.updates == 15
        found.append(torch.cat([weight.detach().flatten() for weight in model.net.parameters()]))
    assert torch.equal(found[0], found[1])
    for other in found[2:]:
        difference = float((other - found[0]).abs().max())
        assert difference < 1e-12 if norm == "group" else difference > 1e-4


def test_a_step_runs_in_so_many_parts() -> None:
    sizes: list[int] = []
    model = CatsDogsCNN(**SMALL, accumulate=3)
    model.net.register_forward_pre_hook(lambda net, given: sizes.append(len(given[0])) if net.training else None)
    fit(model, RandomImages(batch_size=16), max_epochs=1)
    assert sizes[1:] == [6, 5, 5] * 3  # the first is of the course's rule, which watches a forward pass


def test_shares_that_are_not_equal_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = RandomImages(COUNT, batch_size=BATCH)
    data.trainer = L.Trainer(logger=False)
    monkeypatch.setattr(L.Trainer, "world_size", 8)
    with pytest.raises(DataError, match=r"8 devices can't share the 12 images of a step equally: --data\.batch_size"):
        data.train_dataloader()


class OneFails(L.Callback):
    """Makes the gradients of one step NaN, on the first device alone."""

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        if trainer.global_step == 1 and trainer.is_global_zero:
            batch.images.fill_(float("nan"))


def distil(folder: Path, devices: int) -> None:
    """Learns from the teacher in the folder: sharpness-aware steps, clipped gradients, loss scaling."""
    torch.manual_seed(3)
    options: dict[str, Any] = {"norm": "none", "clip_gradient": 0.5, "sam_radius": 0.2, "sam_from": 0.5}
    model: Classifier = DistilledCNN(teachers=[str(folder / "teacher.ckpt")], **SMALL | options)
    options = {"strategy": "ddp_fork"} if devices > 1 else {}
    options |= {"devices": devices, "callbacks": [Keep(folder, "distilled"), OneFails()], "plugins": [scaled_float32()]}
    fit(model, RandomImages(48, batch_size=48), max_epochs=5, **options)
    assert model.average is not None
    assert devices > 1 or model.average.updates == 4


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*method of metric Mean was called before")  # an epoch is a step: one has no norm
def test_what_one_device_can_not_step_with_none_does(tmp_path: Path) -> None:
    checkpoint(tmp_path / "teacher.ckpt")
    distil(tmp_path, 1)
    run_in_own_process(f"distil(Path({str(tmp_path)!r}), 2)")
    single, *shared = (torch.load(tmp_path / f"distilled-{name}.pt")["weights"] for name in ("1-0", "2-0", "2-1"))
    for name, expected in single.items():
        assert torch.equal(shared[0][name], shared[1][name]), name
        torch.testing.assert_close(shared[0][name], expected, rtol=1e-4, atol=1e-6)
