"""An ensemble: the mean of what several trained networks say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lit_a1.checkpoints import check_fits, read
from lit_a1.data.batch import Batch
from lit_a1.data.errors import DataError
from lit_a1.data.module import PictureDataModule
from lit_a1.data.resample import resize
from lit_a1.layers import cross_entropy
from lit_a1.models.classifier import Classifier
from lit_a1.runs import RECORD_FILE, CheckpointError, read_record, version_of
from lit_a1.wording import listed

NOT_TRAINED = (
    "An ensemble is not trained: train its members with fit and their own YAML, then validate or predict with it."
)
MEMBER = "member_{}"
"""First part of the tags of a member alone."""
DATA_STATE = {"size", "classes", "validation"}  # what a data module leaves in a checkpoint


@dataclass(frozen=True)
class Member:
    """A trained network, and what its checkpoint says of it."""

    path: Path
    model: Classifier
    """It holds the weights that it is measured by alone: the averaged ones, where there are any."""
    data: dict[str, Any]
    """State of the data module: `size` in pixels, `classes`, and a hash of the pictures that it was validated on."""
    epoch: int
    """Epochs that the weights were trained for."""
    step: int
    training: dict[str, Any]
    """Of the whole run: `epochs`, `seconds`, `peak_memory_gb`, `settings`; empty where neither record nor file say."""

    @property
    def seed(self) -> int | None:
        """Of its run, where it is known."""
        return self.training.get("settings", {}).get("seed")

    @property
    def parameters(self) -> int:
        """How many the network has."""
        return sum(parameter.numel() for parameter in self.model.net.parameters())


def member_files(member: str) -> list[Path]:
    """The checkpoints that an entry of `members` means, by the number of their runs.

    Args:
        member: a file; a run's folder, whose best.ckpt is meant; or an experiment's, for that of every run in it.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(member)
    wanted = "A member is a checkpoint, or the folder of a run or an experiment that fit trained."
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CheckpointError(f"There is no checkpoint {member}. {wanted}")
    runs = sorted(path.glob("version_*/checkpoints/best.ckpt"), key=lambda found: version_of(found) or 0)
    if found := [*path.glob("checkpoints/best.ckpt"), *runs]:
        return found
    raise CheckpointError(f"There is no best.ckpt in {member} or in a run below it. {wanted}")


def load_member(path: Path) -> Member:
    """Builds the network that a checkpoint describes, uncompiled, with its weights.

    Raises:
        CheckpointError: the file is damaged, or of a network that this version does not know.
    """
    checkpoint = read(path)
    kinds = {kind.__qualname__: kind for kind in _kinds(Classifier) if kind is not Ensemble}
    if (name := checkpoint["model_class"]) not in kinds:
        raise CheckpointError(f"{path} is a checkpoint of {name}; wanted is one of {listed(kinds)}.")
    parts = [part for part in checkpoint.values() if isinstance(part, dict) and part.keys() >= DATA_STATE]
    if len(parts) != 1:
        raise CheckpointError(f"{path} does not say what pictures it was trained on: {listed(sorted(DATA_STATE))}.")
    try:
        model = kinds[name](**checkpoint["hyper_parameters"] | {"compile_net": False})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is of another version of {name}: {error}") from error
    check_fits(checkpoint, model, path)
    model.load_state_dict(checkpoint["state_dict"])
    if model.average is not None:  # what it is measured by; the others serve training
        model.net.load_state_dict(model.average.net.state_dict())
        model.average = None
    return Member(
        path, model, parts[0], checkpoint["epoch"] + 1, checkpoint["global_step"], _training(path, checkpoint)
    )


def _kinds(base: type[Classifier]) -> list[type[Classifier]]:
    """All classes derived from `base`."""
    return [kind for child in base.__subclasses__() for kind in (child, *_kinds(child))]


def _training(path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The record beside a checkpoint; without one, as of a run that was stopped, what the checkpoint itself keeps."""
    run = path.parent.parent
    return read_record(run) if (run / RECORD_FILE).is_file() else checkpoint.get("callbacks", {}).get("RunRecord", {})


class MeanNet(nn.Module):
    """Shows each network the pictures at the size that it is evaluated at, and averages their probabilities.

    Shapes: (N,C,H,W) in [0,1] -> log-probabilities (N,K).

    Args:
        networks: each maps pictures to log-probabilities (N,K).
        sizes: height and width in pixels that each of them is evaluated at.
    """

    def __init__(self, networks: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        super().__init__()
        self.networks, self.sizes = nn.ModuleList(networks), list(sizes)

    def each(self, pictures: Tensor) -> Tensor:
        """Log-probabilities (M,N,K) of each of the M networks."""
        pairs = zip(self.networks, self.sizes, strict=True)
        return torch.stack([network(resize(pictures, size)) for network, size in pairs])

    @staticmethod
    def mean(each: Tensor) -> Tensor:
        """Log of the mean probabilities: (M,N,K) -> (N,K)."""
        return each.logsumexp(0) - math.log(len(each))

    def forward(self, pictures: Tensor) -> Tensor:
        """Log-probabilities (N,K) of pictures (N,C,H,W)."""
        return self.mean(self.each(pictures))


class Ensemble(Classifier):
    """Averages the probabilities of trained networks, each of them averaged over its own `views`.

    The networks may differ in class, layers and size of the pictures. Each sees the pictures at its own size, scaled
    from those of the data module. A mean of networks with independent mistakes makes fewer than one of them (Hansen
    and Salamon 1990, "Neural network ensembles"; Lakshminarayanan et al. 2017, arXiv:1612.01474).

    Args:
        members: checkpoints; the folder of a run means its best.ckpt, and that of an experiment those of all its runs.

    Raises:
        ValueError: there is no member.
        CheckpointError: one is missing, damaged or named twice, or knows other classes than the first.
    """

    def __init__(self, *, members: list[str]) -> None:
        paths = [path for member in members for path in member_files(member)]
        if not paths:
            raise ValueError("members must name at least one checkpoint; got none")
        if twice := [path for place, path in enumerate(paths) if _same(path, paths[:place])]:
            raise CheckpointError(f"{twice[0]} is named twice in members: its vote would count double.")
        loaded = [load_member(path) for path in paths]
        first = loaded[0]
        for member in loaded:
            if member.data["classes"] != first.data["classes"]:
                theirs, ours = (listed(map(str, one.data["classes"])) for one in (member, first))
                raise CheckpointError(f"{member.path} knows {theirs}; {first.path} knows {ours}.")
        channels = first.model.channels
        super().__init__(
            MeanNet([member.model for member in loaded], [member.data["size"] for member in loaded]),
            mean=[0.0] * channels,  # each network standardises by its own constants
            std=[1.0] * channels,
            average_decay=0,
            views="one",
            channels_last=False,
        )
        self.members = loaded
        for number in range(len(loaded)):
            for name in ("loss", "error"):
                self.metrics[f"{MEMBER.format(number)}_{name}"] = MeanMetric()
        self.requires_grad_(False)
        self.eval()

    def setup(self, stage: str) -> None:
        """Has the data module check that it holds out the pictures that each member's training held out.

        Raises:
            MisconfigurationException: the ensemble would be trained.
            DataError: the data at hand have other classes or another split, or would be scaled twice.
        """
        if stage == "fit":
            raise MisconfigurationException(NOT_TRAINED)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, PictureDataModule):
            return
        stored = next(iter(data.sets.values())).pictures.shape[1]
        for member in self.members:
            try:
                data.load_state_dict(member.data | {"size": data.size})  # the members' own sizes may differ
            except DataError as error:
                raise DataError(f"{member.path}: {error}") from error
            if data.size not in (stored, size := member.data["size"]):
                raise DataError(
                    f"{member.path} is evaluated on pictures of {size} pixels, scaled from {stored}: data.size must be "
                    f"{stored}, so that they are not scaled twice; got {data.size}."
                )

    def forward(self, pictures: Tensor) -> Tensor:
        """Log-probabilities (N,K) of pictures (N,C,H,W) in [0,1]: the log of the members' mean probabilities."""
        return MeanNet.mean(self._each(pictures))

    def _each(self, pictures: Tensor) -> Tensor:
        net = self.net[1]
        assert isinstance(net, MeanNet)
        return net.each(pictures)

    def _evaluate(self, stage: str, batch: Batch) -> None:
        """Measures the mean, and on held-out pictures each member alone."""
        each = self._each(batch.pictures)
        stages = {stage: MeanNet.mean(each)}
        if stage in ("val", "test"):
            stages |= {MEMBER.format(number): alone for number, alone in enumerate(each)}
        for name, log_probabilities in stages.items():
            loss = cross_entropy(log_probabilities, batch.targets)
            self._measure(name, loss, log_probabilities, batch.targets)


def _same(path: Path, others: Sequence[Path]) -> bool:
    return any(path.samefile(other) for other in others)
