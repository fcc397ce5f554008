"""The LightningModules."""

from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier

__all__ = ["CatsDogsCNN", "Classifier"]
