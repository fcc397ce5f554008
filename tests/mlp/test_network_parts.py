"""The numpy network's functions, initial weights, dropout and class, against torch and values by hand."""

import ast
import inspect
import sys

import numpy as np
import pytest
import torch

from lit_a1.mlp import files, functions, network, settings
from lit_a1.mlp.network import NN
from tests.mlp.networks import FUNCTIONS, every_dtype, every_nonlinearity, examples, small

# numbers


@every_nonlinearity
@every_dtype
def test_nonlinearities_are_torchs_even_far_out(nonlinearity: str, dtype: str) -> None:
    z = np.concatenate([np.linspace(-8, 8, 201), [-1e4, -100, 100, 1e4]]).astype(dtype)
    tolerance = 10 * np.finfo(dtype).eps
    values = small(2, nonlinearity=nonlinearity, dtype=dtype).activation(z)
    assert values.dtype == dtype
    np.testing.assert_allclose(values, FUNCTIONS[nonlinearity](torch.from_numpy(z)), rtol=tolerance, atol=tolerance)
    ends = {"relu": (0, 1e4), "leaky_relu": (-100, 1e4), "tanh": (-1, 1), "sigmoid": (0, 1), "gelu": (0, 1e4)}
    np.testing.assert_allclose(values[[-4, -1]], ends[nonlinearity], rtol=1e-6)


@every_dtype
@pytest.mark.parametrize(
    ("logits", "shares", "losses"),
    [
        ([1e4, -1e4, 0], [1, 0, 0], [0, 2e4, 1e4]),
        ([1e4, 1e4, -1e4], [1 / 2, 1 / 2, 0], [np.log(2), np.log(2), 2e4 + np.log(2)]),
        ([-1e4, -1e4, -1e4], [1 / 3] * 3, [np.log(3)] * 3),
        ([1e4, 1e4 - np.log(3), -1e4], [3 / 4, 1 / 4, 0], [np.log(4 / 3), np.log(4), 2e4 + np.log(4 / 3)]),
        ([0, np.log(2), np.log(5)], [1 / 8, 2 / 8, 5 / 8], [np.log(8), np.log(4), np.log(8 / 5)]),
    ],
)
def test_softmax_and_loss_of_large_logits(
    logits: list[float], shares: list[float], losses: list[float], dtype: str
) -> None:
    net, rows = small(dtype=dtype), np.array([logits, [0, 0, 0]], dtype)
    tolerance = {"rtol": 1e-12} if dtype == "float64" else {"rtol": 1e-3}  # the spacing of float32 at 1e4 is 1e-3
    np.testing.assert_allclose(net.softmax(rows), [shares, [1 / 3] * 3], **tolerance)
    for label, loss in enumerate(losses):
        assert net.loss(rows[:1], np.array([label])) == pytest.approx(loss, rel=tolerance["rtol"])
        assert net.loss(rows, np.array([label, 0])) == pytest.approx((loss + np.log(3)) / 2, rel=tolerance["rtol"])


# initial weights


def test_glorots_weights_are_uniform_up_to_d_and_normal_ones_have_mean_0_and_variance_1() -> None:
    for weights in small(300, 100, input_dim=200).weights:
        d = (6 / sum(weights.shape)) ** 0.5
        assert 1 - 10 / weights.size < np.abs(weights).max() / d <= 1
        assert abs(weights.mean()) < 4 * d / (3 * weights.size) ** 0.5
        assert weights.var() == pytest.approx(d**2 / 3, rel=4 / weights.size**0.5)
    net = small(300, 100, initialization="normal", input_dim=200)
    assert [weights.shape for weights in net.weights] == [(200, 300), (300, 100), (100, 4)]
    for weights in net.weights:
        assert abs(weights.mean()) < 4 / weights.size**0.5
        assert weights.var() == pytest.approx(1, rel=4 * (2 / weights.size) ** 0.5)
        assert (np.abs(weights) < 1).mean() == pytest.approx(0.6827, abs=2 / weights.size**0.5)
    assert np.unique(net.parameters).size == 200 * 300 + 300 * 100 + 100 * 4 + 1  # no two alike, but for the biases, 0


@pytest.mark.parametrize("initialization", network.INITIALIZATIONS)
def test_biases_start_at_zero_and_weights_can_be_drawn_anew(initialization: str) -> None:
    net = small(6, initialization=initialization)
    assert not np.concatenate(net.biases).any()
    assert all(weights.any() == (initialization != "zero") for weights in net.weights)
    before = net.parameters.copy()
    net.parameters += 1
    net.initialize_weights(initialization)
    assert net.parameters.tobytes() == before.tobytes()


@pytest.mark.parametrize("nonlinearity", [name for name in FUNCTIONS if name != "sigmoid"])
def test_a_network_of_zeros_learns_the_classes_shares_by_its_output_biases_alone(nonlinearity: str) -> None:
    net = small(6, 6, nonlinearity=nonlinearity, initialization="zero", lr=1.0, batch_size=40)
    x, y = examples(net, 40)[0], np.repeat([0, 1, 2, 3], 10)
    assert [net.train(x, y)[0] for _ in range(5)] == pytest.approx([np.log(4)] * 5, abs=1e-12)
    shares = np.array([20, 10, 5, 5]) / 40
    for _ in range(200):
        net.train(x, np.repeat([0, 1, 2, 3], [20, 10, 5, 5]))
    assert not any(array.any() for array in (*net.weights, *net.biases[:-1]))
    np.testing.assert_allclose(net.softmax(net.biases[-1][None])[0], shares, rtol=1e-6)


def test_units_of_a_sigmoid_network_of_zeros_stay_alike() -> None:
    net = small(6, 6, nonlinearity="sigmoid", initialization="zero", lr=1.0, batch_size=8)
    for _ in range(20):
        net.train(*examples(net, 40))
    assert all(array.any() for array in (*net.weights, *net.biases))
    for into in net.weights[:-1]:
        np.testing.assert_allclose(into, into[:, :1] + 0 * into, rtol=1e-9)
    for out_of in net.weights[1:]:
        np.testing.assert_allclose(out_of, out_of[:1] + 0 * out_of, rtol=1e-9)


# dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("where", ["dropout", "input_dropout"])
def test_dropout_keeps_the_expected_value_drops_the_share_and_is_off_in_testing(where: str, rate: float) -> None:
    net = small(50, input_dim=50, n_classes=50, dtype="float32", **{where: rate})
    for weights in net.weights:
        weights[:] = np.eye(50)  # the logits are the pixels
    x = np.random.default_rng(0).uniform(1, 2, (400, 50)).astype("float32")
    rng = np.random.default_rng(1)
    h = net.forward(x, rng).copy()
    kept, sigma = h != 0, (rate * (1 - rate)) ** 0.5
    np.testing.assert_allclose(h[kept], x[kept] / (1 - rate), rtol=1e-6)
    assert kept.mean() == pytest.approx(1 - rate, abs=4 * sigma / x.size**0.5)
    for axis in (0, 1):  # units, then examples: each drops by itself
        assert np.abs(kept.mean(axis) - (1 - rate)).max() < 4.5 * sigma / x.shape[axis] ** 0.5
    sigma *= float((x**2).mean()) ** 0.5 / (1 - rate)
    assert h.mean() == pytest.approx(x.mean(), abs=4 * sigma / x.size**0.5)
    assert (net.forward(x, rng) != h).any()
    assert np.array_equal(net.forward(x), x)

    net, plain = (small(30, lr=0.0, batch_size=8, **rates) for rates in ({where: rate}, {}))
    x, y = examples(net, 21)
    assert plain.train(x, y) == (pytest.approx(plain.test(x, y)[0]), plain.test(x, y)[1])
    assert abs(net.train(x, y)[0] - plain.test(x, y)[0]) > 1e-3
    assert net.test(x, y) == plain.test(x, y)


# the class


def test_the_number_of_parameters_has_to_be_in_range_ends_included() -> None:
    assert NN().n_parameters == 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10 == 669_706
    count = 5 * 7 + 7 + 7 * 4 + 4
    for fewest, most in ((count, count), (1, count), (count, 1000)):
        assert small(7, parameter_range=(fewest, most)).n_parameters == count
    for fewest, most in ((1, count - 1), (count + 1, 1000)):
        with pytest.raises(ValueError, match=rf"5-7-4 has {count} parameters; .* {fewest} to {most:,}$"):
            small(7, parameter_range=(fewest, most))


def test_the_network_knows_numpy_alone() -> None:
    """And its neighbours, which know numpy alone."""
    names = set()
    for module in (network, files, functions, settings):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(f"{'.' * node.level}{node.module}")
            elif isinstance(node, ast.Name):
                assert node.id != "__import__"
    neighbours = {f"lit_a1.mlp.{name}" for name in ("files", "functions", "settings")}
    others = {name for name in names - neighbours if name.partition(".")[0] not in sys.stdlib_module_names}
    assert others == {"numpy", "numpy.typing"}
