"""Small networks and images, quick trainings, and checkpoints of untrained networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback

from lit_a1.data.module import ImageDataModule, ImageSet
from lit_a1.models import CatsDogsCNN, Classifier

SMALL: dict[str, Any] = {"widths": (8, 16), "blocks": (1,), "lr": 0.05}
TINY: dict[str, Any] = {"widths": (4, 8), "blocks": (1,), "views": "flip"}
QUIET: dict[str, Any] = {
    "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
    "accelerator": "cpu", "num_sanity_val_steps": 0,
}  # fmt: skip
WITHOUT_COMMAND = pytest.mark.filterwarnings(  # what Lightning says without this project's command
    "ignore:.*was called without a model.*",
    "ignore:.*no last checkpoint available.*",
    "ignore:.*method of metric Mean was called before.*",
    "ignore:.*ended before the epoch ended.*",
)
Save = Callable[..., Path]


class RandomImages(ImageDataModule):
    """A few random images of two classes that can be told apart."""

    classes = ("Cat", "Dog")

    def __init__(self, count: int = 48, val: int = 20, **options: Any) -> None:
        super().__init__(**{"batch_size": 16, "eval_batch_size": 8, "size": 16} | options)
        generator = torch.Generator().manual_seed(1)
        for part, n in (("train", count), ("val", val), ("test", val), ("predict", val)):
            labels = torch.arange(n) % 2
            images = torch.randint(0, 128, (n, 16, 16, 3), generator=generator)
            images[..., 0] += 100 * labels[:, None, None]
            self.sets[part] = ImageSet(images.to(torch.uint8).numpy(), labels.numpy())


def trainer(**options: Any) -> L.Trainer:
    return L.Trainer(**QUIET | {"max_epochs": 2} | options)


def fit(
    model: Classifier, data: ImageDataModule | None = None, resume: Path | None = None, **options: Any
) -> L.Trainer:
    """Trains on `RandomImages` or other ones, by a trainer with these options."""
    runner = trainer(**options)
    runner.fit(model, data or RandomImages(), ckpt_path=resume, weights_only=True if resume else None)
    return runner


def checkpoint(path: Path, seed: int = 1) -> str:
    """Trains for two epochs, after which the averaged weights differ from the others; returns the path."""
    torch.manual_seed(seed)
    fit(CatsDogsCNN(**SMALL, average_decay=0.5), check_val_every_n_epoch=2).save_checkpoint(path)
    return str(path)


def weights(model: Classifier) -> dict[str, torch.Tensor]:
    """Copies of all that a step moves, the averaged weights with it."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items() if name.startswith(("net", "average"))}


def check_equal(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name


def saving_after(epoch: int, path: Path) -> L.Callback:
    """Writes a checkpoint at the end of an epoch."""

    def save(trainer: L.Trainer, model: Any) -> None:
        if trainer.current_epoch == epoch:
            trainer.save_checkpoint(path)

    return LambdaCallback(on_train_epoch_end=save)


class Losses(L.Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"] if isinstance(outputs, dict) else outputs))


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes the checkpoint of an untrained network whose last layer says something; returns its path."""

    def write(model: Classifier, name: str = "a/checkpoints/best.ckpt", **state: Any) -> Path:
        nets = [model.net, *([] if model.average is None else [model.average.net])]
        with torch.no_grad():
            for scale, net in enumerate(nets, 1):  # the averaged weights differ from the others
                for parameter in net.parameters():
                    parameter += 0.3 * scale * torch.randn(parameter.shape)
                linear = net.eval()[1].linear  # both classes as often
                linear.bias -= net(torch.rand(50, model.channels, 16, 16)).mean(0)
        checkpoint: dict[str, Any] = {
            "state_dict": model.state_dict(),
            "hyper_parameters": dict(model.hparams),
            "epoch": 2,
            "global_step": 12,
            "pytorch-lightning_version": L.__version__,
            "Images": {"size": 16, "classes": ["Cat", "Dog"], "validation": RandomImages()._validation()} | state,
        }
        model.on_save_checkpoint(checkpoint)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, path)
        return path

    return write
