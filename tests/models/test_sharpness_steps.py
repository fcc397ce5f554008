"""Sharpness-aware steps of a training."""

import copy

import pytest
import torch
from torch import Tensor

from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier
from tests.models.conftest import SMALL, Losses, RandomImages, fit
from tests.models.test_classifier import Spy, plain_loop


def test_sharpness_aware_steps_are_those_of_a_plain_loop() -> None:
    """From half the steps on: the gradient uphill, stepped from the old weights; the losses are those before."""
    data = RandomImages()
    model = CatsDogsCNN(**SMALL, schedule="linear", warmup=0.25, label_smoothing=0.1, sam_radius=0.3, sam_from=0.5)
    net, losses = copy.deepcopy(model.net), Losses()
    fit(model, data, callbacks=[losses])
    expected = plain_loop(net, data, epochs=2, lr=0.05, radius=0.3, sharp_from=3)
    assert losses.losses == pytest.approx(expected, abs=1e-5)
    for name, tensor in model.net.state_dict().items():
        torch.testing.assert_close(tensor, net.state_dict()[name], msg=name)


def test_both_passes_of_a_sharpness_aware_step_drop_the_same_units() -> None:
    spy = Spy()
    fit(Classifier(spy, sam_radius=0.1, average_decay=0), max_epochs=1)
    passes = [kept for training, _, kept in spy.seen if training]
    assert len(passes) == 6
    assert all(torch.equal(first, second) for first, second in zip(passes[::2], passes[1::2], strict=True))
    assert not torch.equal(passes[0], passes[2])


def test_the_gradient_uphill_is_taken_there_in_half_precision_too() -> None:
    """Weights that autocast had kept in bfloat16 from the first pass would give its gradient again."""

    def end(radius: float) -> Tensor:
        torch.manual_seed(0)
        model = CatsDogsCNN(**SMALL, sam_radius=radius, norm="none", average_decay=0)
        fit(model, max_epochs=1, precision="bf16-mixed")
        return torch.cat([weight.detach().flatten() for weight in model.net.parameters()])

    plain = end(0.0)
    near, far = ((end(radius) - plain).abs().max() for radius in (1e-9, 0.5))
    assert far > 100 * near
