"""Imports Lightning in less time: without what it and torchmetrics would load and never use here."""

import gc
import sys
from types import ModuleType
from unittest.mock import patch

UNUSED = ("matplotlib", "scipy", "torchvision")
"""What torchmetrics loads, where it is installed, for plots and for metrics of sound and of pictures."""


def import_lightning(only_help: bool = False) -> None:
    """Imports Lightning, and torchmetrics with it, as if `UNUSED` were not installed.

    Args:
        only_help: nothing will run, so that torch's compiler, which Lightning loads for two names, is left out too.
    """
    from lightning_utilities.core import imports

    is_met, is_there = imports.RequirementCache.__bool__, imports.package_available
    if only_help:
        compiler = ModuleType("torch._dynamo")
        compiler.__dict__.update(OptimizedModule=object, disable=lambda function, *_, **__: function)
        sys.modules.setdefault("torch._dynamo", compiler)
    gc.disable()  # modules are not garbage, and looking through them takes a tenth of the time
    try:
        with (
            patch.object(imports.RequirementCache, "__bool__", lambda it: it.requirement not in UNUSED and is_met(it)),
            patch.object(imports, "package_available", lambda name: name not in UNUSED and is_there(name)),
        ):
            import lightning.pytorch.cli  # noqa: F401
    finally:
        gc.enable()
