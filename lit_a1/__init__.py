"""lit_a1: IFT6135 (Hiver 2019) assignment 1, written out by hand on PyTorch Lightning."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

__version__ = "0.1.0"


class _TorchvisionWithoutOperators(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets a torchvision built for another torch be imported, without its compiled operators.

    A CPU-only torch beside a CUDA-built torchvision leaves `torchvision::nms` unregistered, and
    `torchvision._meta_registrations` then fails at import (`operator torchvision::nms does not exist`), and
    `import lightning` with it. This finder puts an empty module in its place, only where the operators are missing.
    Nothing is imported before torchvision itself is, so `--help` stays quick.
    """

    name = "torchvision._meta_registrations"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        import torch  # already loaded: torchvision imports it first

        if hasattr(torch.ops.torchvision, "nms"):
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        """Leaves the module empty."""


if not any(isinstance(finder, _TorchvisionWithoutOperators) for finder in sys.meta_path):
    sys.meta_path.insert(0, _TorchvisionWithoutOperators())
