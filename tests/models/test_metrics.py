"""The mean of what was measured."""

import pytest
import torch

from lit_a1.models.metrics import Mean


def test_the_mean_is_weighted_and_starts_anew() -> None:
    mean = Mean()
    mean.update(torch.tensor(1.0), weight=3)
    mean.update(torch.tensor(5.0, dtype=torch.bfloat16))
    assert mean.compute().item() == 2.0
    assert mean.compute().dtype == torch.float32
    mean.reset()
    mean.update(torch.tensor(7.0))
    assert mean.compute().item() == 7.0
    assert not mean.state_dict()  # checkpoints don't hold it


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_not_left_out(wrong: float) -> None:
    mean = Mean()
    for value in (1.0, wrong, 1.0):
        mean.update(torch.tensor(value), weight=2)
    assert not torch.isfinite(mean.compute())
