"""An ensemble: the mean of several trained networks' predictions."""

import itertools
import math
from collections.abc import Sequence

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from lit_a1.data.batch import Batch
from lit_a1.data.errors import DataError
from lit_a1.data.resample import resize
from lit_a1.models.classifier import Classifier
from lit_a1.models.members import load_member, member_files, refuse_duplicates
from lit_a1.models.metrics import Mean
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.wording import listed

NOT_TRAINED = (
    "An ensemble is not trained: train its members with fit and their own YAML, then validate or predict with it."
)
NO_CHECKPOINT = "an ensemble takes its checkpoints from --model.members, not from --ckpt_path"
MEMBER = "member_{}"  # first part of the tags of a single member


class MeanNet(nn.Module):
    """Shows each network the images at its own evaluation size, and averages the probabilities.

    Shapes: (N,C,H,W) in [0,1] -> log-probabilities (N,K).

    Args:
        networks: each maps images to log-probabilities (N,K).
        sizes: height and width in pixels to evaluate each of them at.
    """

    def __init__(self, networks: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        super().__init__()
        self.networks, self.sizes = nn.ModuleList(networks), list(sizes)

    def log_probabilities(self, images: Tensor, method: str = "forward") -> Tensor:
        """Log-probabilities (M,N,K) of each of the M networks, by its `forward` or `forward_bfloat16`."""
        pairs = zip(self.networks, self.sizes, strict=True)
        return torch.stack([getattr(network, method)(resize(images, size)) for network, size in pairs])

    @staticmethod
    def mean(log_probabilities: Tensor) -> Tensor:
        """Log of the mean probabilities: (M,N,K) -> (N,K)."""
        return log_probabilities.logsumexp(0) - math.log(len(log_probabilities))

    def forward(self, images: Tensor) -> Tensor:
        """Log-probabilities (N,K) of images (N,C,H,W)."""
        return self.mean(self.log_probabilities(images))


class Ensemble(Classifier):
    """Averages the probabilities of trained networks, each already averaged over its own `views`.

    The networks may differ in class, layers and image size. Each sees the images at its own size, scaled from those of
    the data module. The mean of networks with independent mistakes makes fewer mistakes than one of them (Hansen and
    Salamon 1990, "Neural network ensembles"; Lakshminarayanan et al. 2017, arXiv:1612.01474).

    Args:
        members: checkpoints; or the folder of a run, to use its best.ckpt, or of an experiment, to use its runs'.

    Raises:
        ValueError: there is no member.
        CheckpointError: one is missing, damaged or named twice, or has other classes than the first.
    """

    is_trained = False

    def __init__(self, *, members: list[str]) -> None:
        paths = [path for member in members for path in member_files(member)]
        if not paths:
            raise ValueError("members must name at least one checkpoint; got none")
        refuse_duplicates(paths, "members")
        loaded = [load_member(path) for path in paths]
        first = loaded[0]
        for member in loaded:
            if member.data["classes"] != first.data["classes"]:
                theirs, ours = (listed(map(str, checkpoint.data["classes"])) for checkpoint in (member, first))
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
        for number, name in itertools.product(range(len(loaded)), ("loss", "error")):
            self.metrics[f"{MEMBER.format(number)}_{name}"] = Mean()
        self.requires_grad_(False)
        self.eval()

    def setup(self, stage: str) -> None:
        """Has the data module check that its validation images are those of each member's training.

        Raises:
            MisconfigurationException: the ensemble would be trained.
            DataError: the data at hand have other classes or another split, or would be scaled twice.
        """
        if stage == "fit":
            raise MisconfigurationException(NOT_TRAINED)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        stored = next(iter(data.sets.values())).images.shape[1]
        for member in self.members:
            try:
                data.load_state_dict(member.data | {"size": data.size})  # the members' own sizes may differ
            except DataError as error:
                raise DataError(f"{member.path}: {error}") from error
            if data.size not in (stored, size := member.data["size"]):
                raise DataError(
                    f"{member.path} is evaluated on images of {size} pixels, scaled from {stored}: data.size must be "
                    f"{stored}, so that they are not scaled twice; got {data.size}."
                )

    def forward(self, images: Tensor) -> Tensor:
        """Log-probabilities (N,K) of images (N,C,H,W) in [0,1]: the log of the members' mean probabilities."""
        return MeanNet.mean(self._member_outputs(images))

    def forward_bfloat16(self, images: Tensor) -> Tensor:
        """As `forward`, but the members compute in bfloat16."""
        return MeanNet.mean(self._member_outputs(images, "forward_bfloat16"))

    def _member_outputs(self, images: Tensor, method: str = "forward") -> Tensor:
        net = self.net[1]
        assert isinstance(net, MeanNet)
        return net.log_probabilities(images, method)

    def _evaluate(self, stage: str, batch: Batch) -> Tensor:
        """Measures the mean, and on validation or test images each member alone."""
        member_outputs = self._member_outputs(batch.images)
        stages = {stage: MeanNet.mean(member_outputs)}
        if stage in ("val", "test"):
            stages |= {MEMBER.format(number): outputs for number, outputs in enumerate(member_outputs)}
        for name, log_probabilities in stages.items():
            self._measure_outputs(name, log_probabilities, batch.targets)
        return stages[stage]
