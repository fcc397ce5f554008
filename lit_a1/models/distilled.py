"""A Cats-vs-Dogs classifier that learns from trained ones."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lit_a1.checkpoints import describe
from lit_a1.data.batch import Batch
from lit_a1.data.errors import DataError
from lit_a1.data.module import PictureDataModule
from lit_a1.data.resample import resize
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.ensemble import load_member, member_files
from lit_a1.runs import CheckpointError


class DistilledCNN(CatsDogsCNN):
    """A `CatsDogsCNN` whose targets are, in part, what its teachers say of the very picture that it is shown.

    With the label y (N,K), smoothed or mixed as it may be, and the mean p of the teachers' probabilities for the same
    augmented picture, the target is

        s p + (1 - s) y,

    s being `teacher_share`. Teachers that agree give the label back; where they differ, and on crops that show no
    animal or mixtures of two, their mean says more than the label does. Only training needs them: checkpoints of this
    network hold its own weights, and are evaluated like any other.

    Sources: Hinton et al. 2015, "Distilling the knowledge in a neural network" (arXiv:1503.02531), at temperature 1;
    Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent" (arXiv:2106.05237), of which
    it takes the teachers' view of each augmented picture in place of one view kept for all epochs.

    Args:
        teachers: checkpoints; the folder of a run means its best.ckpt, and that of an experiment those of all its runs.
        teacher_share: s, in [0,1].
        teacher_size: least height and width in pixels that the teachers are shown; smaller pictures are scaled up.
        start: a checkpoint, or a run's folder, whose weights training starts from; none starts from a random draw.
        network: everything that `CatsDogsCNN` takes.

    Raises:
        ValueError: there is no teacher, or a number is out of its range.
    """

    def __init__(
        self,
        *,
        teachers: list[str],
        teacher_share: float = 0.75,
        teacher_size: int = 0,
        start: str = "",
        **network: Any,
    ) -> None:
        if not teachers:
            raise ValueError("teachers must name at least one checkpoint; got none")
        if not 0 <= teacher_share <= 1:
            raise ValueError(f"teacher_share must be between 0 and 1; got {teacher_share}")
        if teacher_size < 0:
            raise ValueError(f"teacher_size must be at least 0; got {teacher_size}")
        super().__init__(**network)
        self.save_hyperparameters()
        self.teachers, self.teacher_share, self.teacher_size = teachers, teacher_share, teacher_size
        self.start = start
        self._teacher_nets: list[nn.Module] = []  # in a list, which keeps their weights out of the checkpoints

    def setup(self, stage: str) -> None:
        """Loads the teachers, and the weights to start from: before a run that is resumed gets its own back.

        Raises:
            CheckpointError: a file is missing, damaged, or of another network than it must be.
            DataError: a network knows other classes, or was trained on pictures that are held out here.
        """
        if stage != "fit":
            return
        self._teacher_nets = []
        for path in (path for teacher in self.teachers for path in member_files(teacher)):
            net = self._trained(path)
            if self.compile_net:
                net.compile(dynamic=False)
            self._teacher_nets.append(net)
        if not self.start:
            return
        path, *others = member_files(self.start)
        if others:
            raise CheckpointError(f"Training starts from one checkpoint; {self.start} has {1 + len(others)}.")
        net = self._trained(path)
        if repr(net) != describe(self):
            raise CheckpointError(f"Training can't start from {path}: it is of a network with other layers.")
        for own in (self.net, self.average.net if self.average is not None else self.net):
            own.load_state_dict(net.state_dict())

    def _trained(self, path: Path) -> nn.Module:
        """The network of a checkpoint, which must have been trained on the same split."""
        member = load_member(path)
        if member.model.channels != self.channels:
            raise CheckpointError(
                f"{path} takes pictures of {member.model.channels} channels; these have {self.channels}."
            )
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, PictureDataModule):
            try:
                data.check_split(member.data)
            except DataError as error:
                raise DataError(f"{path}: {error}") from error
        return member.model.net.requires_grad_(False).eval()

    def on_fit_start(self) -> None:
        """Lays out the learning rate, and brings the teachers to the device."""
        super().on_fit_start()
        for net in self._teacher_nets:
            net.to(self.device)

    def training_targets(self, batch: Batch) -> Tensor:
        """Distributions (N,K): the labels, mixed with the mean of what the teachers say."""
        labels, pictures = batch.targets, batch.pictures
        if pictures.shape[-1] < self.teacher_size:
            pictures = resize(pictures, self.teacher_size)
            if self.channels_last:
                pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            said = torch.stack([net(pictures).float().softmax(1) for net in self._teacher_nets]).mean(0)
        if labels.ndim == 1:
            labels = torch.zeros_like(said).scatter_(1, labels[:, None], 1.0)
        return said.lerp(labels, 1 - self.teacher_share)
