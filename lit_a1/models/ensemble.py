"""An ensemble: the mean of several trained networks' predictions."""

import itertools

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from lit_a1.data.batch import Batch
from lit_a1.data.errors import DataError
from lit_a1.data.resample import resize
from lit_a1.models.classifier import Classifier
from lit_a1.models.evaluated import log_mean
from lit_a1.models.members import load_member, member_files, refuse_duplicates
from lit_a1.models.metrics import Mean
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.wording import listed

NOT_TRAINED = (
    "An ensemble is not trained: train its members with fit and their own YAML, then validate or predict with it."
)
NO_CHECKPOINT = "an ensemble takes its checkpoints from --model.members, not from --ckpt_path"
MEMBER = "member_{}"  # first part of the tags of a single member


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
            nn.ModuleList(member.model for member in loaded),
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
        return log_mean(self._member_outputs(images))

    def forward_bfloat16(self, images: Tensor) -> Tensor:
        """As `forward`, but the members compute in bfloat16."""
        return log_mean(self._member_outputs(images, "forward_bfloat16"))

    def _member_outputs(self, images: Tensor, method: str = "forward") -> Tensor:
        """Log-probabilities (M,N,K) of each of the M members, at its own size, by its `forward` or the like."""
        outputs = [getattr(each.model, method)(resize(images, each.data["size"])) for each in self.members]
        return torch.stack(outputs)

    def _evaluate(self, stage: str, batch: Batch) -> Tensor:
        """Measures the mean, and on validation or test images each member alone."""
        member_outputs = self._member_outputs(batch.images)
        stages = {stage: log_mean(member_outputs)}
        if stage in ("val", "test"):
            stages |= {MEMBER.format(number): outputs for number, outputs in enumerate(member_outputs)}
        for name, log_probabilities in stages.items():
            self._measure_outputs(name, log_probabilities, batch.targets)
        return stages[stage]
