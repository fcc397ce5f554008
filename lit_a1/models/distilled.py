"""A Cats-vs-Dogs classifier that learns from trained ones."""

from typing import Any

import torch
from torch import Tensor, nn

from lit_a1.data.batch import Batch
from lit_a1.data.resample import resize
from lit_a1.models.ensemble import member_files
from lit_a1.models.fine_tuned import FineTunedCNN


class DistilledCNN(FineTunedCNN):
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
        network: everything that `FineTunedCNN` takes: the weights to start from, and the network.

    Raises:
        ValueError: there is no teacher, or a number is out of its range.
    """

    def __init__(
        self,
        *,
        teachers: list[str],
        teacher_share: float = 0.75,
        teacher_size: int = 0,
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
        self._teacher_nets: list[nn.Module] = []  # in a list, which keeps their weights out of the checkpoints

    def setup(self, stage: str) -> None:
        """Loads the teachers, and the weights to start from.

        Raises:
            CheckpointError: a file is missing, damaged, or of another network than it must be.
            DataError: a network knows other classes, or was trained on pictures that are held out here.
        """
        super().setup(stage)
        if stage != "fit":
            return
        files = [path for teacher in self.teachers for path in member_files(teacher)]
        self._teacher_nets = [self.trained(path) for path in files]
        if self.compile_net:
            for net in self._teacher_nets:
                net.compile(dynamic=False)

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
