"""The trained network under analysis: a CNN, the images held out from its training, and its predictions."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_a1.data.augment import resize, to_float
from lit_a1.data.errors import DataError
from lit_a1.data.module import ImageDataModule, ImageSet
from lit_a1.models.classifier import Classifier
from lit_a1.models.members import Member, load_member
from lit_a1.models.residual import ResidualNet
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.records import CheckpointError, version_of
from lit_a1.runs.shown import leads_of, margins_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
BATCH = 250  # images that the network processes at once


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network with N validation images of K classes, held out from its training."""

    name: str  # of the experiment, `catsdogs`
    model: Classifier  # in evaluation mode, on the CPU, not compiled, with the weights that it is validated with
    size: int  # height and width in pixels for evaluation
    classes: tuple[str, ...]
    images: NDArray[np.uint8]  # (N,H,W,C), as on disk
    labels: Ints  # (N,)
    indices: Ints  # (N,), the images' numbers in their dataset
    source: str  # run, checkpoint, epochs of training, seed, commit and machine
    drawn: bool  # whether the images are a stand-in that this project drew
    test_images: NDArray[np.uint8] | None = None  # (M,H,W,C), if there are any
    test_labels: Ints | None = None  # (M,), if known

    @property
    def net(self) -> ResidualNet:
        """The network alone, which maps standardised images to logits."""
        net = self.model.net[1]  # 0 standardises
        assert isinstance(net, ResidualNet)
        return net

    @property
    def standardize(self) -> nn.Module:
        """Maps images in [0,1] to what `net` takes."""
        return self.model.net[0]

    @property
    def is_photos(self) -> bool:
        """Whether the images are cats and dogs, in colour, and not digits."""
        return self.images.shape[-1] == 3

    def names(self, classes: Iterable[int]) -> list[str]:
        """The names of classes given by number."""
        return [self.classes[k] for k in classes]

    def with_images(self, images: NDArray[np.uint8]) -> "TrainedNetwork":
        """The same network with other images (n,H,W,C), whose labels are unknown: -1."""
        return replace(self, images=images, labels=np.full(len(images), -1), indices=np.arange(len(images)))

    def prepared(self, rows: Sequence[int] | Ints | slice, size: int | None = None) -> Tensor:
        """Validation images (n,C,size,size) float32 in [0,1], by default at the size for evaluation."""
        return _prepared(self.images[rows], size or self.size)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Log-probabilities (n,K) of images (n,H,W,C), like `log_probabilities`."""
        with torch.inference_mode():
            batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
            return torch.cat([self.model(_prepared(batch, self.size)) for batch in batches]).numpy()

    @cached_property
    def _outputs(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        predictions, features = [], []
        for start in range(0, len(self.labels), BATCH):
            with capture_outputs(self.net.linear, inputs=True) as captured:
                predictions.append(self.predict(self.images[start : start + BATCH]))
            features.append(torch.cat(captured)[: len(predictions[-1])])  # only of the first view, the unchanged images
        return np.concatenate(predictions), torch.cat(features).numpy()

    @property
    def log_probabilities(self) -> NDArray[np.float32]:
        """(N,K), averaged over the network's views as in validation, natural logarithm."""
        return self._outputs[0]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(N,K)."""
        return np.exp(self.log_probabilities)

    @property
    def features(self) -> NDArray[np.float32]:
        """(N,F) inputs of the last layer, means over positions, for each image (unmirrored)."""
        return self._outputs[1]

    @property
    def predictions(self) -> Ints:
        """(N,) the likeliest class of each image."""
        return self.log_probabilities.argmax(1)

    @property
    def correct(self) -> Flags:
        """(N,) whether the prediction is the label."""
        return self.predictions == self.labels

    @property
    def error(self) -> float:
        """Share of wrongly predicted images."""
        return float(1 - self.correct.mean())

    def margins(self) -> NDArray[np.float32]:
        """(N,) log-probability of the true class minus the largest other one: below 0 if the prediction is wrong."""
        return margins_of(self.log_probabilities, self.labels)

    def leads(self) -> NDArray[np.float32]:
        """(N,) log-probability of the likeliest class minus that of the next one."""
        return leads_of(self.log_probabilities)


def _prepared(images: NDArray[np.uint8], size: int) -> Tensor:
    return resize(to_float(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)), size)


@contextmanager
def capture_outputs(module: nn.Module, *, inputs: bool = False) -> Iterator[list[Tensor]]:
    """Yields a list, to which each call of `module` adds its output (or its first input)."""
    captured: list[Tensor] = []

    def capture(module: nn.Module, arguments: tuple[Any, ...], result: Tensor) -> None:
        captured.append((arguments[0] if inputs else result).clone())  # an activation may work in place

    handle = module.register_forward_hook(capture)
    try:
        yield captured
    finally:
        handle.remove()


def load_network(name: str, path: Path, data: ImageDataModule) -> TrainedNetwork:
    """Reads the checkpoint of an experiment, and the images held out from its training, from data not yet set up.

    Raises CheckpointError if the file is damaged or its network is not a `ResidualNet`; DataError if there are no
    images, or other images than it was validated on.
    """
    network = without_images(name, member := load_member(path))
    data.setup("validate")
    data.check_split(member.data)
    test = _test_set(data)  # whose classes are checked next
    data.load_state_dict(member.data)
    held_out, rows = data.sets["val"], data.sets["val"].index
    test_labels = None if test is None else np.asarray(test.labels).astype(np.int64)
    return replace(
        network,
        classes=tuple(map(str, data.classes)),
        images=np.asarray(held_out.images)[rows],
        labels=np.asarray(held_out.labels)[rows].astype(np.int64),
        indices=np.asarray(rows),
        drawn=data.drawn,
        test_images=None if test is None else np.asarray(test.images),
        test_labels=test_labels if test_labels is not None and (test_labels >= 0).all() else None,
    )


def without_images(name: str, member: Member) -> TrainedNetwork:
    """The network of a checkpoint; `with_images` gives it some. CheckpointError if it is not a `ResidualNet`."""
    if not isinstance(net := member.model.net[1], ResidualNet):
        raise CheckpointError(f"{member.path} holds a {type(net).__name__}; a ResidualNet was expected.")
    model, size, classes = member.model.eval().requires_grad_(False), int(member.data["size"]), member.data["classes"]
    images, none = np.empty((0, size, size, model.channels), np.uint8), np.empty(0, np.int64)
    source = _source(member)
    return TrainedNetwork(name, model, size, tuple(map(str, classes)), images, none, none, source, drawn=False)


def _test_set(data: ImageDataModule) -> ImageSet | None:
    for stage in ("test", "predict"):
        try:
            data.locate(stage)
        except DataError:  # there are none of this kind
            continue
        data.setup(stage)
        return data.sets[stage]
    return None


def _source(member: Member) -> str:
    path, training = member.path, member.training
    run = relative_to_cwd(path if version_of(path) is None else path.parent.parent)
    texts = [f"{run}, {path.name} (epoch {member.epoch})", f"seed {training.get('seed', member.seed)}"]
    texts += [f"commit {training.get('commit') or 'unknown'}", training.get("machine") or "machine unknown"]
    return "; ".join(texts)
