import numpy as np
import pytest

from lit_a1.analysis.units import first_layer, logits_from, units
from lit_a1.mlp.network import NN

IMAGE = np.random.default_rng(0).random(784, np.float32)


@pytest.fixture
def net() -> NN:
    return NN((5, 4), parameter_range=(1, 10_000), nonlinearity="tanh")


def test_the_logits_are_those_of_the_network(net: NN) -> None:
    logits = logits_from(net, first_layer(net, IMAGE[None]))
    np.testing.assert_allclose(logits, net.forward(IMAGE[None]), rtol=1e-5)


def test_an_effect_is_what_the_logit_loses_without_the_unit(net: NN) -> None:
    found, whole = units(net, IMAGE, 3), float(net.forward(IMAGE[None])[0, 3])
    np.testing.assert_array_equal(found.weights, net.weights[0].T)
    for unit in range(5):
        kept = net.weights[1][unit].copy()
        net.weights[1][unit] = 0  # nobody hears it
        assert found.effect[unit] == pytest.approx(whole - float(net.forward(IMAGE[None])[0, 3]), abs=1e-5)
        net.weights[1][unit] = kept
