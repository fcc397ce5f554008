from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lit_a1.mlp.setup import Setup
from lit_a1.studies.search.mlp_space import SETTINGS, SPACE, settings_of, space_of, start_of, widths
from lit_a1.studies.search.span import Span

RANGE = (500_000, 1_000_000)


def size(hidden: list[int], ends: tuple[int, int] = (784, 10)) -> int:
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise([ends[0], *hidden, ends[1]]))


def draw(rng: np.random.Generator, setup: Setup) -> dict[str, Any]:
    """What a sampler could draw, ends included."""
    drawn: dict[str, Any] = {}
    for name, span in space_of(setup).items():
        if isinstance(span, Span):
            drawn[name] = span.nearest(rng.choice([span.low, span.high, rng.uniform(span.low, span.high)]))
        else:
            drawn[name] = str(rng.choice(span))
    return drawn


def test_widths_are_always_in_the_allowed_range() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        layers, taper = int(rng.integers(1, 4)), rng.uniform(0.4, 1)
        wanted = rng.choice([*RANGE, rng.uniform(*RANGE)])
        hidden = widths(layers, taper, wanted, (784, 10), RANGE)
        assert len(hidden) == layers
        assert RANGE[0] <= size(hidden) <= RANGE[1]
        assert abs(size(hidden) - wanted) < 4000  # a unit more in every layer is some thousand parameters


@pytest.mark.parametrize(("layers", "taper"), [(1, 1.0), (2, 0.5), (3, 0.7)])
def test_widths_come_nearest_to_the_wanted_size(layers: int, taper: float) -> None:
    def units(first: int) -> list[int]:
        return [max(1, round(first * taper**k)) for k in range(layers)]

    for wanted in range(100, 3000, 37):
        best = min((units(first) for first in range(1, 200)), key=lambda hidden: abs(size(hidden, (20, 3)) - wanted))
        assert size(widths(layers, taper, wanted, (20, 3), (1, 10**6)), (20, 3)) == size(best, (20, 3))


def test_widths_give_known_networks_back() -> None:
    assert widths(2, 1.0, 669_706, (784, 10), RANGE) == [512, 512]
    assert widths(2, 0.5, size([800, 400]), (784, 10), RANGE) == [800, 400]


def test_a_range_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="parameter_range must leave room for 2 hidden layers"):
        widths(2, 1.0, 669_800, (784, 10), (669_707, 669_900))


def test_every_draw_is_a_network() -> None:
    setup, rng = Setup({"parameter_range": [5000, 20_000], "hidden_dims": [10]}), np.random.default_rng(0)
    for _ in range(50):
        settings = settings_of(draw(rng, setup), setup)
        setup.network(**settings)  # refuses what is not allowed
        assert settings["batch_size"] in (32, 64, 128, 256, 512)
        assert settings["momentum"] == 0 or 0.5 <= settings["momentum"] <= 0.95
        assert settings["weight_decay"] == 0 or 1e-6 <= settings["weight_decay"] <= 1e-3
        assert settings["momentum"] > 0 or not settings["nesterov"]


def test_small_draws_mean_none() -> None:
    setup = Setup({})
    drawn = start_of(setup.network(), space_of(setup)) | {"nesterov": "yes", "momentum": 0.49, "weight_decay": 9e-7}
    settings = settings_of(drawn, setup)
    assert (settings["momentum"], settings["nesterov"], settings["weight_decay"]) == (0, False, 0)
    settings = settings_of(drawn | {"momentum": 0.5, "weight_decay": 1.2345e-6}, setup)
    assert (settings["momentum"], settings["nesterov"], settings["weight_decay"]) == (0.5, True, 1.23e-6)


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"hidden_dims": [700, 500], "momentum": 0.9, "nesterov": True, "dropout": 0.3, "lr_decay": "linear"},
        {"hidden_dims": [640], "lr": 0.0123, "weight_decay": 1e-4, "batch_size": 32, "nonlinearity": "gelu"},
    ],
)
def test_the_first_draw_is_the_setups_own_network(model: dict[str, Any]) -> None:
    setup = Setup(model)
    net = setup.network()
    settings = settings_of(start_of(net, space_of(setup)), setup)
    assert tuple(settings["hidden_dims"]) == net.dims[1:-1]
    assert {name: settings[name] for name in SETTINGS} == {name: getattr(net, name) for name in SETTINGS}


def test_the_first_draw_is_the_nearest_where_the_setups_own_is_outside() -> None:
    far = {"hidden_dims": [300] * 6, "lr": 7.0, "dropout": 0.9, "batch_size": 100, "momentum": 0.3}
    setup = Setup(far)
    settings = settings_of(start_of(setup.network(), space_of(setup)), setup)
    assert len(settings["hidden_dims"]) == 3
    found = [settings[name] for name in ("lr", "dropout", "batch_size", "momentum")]
    assert found == [1.0, 0.5, 128, 0.0]


def test_spans_in_words() -> None:
    assert str(space_of(Setup({}))["parameters"]) == "500,000 to 1,000,000"
    assert str(SPACE["momentum"]) == "0, or 0.5 to 0.95"
    assert str(SPACE["lr"]) == "0.005 to 1 (logarithmic)"
