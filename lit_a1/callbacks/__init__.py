"""What happens around a run: progress on the terminal, TensorBoard, the record of the run, the submission."""

from lit_a1.callbacks.best import BestCheckpoint, LastCheckpoint
from lit_a1.callbacks.continuation import Continuation
from lit_a1.callbacks.ensemble import EnsembleRecord
from lit_a1.callbacks.predictions import PredictionFiles
from lit_a1.callbacks.progress import ProgressLines
from lit_a1.callbacks.record import RunRecord
from lit_a1.callbacks.tensorboard import RunLogger, TensorBoardExtras

__all__ = [
    "BestCheckpoint",
    "Continuation",
    "EnsembleRecord",
    "LastCheckpoint",
    "PredictionFiles",
    "ProgressLines",
    "RunLogger",
    "RunRecord",
    "TensorBoardExtras",
]
