"""Runs as small as can be: real checkpoints of untrained networks, records with figures that were made up."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.data.mnist import LabelledSplit, load_mnist
from lit_a1.mlp.network import NN
from lit_a1.models.mnist import MNISTCNN
from lit_a1.runs.finished import Run
from lit_a1.runs.settings import flat
from lit_a1.studies.comparison.networks import Network, load_network

LOGS = Path("lightning_logs")
Add = Callable[..., Path]
Splits = tuple[LabelledSplit, LabelledSplit]
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
    checkpoint |= {"epoch": epoch, "global_step": 10 * epoch, "MNISTDataModule": {"size": size}}
    torch.save(checkpoint | {"pytorch-lightning_version": "2.6.6"}, path)
    return lambda x: model(x).argmax(1).numpy()


def save_mlp(path: Path, seed: int, epoch: int, **changes: Any) -> Callable[[torch.Tensor], np.ndarray]:
    settings = MLP | changes
    net = NN(settings["hidden_dims"], len(settings["hidden_dims"]), parameter_range=(1, 10**6), seed=seed)
    net.epoch = epoch + 1
    net.save(str(path))
    return lambda x: net.forward(x.reshape(len(x), -1).numpy()).argmax(axis=1)


def the_network(experiment: Path) -> Network:
    """That of the experiment's first run."""
    folder = experiment / "version_0"
    (weights,) = (folder / "checkpoints").iterdir()
    return load_network(Run(folder, weights, json.loads((folder / "record.json").read_text())))


@pytest.fixture
def digits(mnist_files: Callable[..., Path]) -> Splits:
    """Small files; validation and test images."""
    mnist_files(Path("data/mnist"), train=240, test=60)
    found = load_mnist("real")
    return found.valid, found.test


@pytest.fixture
def add_run(digits: Splits) -> Add:
    """Adds a run; the last epoch's recorded validation error is the network's own."""

    def add(
        experiment: str, seed: int, errors: Sequence[float] = (0.3, 0.0), data: dict[str, Any] | None = None,
        record: dict[str, Any] | None = None, weights: str = "last", **model: Any,
    ) -> Path:  # fmt: skip
        runs = LOGS / experiment
        folder = runs / f"version_{len(list(runs.glob('version_*')))}"
        (folder / "checkpoints").mkdir(parents=True)
        is_mlp = experiment.startswith("mlp")
        path = folder / "checkpoints" / (weights + (".npz" if is_mlp else ".ckpt"))
        prediction = (save_mlp if is_mlp else save_cnn)(path, seed, len(errors), **model)
        with torch.inference_mode():
            own = float((prediction(torch.from_numpy(digits[0].images)[:, None] / 255) != digits[0].labels).mean())
        epochs = [
            {"epoch": k, "step": 10 * (k + 1), "val/error": error, "train_eval/error": error / 2,
             "train/images_per_second": 100.0}
            for k, error in enumerate((*errors, own))
        ]  # fmt: skip
        settings = flat({"model": (MLP if is_mlp else CNN) | model, "data": data or {}})
        about: dict[str, Any] = {"settings": settings | {"seed": seed}, "seed": seed, "seconds": 30.0}
        about |= {"images": {"train": 200, "val": 40}, "epochs": epochs, "machine": "a machine", "commit": "abc"}
        (folder / "record.json").write_text(json.dumps(about | (record or {})))
        return folder

    return add
