import numpy as np
import pytest
import torch
from torch import nn

from lit_a1.benchmark.speed import alternate, matrix_products, torch_epoch, training_step, with_torch_norms
from lit_a1.layers import BatchNorm2d
from lit_a1.mlp.network import NN
from lit_a1.models.catsdogs import ResidualNet


def test_both_sides_are_the_same_network() -> None:
    ours = ResidualNet((8, 16), (1,))
    nn.init.normal_(ours.linear.weight)
    theirs = with_torch_norms(ours)
    assert not any(isinstance(module, BatchNorm2d) for module in theirs.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in theirs.modules()) == 4
    images = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(ours(images), theirs(images))


def test_sides_alternate_and_the_warm_up_is_not_counted() -> None:
    calls: list[str] = []
    timing = alternate("x", lambda: calls.append("ours"), lambda: calls.append("theirs"), pairs=3, limit=1.15)
    assert len(calls) == 10
    assert calls == ["ours", "theirs"] * 5
    assert timing.limit == 1.15
    assert timing.ours_s >= 0


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


def test_a_training_step_is_timed() -> None:
    timing = training_step(1, batch=4, size=16, steps=1)
    assert min(timing.ours_s, timing.theirs_s) > 0
    assert "4 images of 16x16" in timing.name
