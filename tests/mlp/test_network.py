"""The numpy network's derivatives, steps and epochs, against finite differences and torch."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lit_a1.mlp.network import NN
from tests.mlp.networks import FUNCTIONS, every_nonlinearity, examples, small


class Twin:
    """The same network in torch, from the same parameters, with dropout from the same draws."""

    def __init__(self, net: NN) -> None:
        self.net = net
        self.weights, self.biases = (
            [torch.tensor(p, requires_grad=True) for p in ps] for ps in (net.weights, net.biases)
        )
        assert torch.equal(self.flat(self.weights, self.biases), torch.from_numpy(net.parameters))

    def __call__(self, x: np.ndarray, rng: np.random.Generator | None = None) -> Tensor:
        h, z = torch.tensor(x), torch.empty(0)
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            rate = self.net.dropout if k else self.net.input_dropout
            if rng is not None and rate:
                h = h * torch.from_numpy(rng.random(h.shape) >= rate) / (1 - rate)
            z = h @ w + b
            h = FUNCTIONS[self.net.nonlinearity](z)
        return z

    @staticmethod
    def flat(weights: list[Tensor], biases: list[Tensor]) -> Tensor:
        return torch.cat([p.detach().flatten() for pair in zip(weights, biases, strict=True) for p in pair])

    def sgd(self) -> torch.optim.SGD:
        groups = [{"params": self.weights, "weight_decay": self.net.weight_decay}, {"params": self.biases}]
        return torch.optim.SGD(groups, lr=self.net.lr, momentum=self.net.momentum, nesterov=self.net.nesterov)

    def step(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator | None, sgd: torch.optim.SGD) -> Tensor:
        sgd.zero_grad()
        loss = F.cross_entropy(self(x, rng), torch.from_numpy(y))
        loss.backward()
        sgd.step()
        return loss.detach()

    @property
    def parameters(self) -> np.ndarray:
        return self.flat(self.weights, self.biases).numpy()


def slope(net: NN, x: np.ndarray, y: np.ndarray, lr: float = 0.25) -> np.ndarray:
    """What an update takes off the parameters, a unit of learning rate; dropout draws from seed 5."""
    before = net.parameters.copy()
    net.forward(x, np.random.default_rng(5))
    net.update(net.backward(y, lr), lr)
    step = (before - net.parameters) / lr
    net.parameters[:] = before
    return step


# derivatives

OPTIONS = {
    "plain": {},
    "decay": {"weight_decay": 0.3},
    "dropout": {"dropout": 0.4, "input_dropout": 0.2, "weight_decay": 0.1},
}


@pytest.fixture(params=OPTIONS)
def net(request: pytest.FixtureRequest, nonlinearity: str, dims: tuple[int, ...]) -> NN:
    """A network with biases, too: with none a dropped row would lie on ReLU's kink."""
    net = small(*dims, nonlinearity=nonlinearity, **OPTIONS[request.param])
    net.parameters += 0.3 * np.random.default_rng(2).standard_normal(net.n_parameters)
    return net


every_depth = pytest.mark.parametrize("dims", [(), (7,), (7, 6), (7, 6, 3)], ids=str)


@every_nonlinearity
@every_depth
def test_the_step_is_the_slope_of_the_penalised_loss_by_central_differences(net: NN) -> None:
    x, y = examples(net, 9)

    def objective() -> float:
        penalty = sum((weights**2).sum() for weights in net.weights)
        return net.loss(net.forward(x, np.random.default_rng(5)), y) + net.weight_decay / 2 * penalty

    step, expected = slope(net, x, y), np.empty(net.n_parameters)
    for i, parameter in enumerate(net.parameters.copy()):
        ends = []
        for epsilon in (1e-5, -1e-5):
            net.parameters[i] = parameter + epsilon
            ends.append(objective())
        net.parameters[i] = parameter
        expected[i] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(step, expected, rtol=1e-6, atol=1e-9)
    assert (step != 0).mean() > 0.5


@every_nonlinearity
@every_depth
@pytest.mark.parametrize("scale", [1, 1e4])  # the second saturates every unit
def test_the_step_is_autograds_gradient_of_the_penalised_loss(net: NN, scale: float) -> None:
    x, y = examples(net, 9)
    twin = Twin(net)
    penalty = sum((weights**2).sum() for weights in twin.weights)
    loss = F.cross_entropy(twin(scale * x, np.random.default_rng(5)), torch.from_numpy(y))
    (loss + net.weight_decay / 2 * penalty).backward()
    expected = Twin.flat([w.grad for w in twin.weights], [b.grad for b in twin.biases]).numpy()
    np.testing.assert_allclose(slope(net, scale * x, y), expected, rtol=1e-10, atol=1e-12 * scale)


def test_backward_gives_scale_times_the_gradient_of_the_last_forward() -> None:
    net = small(7, 6, batch_size=4)
    x, y = examples(net, 30)
    for rows, scale in ((30, 1.0), (3, 1.0), (30, 0.01)):  # more rows than a batch; then fewer than the buffers have
        twin = Twin(net)
        F.cross_entropy(twin(x[:rows]), torch.from_numpy(y[:rows])).backward()
        net.forward(-x)
        net.forward(x[:rows])
        expected = scale * Twin.flat([w.grad for w in twin.weights], [b.grad for b in twin.biases])
        np.testing.assert_allclose(net.backward(y[:rows], scale), expected, rtol=1e-12, atol=1e-16)


def test_rows_do_not_know_of_each_other() -> None:
    net = small(7, 6, batch_size=4)
    x, _ = examples(net, 30)
    alone = [net.forward(row[None]).copy() for row in x]
    together = net.forward(x)
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-12)
    assert np.shares_memory(together, net.forward(x[:3]))  # fewer rows need no buffers of their own


# steps


def record_forwards(net: NN, monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.random.Generator | None]]:
    """The batches, and the generators of their dropout, of every later forward pass."""
    calls, forward = [], net.forward

    def spy(x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        calls.append((x.copy(), copy.deepcopy(rng)))
        return forward(x, rng)

    monkeypatch.setattr(net, "forward", spy)
    return calls


def numbered(net: NN, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Examples whose first pixel is their number."""
    x, y = examples(net, rows)
    x[:, 0] = np.arange(rows)
    return x, y


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"weight_decay": 0.2},
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05, "dropout": 0.3, "input_dropout": 0.1},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_epochs_are_those_of_torchs_sgd_over_every_example(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = small(16, 12, lr=0.3, batch_size=8, **options)
    x, y = numbered(net, 21)
    twin, orders = Twin(net), [range(21)]
    sgd, calls = twin.sgd(), record_forwards(net, monkeypatch)
    for _ in range(3):
        calls.clear()
        found, loss, errors = net.train(x, y), 0.0, 0
        for batch, rng in calls:
            labels = y[batch[:, 0].astype(int)]
            errors += (twin(batch, copy.deepcopy(rng)).argmax(1).numpy() != labels).sum()
            loss += len(batch) * twin.step(batch, labels, rng, sgd).item()
        assert found == (pytest.approx(loss / 21, abs=1e-10), pytest.approx(errors / 21))
        assert [len(batch) for batch, _ in calls] == [8, 8, 5]
        orders.append(np.concatenate([batch[:, 0] for batch, _ in calls]))
        assert sorted(orders[-1]) == list(range(21))
    np.testing.assert_allclose(net.parameters, twin.parameters, rtol=0, atol=1e-10)
    assert (net.epoch, net.step) == (3, 9)
    assert len({tuple(order) for order in orders}) == 4  # shuffled, anew each epoch


def test_testing_averages_over_examples_and_leaves_the_network_as_it_was() -> None:
    net = small(8, dropout=0.5, momentum=0.9)
    x, y = examples(net, 1203)
    net.train(x, y)
    before = [copy.deepcopy(value) for value in (net.parameters, net.velocity, net.epoch, net.step)]
    loss, error = net.test(x, y)
    logits = Twin(net)(x)
    assert loss == pytest.approx(F.cross_entropy(logits, torch.from_numpy(y)).item(), abs=1e-10)
    assert error == pytest.approx((logits.argmax(1).numpy() != y).mean())
    for now, then in zip((net.parameters, net.velocity, net.epoch, net.step), before, strict=True):
        assert np.array_equal(now, then)


COS_1, COS_7 = (1 + 0.9238795325112867) / 2, (1 - 0.9238795325112867) / 2  # of pi / 8 and 7 pi / 8


@pytest.mark.parametrize(
    ("decay", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 7 / 8, 1 / 2, 1 / 8, 0]),
        ("cosine", [1, COS_1, 1 / 2, COS_7, 0]),
        ("exponential", [1, 1, 1 / 4, 1 / 4, 1 / 16]),
    ],
)
def test_learning_rates(decay: str, factors: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of steps 0, 1, 4 (the second epoch's first), 7 (its last), and all after."""
    net = small(3, lr=0.8, lr_decay=decay, lr_decay_rate=0.25, epochs=2, batch_size=2)
    rates = []
    monkeypatch.setattr(net, "update", lambda step, lr: rates.append(lr))
    for _ in range(3):
        net.train(*examples(net, 7))  # four steps an epoch
    expected = 0.8 * np.array([*factors, factors[-1]])
    np.testing.assert_allclose(np.take(rates, [0, 1, 4, 7, 8, 11]), expected, rtol=1e-12, atol=1e-15)


def test_the_same_seed_trains_the_same_network_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(seed: int, tested: bool = False) -> tuple[NN, bytes]:
        net = small(9, 8, batch_size=8, dropout=0.2, dtype="float32", seed=seed)
        calls = record_forwards(net, monkeypatch)
        net.train(*numbered(net, 20))
        order = np.concatenate([batch[:, 0] for batch, _ in calls]).tobytes()
        for _ in range(2):
            if tested:  # which needs larger buffers
                net.test(*examples(net, 700))
            net.train(*numbered(net, 20))
        return net, order

    (one, order), (two, same), (other, another) = trained(3), trained(3, tested=True), trained(4)
    assert (one.parameters.tobytes(), order) == (two.parameters.tobytes(), same)
    assert (one.parameters != other.parameters).mean() > 0.9
    assert order != another


def test_dropout_does_not_draw_the_numbers_that_the_weights_were_drawn_with() -> None:
    net = small(input_dim=64, n_classes=2, input_dropout=0.5)
    before = net.weights[0].copy()
    net.train(np.ones((1, 64)), np.zeros(1, int))
    kept = (net.weights[0] != before).any(axis=1)
    assert (kept == (before.flat[:64] > 0)).mean() < 0.8
