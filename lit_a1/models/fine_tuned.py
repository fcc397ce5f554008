"""A Cats-vs-Dogs classifier that starts from trained weights."""

import re
from pathlib import Path
from typing import Any

from torch import nn

from lit_a1.data.errors import DataError
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.members import load_member
from lit_a1.runs.folders import trained_weights
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.wording import counted


class FineTunedCNN(CatsDogsCNN):
    """A `CatsDogsCNN` whose training starts from the weights of another run, the ones that were validated there.

    The first run can then use strong augmentation, which keeps a network from memorising its images. The second run can
    use images more like those of evaluation (He Z. et al. 2019, "Data augmentation revisited: rethinking the
    distribution gap between clean and augmented data", arXiv:1909.09148). The weights must be of a run on the same
    split, which did not train on images held out here. Checkpoints of this network no longer need the other run.

    Args:
        start: a checkpoint; or the folder of a run, or of an experiment for its newest run, to use its last.ckpt; an
            empty text starts from random weights.
        network: all arguments of `CatsDogsCNN`.
    """

    def __init__(self, *, start: str = "", **network: Any) -> None:
        super().__init__(**network)
        self.save_hyperparameters()
        self.start = start
        self.began_with: list[str] | None = None  # the checkpoints that training started from, also if resumed

    def files(self, drawn: bool) -> list[Path]:
        """The checkpoints needed for training, on real or on `drawn` images.

        Raises:
            CheckpointError: there is no such run, or it has not ended.
        """
        return [trained_weights(self.start, drawn)] if self.start else []

    def check_files(self, drawn: bool) -> None:
        """Refuses checkpoints that training can't start from, before the run has a folder.

        Raises:
            CheckpointError: as `files`; or a file is damaged, or of another network.
        """
        files = self.files(drawn)
        nets = [load_member(path, self.channels).model.net for path in files]
        if self.start:
            self._check_layers(files[0], nets[0])

    def on_fit_start(self) -> None:
        """Fits the learning rate schedule, and loads the weights to start from, unless the run is resumed.

        Raises:
            CheckpointError: a file is missing, damaged, or of another network.
            DataError: as `load_net`.
        """
        super().on_fit_start()
        if self.began_with is not None:
            return
        self.began_with = list(map(str, self.files(self.trainer.datamodule.drawn)))  # type: ignore[attr-defined]
        if self.start:
            path = Path(self.began_with[0])
            start_net = self.load_net(path)
            self._check_layers(path, start_net)
            for net in {self.net, self.evaluated_net()}:
                net.get_submodule("1").load_state_dict(start_net.get_submodule("1").state_dict())  # "0" standardises

    def _check_layers(self, path: Path, net: nn.Module) -> None:
        if _layers(repr(net)) != _layers(repr(self.net)):
            raise CheckpointError(f"Training can't start from {path}: it is of a network with other layers.")

    def load_net(self, path: Path) -> nn.Module:
        """The network of a checkpoint, in evaluation mode.

        Raises:
            CheckpointError: the file is missing, damaged, or of a network for other images.
            DataError: the network has other classes, or was trained on images that are held out here.
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
        """Names the files that training started from, so a resumed run uses the same, even if there are newer ones."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["began_with"] = self.began_with

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the names of these files."""
        self.began_with = checkpoint.get("began_with")


def _layers(text: str) -> str:
    """A network's layers, without layers that have no weights and without options for several devices."""
    return re.sub(r", sync=\w+", "", re.sub(r"(Dropout|StochasticDepth)\([^)]*\)", "Identity()", text))
