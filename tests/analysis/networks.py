"""Networks to analyse, and what analyses make of them."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch

from lit_a1.analysis.network import TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.layers import BatchNorm2d
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier
from lit_a1.models.mnist import MNISTCNN
from tests.conftest import read_csv

Kind = Literal["photos", "digits"]
FOLDER = Path("analysis")  # of the results, in the test's own folder


def network_of(kind: Kind, count: int = 40) -> TrainedNetwork:
    """An untrained network with a last layer drawn at random, whose predictions differ.

    Photos are 48 pixels wide and seen at 32; digits are 28 pixels wide. The last maps are of 4x4 and 7x7 places.
    """
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    layout: dict[str, Any] = {"widths": (4, 8, 8), "blocks": (1, 1), "average_decay": 0}
    model: Classifier
    if kind == "photos":
        model, classes, size = CatsDogsCNN(**layout, transition="max_pool"), ("Cat", "Dog"), 32
        images = rng.integers(0, 200, (count, 6, 6, 3)).repeat(8, 1).repeat(8, 2)
    else:
        model, classes, size = MNISTCNN(**layout), tuple("0123456789"), 28
        images = 200 * (rng.random((count, 7, 7, 1)) < 0.3).repeat(4, 1).repeat(4, 2)
    images = (images + rng.integers(0, 56, images.shape)).astype(np.uint8)
    labels, indices = np.arange(count) % len(classes), np.arange(count) + 1000
    model.eval().requires_grad_(False)
    network = TrainedNetwork(kind, model, size, classes, images, labels, indices, "a run", drawn=False)
    for module in network.net.modules():  # as after a training: no norm is left at zero
        if isinstance(module, BatchNorm2d):
            module.weight.normal_(1, 0.3)
            module.bias.normal_(0, 0.1)
    network.net.linear.weight.normal_()
    network.net.linear.bias.sub_(logits_of(network, slice(None)).mean(0).clone())
    return network


def logits_of(network: TrainedNetwork, rows: Any) -> torch.Tensor:
    """Logits (n,K) of validation images as they are."""
    with torch.inference_mode():
        return network.net(network.standardize(network.prepared(rows)))


def predicting(network: TrainedNetwork, probabilities: Any, features: Any = None) -> TrainedNetwork:
    """Gives a network probabilities (N,K) to predict, and features (N,F) of its last layer."""
    if features is None:
        features = np.random.default_rng(0).random((len(probabilities), 8))
    outputs = np.log(probabilities).astype(np.float32), np.asarray(features, np.float32)
    network.__dict__["_outputs"] = outputs  # a cached_property's value lies in the instance
    return network


def answering(network: TrainedNetwork, predictions: Any, share: Any = 0.9, features: Any = None) -> TrainedNetwork:
    """Gives each prediction (N,) this share of the probability, and the other classes the same of what is left."""
    share, classes = np.broadcast_to(share, len(predictions)), len(network.classes)
    probabilities = np.repeat((1 - share)[:, None] / (classes - 1), classes, 1)
    probabilities[np.arange(len(predictions)), predictions] = share
    return predicting(network, probabilities, features)


def where_right(network: TrainedNetwork, right: Any, share: Any = 0.9) -> TrainedNetwork:
    """Likewise, by which predictions are right; a wrong one is the next class."""
    return answering(network, (network.labels + ~np.asarray(right)) % len(network.classes), share)


def analyzed(question: ModuleType, network: TrainedNetwork) -> AnalysisResult:
    """What an analysis finds, with its files in `FOLDER`."""
    result = AnalysisResult(FOLDER, question.__name__.rpartition(".")[2], question.TITLE, "a run")
    question.analyze(network, result)
    result.write()
    assert all((FOLDER / drawn.file).is_file() and drawn.caption for drawn in result.figures)
    for text in [*result.words, *(drawn.caption for drawn in result.figures)]:  # as a template's tags may leave them
        assert text.startswith("|") or not re.search(r"\s[,.;:)]|\(\s|\s\s|[,;)][a-z]", text), text
    return result


def rows_of(name: str) -> list[dict[str, str]]:
    """A table of a result."""
    return read_csv(FOLDER / f"{name}.csv")
