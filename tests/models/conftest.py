"""Checkpoints of untrained networks, and the pictures that they are of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lit_a1.data.module import PictureDataModule, PictureSet
from lit_a1.models import Classifier

TINY: dict[str, Any] = {"widths": (4, 8), "blocks": (1,), "views": "flip"}
Save = Callable[..., Path]


class FewPictures(PictureDataModule):
    """A few random pictures of 16 pixels."""

    classes = ("Cat", "Dog")

    def __init__(self, size: int = 16, first: int = 0, count: int = 20) -> None:
        super().__init__(size=size, eval_batch_size=8)
        generator = torch.Generator().manual_seed(1)
        pictures = torch.randint(0, 256, (40, 16, 16, 3), generator=generator, dtype=torch.uint8).numpy()
        labels = (torch.arange(40) % 2).numpy()
        for part in ("val", "test", "predict"):
            self.sets[part] = PictureSet(pictures, labels, torch.arange(first, first + count).numpy())


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
            "Pictures": {"size": 16, "classes": ["Cat", "Dog"], "validation": FewPictures()._validation()} | state,
        }
        model.on_save_checkpoint(checkpoint)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, path)
        return path

    return write
