"""A Cats-vs-Dogs classifier that learns from trained classifiers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lit_a1.data.batch import Batch
from lit_a1.models.classifier import compile_in_place
from lit_a1.models.fine_tuned import FineTunedCNN
from lit_a1.models.members import refuse_duplicates
from lit_a1.runs.folders import trained_weights


class DistilledCNN(FineTunedCNN):
    """A `CatsDogsCNN` whose targets are partly its teachers' predictions for the same augmented image.

    With the label y (N,K), which may be mixed, and the mean p of the teachers' probabilities, the target is

        s p + (1 - s) y,

    where s is `teacher_share`. The loss smooths it by `label_smoothing`, like any target. If the teachers agree, they
    give the label back. If they differ, and on crops without an animal or mixtures of two, their mean is a better
    target than the label. Only training needs the teachers: checkpoints hold this network's own weights, and are
    evaluated like any other.

    Sources: Hinton et al. 2015, "Distilling the knowledge in a neural network" (arXiv:1503.02531), at temperature 1;
    Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent" (arXiv:2106.05237), for
    showing the teachers each augmented image, in place of one view kept for all epochs.

    Args:
        teachers: checkpoints; or the folder of a run, or of an experiment for its newest run, to use its last.ckpt.
        teacher_share: s, in [0,1].
        network: all arguments of `FineTunedCNN`: the weights to start from, and the network.

    Raises:
        ValueError: there is no teacher, or `teacher_share` is out of its range.
    """

    def __init__(self, *, teachers: list[str], teacher_share: float = 0.75, **network: Any) -> None:
        if not teachers:
            raise ValueError("teachers must name at least one checkpoint; got none")
        if not 0 <= teacher_share <= 1:
            raise ValueError(f"teacher_share must be between 0 and 1; got {teacher_share}")
        super().__init__(**network)
        self.save_hyperparameters()
        self.teachers, self.teacher_share = teachers, teacher_share
        self._teacher_nets: list[nn.Module] = []  # a list keeps their weights out of the checkpoints

    def files(self, drawn: bool) -> list[Path]:
        """The weights to start from, then the teachers'; a CheckpointError also if a teacher is named twice."""
        start, teachers = super().files(drawn), [trained_weights(teacher, drawn) for teacher in self.teachers]
        refuse_duplicates(teachers, "teachers")
        return [*start, *teachers]

    def on_fit_start(self) -> None:
        """As `FineTunedCNN`; also loads the teachers onto the device."""
        super().on_fit_start()
        teachers = (self.began_with or [])[-len(self.teachers) :]
        self._teacher_nets = [self.load_net(Path(path)).to(self.device) for path in teachers]
        if self.compile_net:
            for net in self._teacher_nets:
                compile_in_place(net)

    def training_targets(self, batch: Batch) -> Tensor:
        """Distributions (N,K): the labels, mixed with the mean of the teachers' predictions."""
        labels = batch.targets
        with torch.no_grad():
            predictions = [net(batch.images).float().softmax(1) for net in self._teacher_nets]
            teacher_probabilities = torch.stack(predictions).mean(0)
        if labels.ndim == 1:
            labels = torch.zeros_like(teacher_probabilities).scatter_(1, labels[:, None], 1.0)
        return teacher_probabilities.lerp(labels, 1 - self.teacher_share)
