"""Both sides of the numpy network's benchmark do the same."""

import numpy as np
import pytest
import torch
from torch import nn

from lit_a1.benchmark.mlp import matrix_products, torch_epoch
from lit_a1.mlp.network import NN


def test_both_sides_of_the_mlp_learn_the_same() -> None:
    """One batch, so that the order of the images does not matter."""
    rng = np.random.default_rng(0)
    images, labels = rng.random((32, 20), dtype=np.float32), rng.integers(0, 10, 32)
    net = NN((16,), 1, input_dim=20, parameter_range=(1, 1000), batch_size=32)
    model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 10))
    with torch.no_grad():
        for k, layer in ((0, model[0]), (1, model[2])):
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(torch.from_numpy(net.weights[k].T))
            layer.bias.zero_()
    epoch = torch_epoch(model, torch.from_numpy(images), torch.from_numpy(labels), 32, net.lr)
    for _ in range(5):
        net.train(images, labels)
        epoch()
    np.testing.assert_allclose(net.weights[0].T, model[0].weight.detach().numpy(), atol=1e-6)


def test_the_matrix_products_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch of the network multiplies matrices of the same shapes, as often."""
    shapes: list[tuple[int, ...]] = []
    matmul = np.matmul

    def recording(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        if a.ndim == 2:  # the sums of the biases' gradients are products too, of vectors
            shapes.append(a.shape + b.shape)
        return matmul(a, b, out=out)

    monkeypatch.setattr(np, "matmul", recording)
    net = NN((16, 12), 2, input_dim=20, parameter_range=(1, 1000), batch_size=8)
    net.train(np.zeros((24, 20), np.float32), np.zeros(24, np.int64))
    ours = sorted(shapes)
    shapes.clear()
    matrix_products((20, 16, 12, 10), 8, 3)()
    assert sorted(shapes) == ours
