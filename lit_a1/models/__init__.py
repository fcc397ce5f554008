"""The LightningModules."""

from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier
from lit_a1.models.distilled import DistilledCNN
from lit_a1.models.ensemble import Ensemble
from lit_a1.models.fine_tuned import FineTunedCNN
from lit_a1.models.mnist import MNISTCNN

__all__ = ["MNISTCNN", "CatsDogsCNN", "Classifier", "DistilledCNN", "Ensemble", "FineTunedCNN"]
