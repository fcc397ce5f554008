"""A Cats-vs-Dogs classifier that goes on from trained weights."""

from pathlib import Path
from typing import Any

from torch import nn

from lit_a1.checkpoints import describe
from lit_a1.data.errors import DataError
from lit_a1.data.module import PictureDataModule
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.ensemble import load_member, member_files
from lit_a1.runs import CheckpointError


class FineTunedCNN(CatsDogsCNN):
    """A `CatsDogsCNN` whose training starts from the weights of another run, those that were validated there.

    The first run can then use strong augmentation, which keeps a network from learning its pictures by heart, and the
    second one pictures more like those that it is measured on (He Z. et al. 2019, "Data augmentation revisited:
    rethinking the distribution gap between clean and augmented data", arXiv:1909.09148). They must be of a run on the
    same split, so that no picture held out here was learnt there.

    Args:
        start: a checkpoint, or the folder of a run or of an experiment with one run, whose best.ckpt is meant; none
            starts from a random draw.
        network: everything that `CatsDogsCNN` takes.
    """

    def __init__(self, *, start: str = "", **network: Any) -> None:
        super().__init__(**network)
        self.save_hyperparameters()
        self.start = start

    def setup(self, stage: str) -> None:
        """Loads the weights to start from, before a run that is resumed gets its own back.

        Raises:
            CheckpointError: the file is missing, damaged, or of another network.
            DataError: its network knows other classes, or was trained on pictures that are held out here.
        """
        if stage != "fit" or not self.start:
            return
        path, *others = member_files(self.start)
        if others:
            raise CheckpointError(
                f"Training starts from one checkpoint, but {self.start} has {1 + len(others)}: name one, as {path}."
            )
        net = self.trained(path)
        if repr(net) != describe(self):
            raise CheckpointError(f"Training can't start from {path}: it is of a network with other layers.")
        for own in (self.net, self.average.net if self.average is not None else self.net):
            own.load_state_dict(net.state_dict())

    def trained(self, path: Path) -> nn.Module:
        """The network of a checkpoint, in evaluation mode.

        Raises:
            CheckpointError: the file is missing, damaged, or of a network for other pictures.
            DataError: the network knows other classes, or was trained on pictures that are held out here.
        """
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
