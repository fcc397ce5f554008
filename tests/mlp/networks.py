"""Small networks, examples for them, and torch's names for their nonlinearities."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lit_a1.mlp.network import NN

FUNCTIONS = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": lambda z: F.gelu(z, approximate="tanh"),
}
every_nonlinearity = pytest.mark.parametrize("nonlinearity", FUNCTIONS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def small(*hidden_dims: int, **changes: Any) -> NN:
    settings = {"input_dim": 5, "n_classes": 4, "parameter_range": (1, 10**6), "seed": 3, "dtype": "float64"}
    return NN(hidden_dims, len(hidden_dims), **settings | changes)


def examples(net: NN, rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, net.dims[0])).astype(net.dtype), rng.integers(0, net.dims[-1], rows)
