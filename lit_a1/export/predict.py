"""`predict` from an ONNX file: writes the same files with onnxruntime instead of PyTorch."""

import json
from pathlib import Path

import numpy as np
from jsonargparse import Namespace
from numpy.typing import NDArray

from lit_a1.callbacks.predictions import PredictionFiles, submission_path
from lit_a1.data.errors import DataError
from lit_a1.data.module import ImageDataModule
from lit_a1.export import check_packages
from lit_a1.export.graph import INPUT
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.settings import build
from lit_a1.runs.wording import listed

BATCH = 50  # images at once: their activations are larger than they are


class OnnxNetwork:
    """An exported file: maps images (N,H,W,C) uint8 of its `shape` to probabilities (N,K) of its `classes`.

    Raises:
        UsageError: onnxruntime is not installed.
        CheckpointError: the file is missing, damaged, or was not written by `export`.
    """

    def __init__(self, path: Path) -> None:
        check_packages("onnxruntime")
        import onnxruntime

        if not path.is_file():
            raise CheckpointError(f"There is no checkpoint {path}.")
        try:
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            (images,) = self._session.get_inputs()
            self.shape = tuple(map(int, images.shape[1:]))
            about = self._session.get_modelmeta().custom_metadata_map
            self.classes, self.outside = tuple(json.loads(about["classes"])), json.loads(about.get("outside", "false"))
        except Exception as error:  # onnxruntime has many errors of its own
            raise CheckpointError(f"{path} can't be read: it is damaged, or was not written by export.") from error

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N,K) of images (N,H,W,C)."""
        parts = np.array_split(images, -(-len(images) // BATCH))
        return np.concatenate([self._session.run(None, {INPUT: part})[0] for part in parts])


def predict(settings: Namespace) -> None:
    """Labels the images that the settings of `predict` name.

    Raises:
        UsageError: a setting is invalid.
        CheckpointError: as `OnnxNetwork`.
        DataError: there are no images, or their shape or number of classes differs from the network's.
    """
    network = OnnxNetwork(path := Path(settings.ckpt_path))
    data = build(ImageDataModule, settings.data)
    data.locate("predict")
    files = PredictionFiles(submission_path(settings.submission, data.drawn))
    files.check_writable()
    data.setup("predict")
    images = data.sets["predict"].images
    if images.shape[1:] != network.shape:
        shapes = (" x ".join(map(str, shape)) for shape in (network.shape, images.shape[1:]))
        raise DataError("{} takes images of {}; these are {}.".format(path, *shapes))
    if len(data.classes) != len(network.classes):
        raise DataError(f"{path} knows {listed(network.classes)}; the data are {listed(data.classes)}.")
    files.check_names(data)
    data.classes, data.outside = network.classes, network.outside
    print(f"Checkpoint: {path}")
    files.write(data, np.arange(len(images)), network(images))
