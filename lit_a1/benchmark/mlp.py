"""An epoch of the numpy network against a plain PyTorch loop, and against its own matrix products alone."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lit_a1.benchmark.timing import Timing, alternate
from lit_a1.mlp.network import NN

PRODUCTS = "its matrix products alone"


def mlp(pairs: int) -> list[Timing]:
    """Times an epoch on random images, of MNIST's size and number, with a network like that of `configs/mlp.yaml`."""
    layers, batch, count = (784, 512, 512, 10), 128, 50_000
    rng = np.random.default_rng(0)
    images = rng.random((count, layers[0]), dtype=np.float32)
    labels = rng.integers(0, layers[-1], count)
    net = NN(layers[1:-1], batch_size=batch)
    hidden = (module for a, b in itertools.pairwise(layers[:-1]) for module in (nn.Linear(a, b), nn.ReLU()))
    model = nn.Sequential(*hidden, nn.Linear(*layers[-2:]))
    others = {
        "a PyTorch loop": (torch_epoch(model, torch.from_numpy(images), torch.from_numpy(labels), batch, net.lr), 1.0),
        PRODUCTS: (matrix_products(layers, batch, count // batch), 1.15),
    }
    name = f"numpy MLP, an epoch of {count:,} images, {net.architecture}, batches of {batch}"
    return alternate(name, lambda: net.train(images, labels), others, pairs)


def torch_epoch(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int, lr: float
) -> Callable[[], None]:
    """A typical PyTorch epoch: tensors in memory, torch.optim.SGD, with loss and errors summed."""
    sgd = torch.optim.SGD(model.parameters(), lr=lr)

    def epoch() -> None:
        loss_sum, errors = 0.0, 0
        for rows in torch.randperm(len(images)).split(batch):
            targets = labels[rows]
            logits = model(images[rows])
            loss = F.cross_entropy(logits, targets)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            loss_sum += loss.item() * len(rows)
            errors += int((logits.argmax(1) != targets).sum())

    return epoch


def matrix_products(layers: Sequence[int], batch: int, steps: int) -> Callable[[], None]:
    """The products that backpropagation requires: X W and X^T D for each layer, D W^T for all except the first."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    shapes = list(itertools.pairwise(layers))
    operands = [(random(batch, a), random(a, b), random(batch, b)) for a, b in shapes]
    results = [(random(batch, b), random(a, b), random(batch, a)) for a, b in shapes]

    def epoch() -> None:
        for _ in range(steps):
            for k, ((x, w, d), (z, weight_gradient, input_gradient)) in enumerate(zip(operands, results, strict=True)):
                np.matmul(x, w, out=z)
                np.matmul(x.T, d, out=weight_gradient)
                if k:
                    np.matmul(d, w.T, out=input_gradient)

    return epoch
