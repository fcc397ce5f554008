"""What an analysis looks at: a trained CNN, the pictures that it was validated on, and what it says of them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_a1.data.augment import resize, to_float
from lit_a1.data.errors import DataError
from lit_a1.data.module import PictureDataModule, PictureSet
from lit_a1.models.classifier import Classifier
from lit_a1.models.members import Member, load_member
from lit_a1.models.residual import ResidualNet
from lit_a1.runs.folders import PRETRAINED, CheckpointError, near, version_of

BATCH = 250  # pictures that the network sees at once


@dataclass(frozen=True)
class Origin:
    """Which run a network came from."""

    run: str
    """`lightning_logs/catsdogs/version_0`, or the file of published weights."""
    checkpoint: str
    """Name of the file, `best.ckpt`."""
    epoch: int
    """Epochs that its weights were trained for."""
    seed: int | None
    commit: str
    machine: str

    def __str__(self) -> str:
        parts = [f"{self.run}, {self.checkpoint} (epoch {self.epoch})", f"seed {self.seed}"]
        parts += [f"commit {self.commit or 'unknown'}", self.machine or "machine unknown"]
        return "; ".join(parts)


@dataclass(frozen=True)
class Subject:
    """A trained network with N validation pictures of K classes.

    The pictures are those that its training held out; nothing here was learnt from them.
    """

    name: str
    """Of the experiment, `catsdogs`."""
    model: Classifier
    """In evaluation mode, on the CPU, not compiled; `model.net` holds the weights that it is validated with."""
    size: int
    """Height and width in pixels that it is evaluated at."""
    classes: tuple[str, ...]
    pictures: NDArray[np.uint8]
    """(N,H,W,C), as they lie on disk."""
    labels: NDArray[np.int64]
    """(N,)."""
    indices: NDArray[np.int64]
    """(N,), the pictures' numbers in their data set."""
    origin: Origin
    drawn: bool
    """Whether the pictures are a stand-in that this project drew."""
    test_pictures: NDArray[np.uint8] | None = None
    """(M,H,W,C), where there are any."""
    test_labels: NDArray[np.int64] | None = None
    """(M,), where they are known."""

    # pictures

    def prepared(self, rows: Sequence[int] | NDArray[np.int64] | slice) -> Tensor:
        """Validation pictures (n,C,size,size) float32 in [0,1], as the network is evaluated on them."""
        return self._prepare(self.pictures[rows])

    def _prepare(self, pictures: NDArray[np.uint8]) -> Tensor:
        return resize(to_float(torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2)), self.size)

    @property
    def is_photos(self) -> bool:
        """Whether they are cats and dogs, in colour, and not digits."""
        return self.pictures.shape[-1] == 3

    # what the network says

    @property
    def net(self) -> ResidualNet:
        """The network alone, which maps standardised pictures to logits."""
        net = self.model.net[1]  # 0 standardises
        assert isinstance(net, ResidualNet)
        return net

    @property
    def standardize(self) -> nn.Module:
        """Maps pictures in [0,1] to what `net` takes."""
        return self.model.net[0]

    @cached_property
    def _answers(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        features = []
        with captured(self.net.linear, inputs=True) as seen:
            answers = []
            for start in range(0, len(self.labels), BATCH):
                answers.append(self.log_probabilities_of(self.pictures[start : start + BATCH]))
                features.append(torch.cat(seen)[: len(answers[-1])])  # of the first view, the pictures as they are
                seen.clear()
        return np.concatenate(answers), torch.cat(features).numpy()

    def log_probabilities_of(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Log-probabilities (n,K) of other pictures (n,H,W,C), as `log_probabilities`."""
        with torch.inference_mode():
            batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
            return torch.cat([self.model(self._prepare(batch)) for batch in batches]).numpy()

    @property
    def log_probabilities(self) -> NDArray[np.float32]:
        """(N,K), averaged over the network's views as it is validated, natural logarithm."""
        return self._answers[0]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(N,K)."""
        return np.exp(self.log_probabilities)

    @property
    def features(self) -> NDArray[np.float32]:
        """(N,F), what the last layer sees of each picture (unmirrored): the mean over positions."""
        return self._answers[1]

    @property
    def answers(self) -> NDArray[np.int64]:
        """(N,) the class that it takes each picture for."""
        return self.log_probabilities.argmax(1)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,)."""
        return self.answers == self.labels

    @property
    def error(self) -> float:
        """Share of the pictures that it gets wrong."""
        return float(1 - self.right.mean())

    def margins(self) -> NDArray[np.float32]:
        """(N,) log-probability of the true class minus the largest other one: below 0 where it is wrong."""
        others = self.log_probabilities.copy()
        rows = np.arange(len(others))
        others[rows, self.labels] = -np.inf
        return self.log_probabilities[rows, self.labels] - others.max(1)


@contextmanager
def captured(module: nn.Module, *, inputs: bool = False) -> Iterator[list[Tensor]]:
    """Gives a list that what comes out of `module` (or goes in, the first argument) is added to at each call."""
    seen: list[Tensor] = []

    def note(module: nn.Module, arguments: tuple[Any, ...], result: Tensor) -> None:
        seen.append((arguments[0] if inputs else result).clone())  # an activation may work in place

    handle = module.register_forward_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def load_subject(name: str, path: Path, data: PictureDataModule) -> Subject:
    """Reads a checkpoint, and the pictures that its training held out.

    Args:
        name: of the experiment.
        path: of the checkpoint.
        data: not set up yet.

    Raises:
        CheckpointError: the file is damaged, of an unknown class or of a network that is no `ResidualNet`.
        DataError: there are no pictures, or other ones than it was validated on.
    """
    member = load_member(path)
    net = member.model.net[1]
    if not isinstance(net, ResidualNet):
        raise CheckpointError(f"{path} holds a {type(net).__name__}; a ResidualNet was expected.")
    data.locate("validate")
    data.prepare_data()
    data.setup("validate")
    data.load_state_dict(member.data)
    held_out = data.sets["val"]
    rows = held_out.index
    test = _test_set(data)
    labelled = test is not None and bool((test.labels >= 0).all())
    return Subject(
        name,
        member.model.eval().requires_grad_(False),
        int(member.data["size"]),
        tuple(map(str, data.classes)),
        np.asarray(held_out.pictures)[rows],
        np.asarray(held_out.labels)[rows].astype(np.int64),
        np.asarray(rows),
        _origin(member),
        data.drawn,
        None if test is None else np.asarray(test.pictures),
        np.asarray(test.labels).astype(np.int64) if test is not None and labelled else None,
    )


def _test_set(data: PictureDataModule) -> PictureSet | None:
    """Test pictures, with their labels where there are any; None without test pictures."""
    for stage in ("test", "predict"):
        try:
            data.locate(stage)
        except DataError:  # none of the kind are there
            continue
        data.setup(stage)
        return data.sets[stage]
    return None


def _origin(member: Member) -> Origin:
    about: dict[str, Any] = member.training
    run = near(member.path.parent.parent) if version_of(member.path) is not None else near(member.path)
    described = member.path.with_suffix(".json")
    if not about and member.path.parent == PRETRAINED and described.is_file():
        about = json.loads(described.read_text(encoding="utf-8"))
        run = near(member.path)
    seed = about.get("seed", member.seed)
    return Origin(str(run), member.path.name, member.epoch, seed, about.get("commit", ""), about.get("machine", ""))
