"""Draws, images and a trainer for the tests of augmentation and of the data modules."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(count: int = 16, size: int = 32, width: int | None = None, channels: int = 3, seed: int = 0) -> Tensor:
    """Random images (N,C,H,W), uint8, in the layout they have on disk."""
    shape = (count, size, width or size, channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed)).permute(0, 3, 1, 2)


def trainer(**options: Any) -> Any:
    """As much of a trainer as a data module looks at."""
    usual = dict.fromkeys(("limit_val_batches", "limit_test_batches", "limit_train_batches"), 1.0)
    usual |= {"training": True, "state": SimpleNamespace(fn="fit"), "current_epoch": 0, "global_step": 0}
    usual |= {"world_size": 1, "global_rank": 0, "overfit_batches": 0}
    return SimpleNamespace(**usual | options, _checkpoint_connector=SimpleNamespace(_loaded_checkpoint={}))
