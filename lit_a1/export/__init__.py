"""Exports trained networks as ONNX and safetensors with a model card, and predicts from ONNX alone."""

from importlib.util import find_spec

from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import listed

PACKAGES = ("onnx", "onnxscript", "onnxruntime", "safetensors")


def check_packages(*needed: str) -> None:
    """Raises a UsageError that names the needed packages that are not installed."""
    if lacking := [name for name in needed if find_spec(name) is None]:
        raise UsageError(f'{listed(lacking)} must be installed for this: pip install ".[export]"')
