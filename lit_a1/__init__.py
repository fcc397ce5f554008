"""lit_a1: IFT6135 (Hiver 2019) assignment 1, written out by hand on PyTorch Lightning."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

__version__ = "0.1.0"


class _TorchvisionWithoutOperators(MetaPathFinder):
    """Lets a torchvision built for another torch be imported, without its compiled operators.

    A CPU-only torch beside a CUDA-built torchvision leaves `torchvision::nms` unregistered, and
    `torchvision._meta_registrations` then fails at import (`operator torchvision::nms does not exist`), and
    `import lightning` with it. This finder puts an empty module in its place, only where the operators are missing.
    Nothing is imported before torchvision itself is, so `--help` stays quick.
    """

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        if fullname != "torchvision._meta_registrations":
            return None
        import torch  # already loaded: torchvision imports it first

        return None if hasattr(torch.ops.torchvision, "nms") else ModuleSpec(fullname, None, is_package=True)


if not any(isinstance(finder, _TorchvisionWithoutOperators) for finder in sys.meta_path):
    sys.meta_path.insert(0, _TorchvisionWithoutOperators())
