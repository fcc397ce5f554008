import numpy as np
import pytest

from lit_a1.analysis.units import effects
from lit_a1.mlp.network import NN

IMAGE = np.random.default_rng(0).random(784, np.float32)


def test_an_effect_is_what_the_logits_lose_without_the_unit() -> None:
    net = NN((5, 4), parameter_range=(1, 10_000), nonlinearity="tanh")
    logits, falls = effects(net, IMAGE)
    np.testing.assert_allclose(logits, net.forward(IMAGE[None])[0], rtol=1e-5)
    for unit in range(5):
        kept = net.weights[1][unit].copy()
        net.weights[1][unit] = 0  # nobody hears it
        assert falls[unit] == pytest.approx(logits - net.forward(IMAGE[None])[0], abs=1e-5)
        net.weights[1][unit] = kept
