"""The layer that standardises pictures."""

import torch

from lit_a1.models.input_layer import Standardize


def test_standardize_maps_to_zero_mean_and_unit_variance() -> None:
    x = torch.tensor([0.2, 0.6]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    y = Standardize((0.2, 0.4), (0.5, 0.1))(x)
    torch.testing.assert_close(y, torch.tensor([0.0, 2.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2))
