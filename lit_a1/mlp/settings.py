"""The hyperparameters of the numpy network, and their valid ranges."""

from dataclasses import KW_ONLY, dataclass
from itertools import pairwise

import numpy as np

from lit_a1.mlp.functions import DECAYS, NONLINEARITIES, Array

CHOICES = {
    "mode": ("train", "test"),
    "nonlinearity": tuple(NONLINEARITIES),
    "lr_decay": DECAYS,
    "dtype": ("float32", "float64"),
}
RANGES = {
    **dict.fromkeys(("hidden_dims", "input_dim", "n_classes", "epochs", "batch_size"), (1, np.inf)),
    **dict.fromkeys(("momentum", "dropout", "input_dropout"), (0, 1)),
    **dict.fromkeys(("lr", "lr_decay_rate", "weight_decay", "seed"), (0, np.inf)),
}
"""The smallest valid value of a number, and the first that is too large."""
MOST_PARAMETERS = 500_000_000  # more would not fit in memory


@dataclass(eq=False, repr=False)
class Settings:
    """The hyperparameters of `NN`.

    Args:
        hidden_dims: units of the hidden layers, (h1, h2) in the assignment.
        n_hidden: the length of `hidden_dims`.
        mode: `train`, or `test` to use trained weights, which are read from `model_path`.
        datapath: a `.npz` file with x_train, y_train, x_test and y_test (the layout of the common `mnist.npz`), for
            `train` and `test` without arguments; the last 10,000 training images are the validation set.
        model_path: the `.npz` file of weights, which `save` writes and `load` reads.
        input_dim: pixels per image.
        n_classes: outputs.
        nonlinearity: of the hidden layers: relu, leaky_relu, tanh, sigmoid or gelu (its approximation by tanh).
        initialization: of the weights: zero, normal or glorot; biases start at zero.
        parameter_range: smallest and largest allowed number of parameters, biases included.
        lr: learning rate of the first step.
        lr_decay: constant; linear or cosine, to zero at the end of all epochs; or exponential.
        lr_decay_rate: factor of exponential decay, each epoch.
        epochs: passes over the training set that linear and cosine decay span.
        batch_size: examples per step.
        momentum: share of the last step's velocity that is kept; 0 for none (Polyak, 1964).
        nesterov: look ahead along the velocity (Sutskever et al., 2013, as in torch.optim.SGD).
        weight_decay: L2 penalty: this times the weights is added to their gradients (not to the biases').
        dropout: probability of dropping a hidden unit in a training step; the others are scaled up (Srivastava et al.,
            2014).
        input_dropout: likewise for a pixel.
        seed: of the initial weights, the order of the examples and dropout.
        dtype: float32, or float64 to check derivatives.

    Raises:
        ValueError: a value is wrong; the message says what was expected.
    """

    hidden_dims: tuple[int, ...] = (512, 512)
    n_hidden: int = 2
    mode: str = "train"
    datapath: str | None = None
    model_path: str | None = None
    _: KW_ONLY
    input_dim: int = 784
    n_classes: int = 10
    nonlinearity: str = "relu"
    initialization: str = "glorot"
    parameter_range: tuple[int, int] = (500_000, 1_000_000)
    lr: float = 0.1
    lr_decay: str = "constant"
    lr_decay_rate: float = 0.95
    epochs: int = 20
    batch_size: int = 128
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    dropout: float = 0.0
    input_dropout: float = 0.0
    seed: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.n_hidden != (expected := len(self.hidden_dims)):
            raise ValueError(f"n_hidden must be the length of hidden_dims, {expected}; got {self.n_hidden}")
        values = vars(self) | {"hidden_dims": min(self.hidden_dims, default=1)}
        for name, choices in CHOICES.items():
            if values[name] not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}; got {values[name]!r}")
        for name, (low, high) in RANGES.items():
            if not low <= values[name] < high:
                raise ValueError(f"{name} must be in [{low}, {high}); got {values[name]}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov looks ahead along the momentum, which must be above 0; got 0")
        self.dims = (self.input_dim, *self.hidden_dims, self.n_classes)
        count, (fewest, most) = self.n_parameters, self.parameter_range
        if count > MOST_PARAMETERS:
            limit = f"hidden_dims may make {MOST_PARAMETERS:,} parameters"
            raise ValueError(f"{limit}; the network {self.architecture} has {count:,}")
        if not fewest <= count <= most:
            allowed = f"parameter_range allows {fewest:,} to {most:,}"
            raise ValueError(f"hidden_dims: the network {self.architecture} has {count:,} parameters; {allowed}")

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.dims))

    @property
    def architecture(self) -> str:
        """Units of all layers: 784-512-512-10."""
        return "-".join(map(str, self.dims))

    def layer_views(self, flat: Array) -> tuple[list[Array], list[Array]]:
        """Matrices (fan_in, fan_out) and vectors (fan_out,) that share the memory of a flat array."""
        matrices, vectors, start = [], [], 0
        for fan_in, fan_out in pairwise(self.dims):
            middle, end = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
            matrices.append(flat[start:middle].reshape(fan_in, fan_out))
            vectors.append(flat[middle:end])
            start = end
        return matrices, vectors
