"""The trained networks of recorded runs, numpy network or CNN, with their cost for an image."""

import ast
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lit_a1.data.mnist_module import MNISTDataModule
from lit_a1.data.resample import resize
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import load_weights
from lit_a1.models.architecture import layers_of
from lit_a1.models.inputs import tta_views
from lit_a1.models.mnist import MNISTCNN
from lit_a1.runs.checkpoints import read
from lit_a1.runs.finished import Run
from lit_a1.runs.records import RECORD_FILE, CheckpointError


@dataclass(frozen=True)
class Network:
    """A trained network with its cost."""

    classify: Callable[[torch.Tensor], NDArray[np.int64]]  # maps a batch of images to digits
    parameters: int
    multiply_adds: int  # for one image

    def predict(self, images: torch.Tensor) -> NDArray[np.int64]:
        """The digits (N,) predicted for images (N,1,28,28) in [0,1]."""
        with torch.inference_mode():
            return np.concatenate([self.classify(batch) for batch in images.split(500)])


def load_network(run: Run) -> Network:
    """The network of a run; raises a CheckpointError if the file is damaged, or of another network or epoch."""
    return _mlp(run) if run.kind == "MLP" else _cnn(run)


def _mlp(run: Run) -> Network:
    settings = run.settings
    try:
        hidden = tuple(ast.literal_eval(str(settings["model.hidden_dims"])))
        net = NN(hidden, len(hidden), nonlinearity=settings["model.nonlinearity"], parameter_range=(1, 1 << 62))
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise CheckpointError(f"{run.folder / RECORD_FILE} does not say what network was trained: {error}.") from error
    load_weights(net, run.weights)
    _check_epoch(run, net.epoch)
    multiply_adds = sum(weights.size for weights in net.weights)
    return Network(lambda x: net.forward(x.flatten(1).numpy()).argmax(axis=1), net.n_parameters, multiply_adds)


def _cnn(run: Run) -> Network:
    checkpoint = read(run.weights)
    if (class_name := checkpoint["model_class"]) != MNISTCNN.__qualname__:
        raise CheckpointError(f"{run.weights} is a checkpoint of {class_name}; {MNISTCNN.__qualname__} was expected.")
    try:
        model = MNISTCNN.load_from_checkpoint(run.weights, map_location="cpu").eval()
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise CheckpointError(f"{run.weights} is of another version of {class_name}: {reason}") from error
    _check_epoch(run, checkpoint["epoch"] + 1)
    size = checkpoint[MNISTDataModule.__qualname__]["size"]  # at which the weights were trained and validated
    net = model.evaluated_net()[1]  # type: ignore[index]  # layer 0 standardises
    sides = [view.shape[-1] for view in tta_views(torch.zeros(1, 1, size, size), model.views)]
    views = [layers_of(net, (1, side, side)) for side in sides]
    multiply_adds = sum(layers.multiply_adds for layers in views)
    return Network(lambda x: model(resize(x, size)).argmax(1).numpy(), views[0].parameters, multiply_adds)


def _check_epoch(run: Run, epoch: int) -> None:
    if epoch != (recorded := int(run.epochs[-1]["epoch"]) + 1):
        raise CheckpointError(
            f"{run.weights} holds the weights after epoch {epoch}, but the {RECORD_FILE} of its run ends with epoch "
            f"{recorded}: resume the run to its end, or remove its folder."
        )
