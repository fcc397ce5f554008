"""Runs as small as can be: real checkpoints of untrained networks, records with figures that were made up."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from lit_a1.analysis.subject import Origin, Subject
from lit_a1.data.mnist import Part, load_mnist
from lit_a1.layers import BatchNorm2d
from lit_a1.mlp.network import NN
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier
from lit_a1.models.mnist import MNISTCNN
from lit_a1.settings import flat

CNN = {"widths": [4, 6], "blocks": [1], "stem_stride": 2, "average_decay": 0.5}
MLP = {"hidden_dims": (12, 8), "nonlinearity": "relu", "dropout": 0.0}


def save_cnn(path: Path, seed: int, epoch: int, size: int = 28, **changes: Any) -> Callable[[torch.Tensor], np.ndarray]:
    torch.manual_seed(seed)
    model = MNISTCNN(**CNN | changes).eval()
    assert model.average is not None
    for parameter in model.evaluated_net().parameters():  # unlike the net that is trained
        torch.nn.init.normal_(parameter, std=0.3)
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    checkpoint |= {"epoch": epoch, "MNISTDataModule": {"size": size}}
    torch.save(checkpoint | {"pytorch-lightning_version": "2.6.6"}, path)
    return lambda x: model(x).argmax(1).numpy()


def save_mlp(path: Path, seed: int, epoch: int, **changes: Any) -> Callable[[torch.Tensor], np.ndarray]:
    settings = MLP | changes
    net = NN(settings["hidden_dims"], len(settings["hidden_dims"]), parameter_range=(1, 10**6), seed=seed)
    net.epoch = epoch + 1
    net.save(str(path))
    return lambda x: net.forward(x.reshape(len(x), -1).numpy()).argmax(axis=1)


@pytest.fixture
def digits(mnist_files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Part, Part]:
    """Small files that LIT_A1_DATA names; validation and test pictures."""
    mnist_files(tmp_path / "mnist", train=240, test=60)
    monkeypatch.setenv("LIT_A1_DATA", str(tmp_path))
    found = load_mnist("real")
    return found.valid, found.test


@pytest.fixture
def add_run(digits: tuple[Part, Part], tmp_path: Path) -> Callable[..., Path]:
    """Adds a run to `logs`; the last epoch's recorded validation error is the network's own."""

    def add(
        experiment: str, seed: int, errors: Sequence[float] = (0.3, 0.0), data: dict[str, Any] | None = None,
        record: dict[str, Any] | None = None, weights: str = "last", **model: Any,
    ) -> Path:  # fmt: skip
        runs = tmp_path / "logs" / experiment
        folder = runs / f"version_{len(list(runs.glob('version_*')))}"
        (folder / "checkpoints").mkdir(parents=True)
        is_mlp = experiment.startswith("mlp")
        path = folder / "checkpoints" / (weights + (".npz" if is_mlp else ".ckpt"))
        answer = (save_mlp if is_mlp else save_cnn)(path, seed, len(errors), **model)
        with torch.inference_mode():
            own = float((answer(torch.from_numpy(digits[0].pictures)[:, None] / 255) != digits[0].labels).mean())
        epochs = [
            {"epoch": k, "step": 10 * (k + 1), "val/error": error, "train_eval/error": error / 2,
             "train/pictures_per_second": 100.0}
            for k, error in enumerate((*errors, own))
        ]  # fmt: skip
        settings = flat({"model": (MLP if is_mlp else CNN) | model, "data": data or {}})
        about: dict[str, Any] = {"settings": settings | {"seed": seed}, "seed": seed, "seconds": 30.0}
        about |= {"pictures": {"train": 200, "val": 40}, "epochs": epochs, "machine": "a machine", "commit": "abc"}
        (folder / "record.json").write_text(json.dumps(about | (record or {})))
        return folder

    return add


@pytest.fixture
def subject_of() -> Callable[..., Subject]:
    """Makes a subject: an untrained network with a last layer drawn at random, whose answers differ.

    Photos are 48 pixels wide and seen at 32; digits are 28 pixels wide. The last maps are of 4x4 and 7x7 places.
    """

    def make(kind: Literal["photos", "digits"], count: int = 40, seed: int = 0) -> Subject:
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        layout: dict[str, Any] = {"widths": (4, 8, 8), "blocks": (1, 1), "average_decay": 0}
        model: Classifier
        if kind == "photos":
            model, classes, size = CatsDogsCNN(**layout, transition="max_pool"), ("Cat", "Dog"), 32
            pictures = rng.integers(0, 200, (count, 6, 6, 3)).repeat(8, 1).repeat(8, 2)
        else:
            model, classes, size = MNISTCNN(**layout), tuple("0123456789"), 28
            pictures = 200 * (rng.random((count, 7, 7, 1)) < 0.3).repeat(4, 1).repeat(4, 2)
        pictures = (pictures + rng.integers(0, 56, pictures.shape)).astype(np.uint8)
        labels = np.arange(count) % len(classes)
        origin = Origin(f"lightning_logs/{kind}/version_0", "best.ckpt", 3, seed, "abc1234", "a machine, 2 cores")
        subject = Subject(
            kind, model.eval().requires_grad_(False), size, classes, pictures, labels, np.arange(count) + 1000,
            origin, drawn=False,
        )  # fmt: skip
        for module in subject.net.modules():  # as after a training: no norm is left at zero
            if isinstance(module, BatchNorm2d):
                module.weight.normal_(1, 0.3)
                module.bias.normal_(0, 0.1)
        subject.net.linear.weight.normal_()
        with torch.inference_mode():
            logits = subject.net(subject.standardize(subject.prepared(slice(None)))).mean(0)
        subject.net.linear.bias.sub_(logits.clone())
        return subject

    return make
