"""A Cats-vs-Dogs classifier that goes on from trained weights."""

import re
from pathlib import Path
from typing import Any

from torch import nn

from lit_a1.data.errors import DataError
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.members import load_member
from lit_a1.runs.checkpoints import describe
from lit_a1.runs.folders import trained_weights
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.wording import counted


class FineTunedCNN(CatsDogsCNN):
    """A `CatsDogsCNN` whose training starts from the weights of another run, those that were validated there.

    The first run can then use strong augmentation, which keeps a network from learning its images by heart, and the
    second one images more like those that it is measured on (He Z. et al. 2019, "Data augmentation revisited:
    rethinking the distribution gap between clean and augmented data", arXiv:1909.09148). They must be of a run on the
    same split, so that no image held out here was learnt there. A checkpoint of this network needs the other no more.

    Args:
        start: a checkpoint; the folder of a run, or of an experiment for its newest run, whose last.ckpt is meant; an
            empty text starts from a random draw.
        network: everything that `CatsDogsCNN` takes.
    """

    def __init__(self, *, start: str = "", **network: Any) -> None:
        super().__init__(**network)
        self.save_hyperparameters()
        self.start = start
        self.began_with: list[str] | None = None  # those checkpoints, once training has begun, also of a resumed run

    def files(self, drawn: bool) -> list[Path]:
        """The checkpoints that training needs, on real or on `drawn` images.

        Raises:
            CheckpointError: there is no such training, or it has not ended.
        """
        return [trained_weights(self.start, drawn)] if self.start else []

    def check_files(self, drawn: bool) -> None:
        """Refuses what training can't begin with, before a run has a folder.

        Raises:
            CheckpointError: as `files`; or a file is damaged, or of another network.
        """
        files = self.files(drawn)
        nets = [load_member(path, self.channels).model.net for path in files]
        if self.start:
            self._check_layers(files[0], nets[0])

    def on_fit_start(self) -> None:
        """Lays out the learning rate, and takes the weights to start from; a resumed run has got its own back.

        Raises:
            CheckpointError: a file is missing, damaged, or of another network.
            DataError: as `trained`.
        """
        super().on_fit_start()
        if self.began_with is not None:
            return
        self.began_with = list(map(str, self.files(self.trainer.datamodule.drawn)))  # type: ignore[attr-defined]
        if self.start:
            path = Path(self.began_with[0])
            net = self.trained(path)
            self._check_layers(path, net)
            for own in {self.net, self.evaluated_net()}:
                own.get_submodule("1").load_state_dict(net.get_submodule("1").state_dict())  # "0" standardises

    def _check_layers(self, path: Path, net: nn.Module) -> None:
        if _layers(repr(net)) != _layers(describe(self)):
            raise CheckpointError(f"Training can't start from {path}: it is of a network with other layers.")

    def trained(self, path: Path) -> nn.Module:
        """The network of a checkpoint, in evaluation mode.

        Raises:
            CheckpointError: the file is missing, damaged, or of a network for other images.
            DataError: the network knows other classes, or was trained on images that are held out here.
        """
        member = load_member(path, self.channels)
        try:
            self.trainer.datamodule.check_split(member.data)  # type: ignore[attr-defined]
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        if self.trainer.is_global_zero:
            print(f"Trained weights: {path}, of {counted(member.epoch, 'epoch')}")
        return member.model.net.requires_grad_(False).eval()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Names the files that training began with: a run goes on with the same, also where there are newer ones."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["began_with"] = self.began_with

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes their names back."""
        self.began_with = checkpoint.get("began_with")


def _layers(text: str) -> str:
    """A network's layers without those that have no weights of their own, and without what several devices change."""
    return re.sub(r", sync=\w+", "", re.sub(r"(Dropout|StochasticDepth)\([^)]*\)", "Identity()", text))
