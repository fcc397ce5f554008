import math
from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest
import torch

from lit_a1.optim import SCHEDULES, SGD, Schedule, set_learning_rate
from tests.optim.conftest import reloaded


def parameter():
    return [torch.ones(1, requires_grad=True)]


@pytest.mark.parametrize(("total", "warmup", "final"), [(50, 15, 0.004), (50, 2, 0.5), (40, 20, 1e-6), (40, 12, 0.01)])
def test_one_cycle_is_torchs(total, warmup, final):
    schedule, optimizer = Schedule("one_cycle", total, warmup, final), torch.optim.SGD(parameter(), 1.0)
    options = {"pct_start": warmup / total, "cycle_momentum": False, "final_div_factor": 1 / (25 * final)}
    scheduler, theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total, **options), []
    for _ in range(total):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert [schedule(step) for step in range(total)] == pytest.approx(theirs, abs=1e-12)
    assert (schedule(0), schedule(total - 1)) == (pytest.approx(1 / 25), pytest.approx(final))


@pytest.mark.parametrize("name", ["constant", "cosine", "linear"])
def test_closed_forms_with_warmup(name):
    schedule = Schedule(name, 30, 10, final_factor=0.2)
    assert [schedule(step) for step in range(10)] == pytest.approx([(step + 1) / 10 for step in range(10)])
    for step in range(10, 30):
        u = (step - 10) / 20
        expected = {"constant": 1.0, "linear": 1 - 0.8 * u, "cosine": 0.2 + 0.4 * (1 + math.cos(math.pi * u))}[name]
        assert schedule(step) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "total", "warmup"),
    [
        (name, total, warmup)
        for name in SCHEDULES
        for total, warmup in [(100, 30), (100, 1), (100, 100), (2, 1), (1, 1), (100, 0), (1, 0)]
        if warmup or name != "one_cycle"
    ],
)
def test_shape(name, total, warmup):
    """Rises to 1, falls to the final factor, and stays there."""
    schedule = Schedule(name, total, warmup, final_factor=0.05)
    factors = [schedule(step) for step in range(total + 3)]
    peak = max(warmup - 1, 0)
    assert factors[0] > 0
    assert factors[peak] == pytest.approx(1.0, abs=1e-12)
    assert max(factors) <= 1.0
    assert all(a < b for a, b in pairwise(factors[: peak + 1]))
    assert all(a >= b for a, b in pairwise(factors[peak:]))
    end = 1.0 if name == "constant" else 0.05
    assert factors[total:] == [end] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exponential", 10), "schedule must be one of constant, cosine, linear, one_cycle, got 'exponential'"),
        (("cosine", 0), "total_steps must be at least 1, got 0"),
        (("cosine", 10, 11), r"warmup_steps of cosine must be in \[0, total_steps=10\], got 11"),
        (("cosine", 10, -1), "warmup_steps of cosine must be in"),
        (("one_cycle", 10, 0), r"warmup_steps of one_cycle must be in \[1, total_steps=10\], got 0"),
        (("cosine", 10, 0, -0.1), "final_factor must be in"),
        (("cosine", 10, 0, 1.5), "final_factor must be in"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schedule(*arguments)


def test_steps_are_ints_from_0_and_the_schedule_is_frozen():
    for steps in (10.0, math.inf, True, None):
        with pytest.raises(TypeError, match="total_steps must be an int"):
            Schedule("cosine", steps)
    with pytest.raises(ValueError, match="step must be at least 0, got -1"):
        Schedule("cosine", 10)(-1)
    with pytest.raises(FrozenInstanceError):
        Schedule("cosine", 10).total_steps = 20


def test_set_learning_rate_keeps_each_group_s_peak_over_a_stop():
    groups = [{"params": parameter()}, {"params": parameter(), "lr": 0.5}]
    optimizer, resumed = SGD(groups, lr=0.1), SGD(groups, lr=0.1)
    for factor in (0.2, 0.0, 1.0, 0.5):
        set_learning_rate(optimizer, factor)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1 * factor, 0.5 * factor])
    resumed.load_state_dict(reloaded(optimizer.state_dict()))
    set_learning_rate(resumed, 1.0)
    assert [group["lr"] for group in resumed.param_groups] == [0.1, 0.5]
    assert [group["initial_lr"] for group in resumed.param_groups] == [0.1, 0.5]  # torch's name
