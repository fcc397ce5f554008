"""Networks to look into."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch

from lit_a1.analysis.subject import Origin, Subject
from lit_a1.layers import BatchNorm2d
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier
from lit_a1.models.mnist import MNISTCNN


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
