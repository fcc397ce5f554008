"""A trained network in half precision."""

import pytest
import torch
from torch import nn

from lit_a1.data.batch import Batch
from lit_a1.layers import BatchNorm2d, Norm
from lit_a1.models import evaluated
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.half import HalfPrecision, fold_batch_norms


def trained(norm: Norm = "batch") -> CatsDogsCNN:
    """A model whose weights and statistics are none that training starts with."""
    model = CatsDogsCNN(widths=(8, 16), blocks=(1,), norm=norm, views="flip").eval()
    for parameter in model.evaluated_net().parameters():
        nn.init.uniform_(parameter, -0.3, 0.3)
    for buffer in model.evaluated_net().buffers():
        if buffer.is_floating_point():
            nn.init.uniform_(buffer, 0.5, 1.0)
    return model


def test_folded_norms_change_no_logit() -> None:
    net = trained().evaluated_net()[1]
    folded = fold_batch_norms(net)
    assert not any(isinstance(module, BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, BatchNorm2d) for module in net.modules())  # which is left as it was
    images = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(folded(images), net(images))


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "weight", "none"])
def test_logits_are_near_those_of_float32(norm: Norm) -> None:
    net = trained(norm).evaluated_net()
    images = torch.rand(4, 3, 16, 16)
    logits, exact = HalfPrecision(*net)(images), net(images)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, exact, rtol=0.05, atol=0.05)


def test_images_near_a_tie_are_taken_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluated, "computes_bfloat16", lambda on_cpu: True)
    model = trained()
    sure, tie, exact = (torch.tensor(p) for p in ([0.9, 0.1], [0.52, 0.48], [0.49, 0.51]))
    monkeypatch.setattr(model, "forward_bfloat16", lambda images: torch.stack([sure, tie]).log())
    asked: list[int] = []
    monkeypatch.setattr(model, "forward", lambda images: (asked.append(len(images)), exact[None].log())[1])
    prediction = model.predict_step(Batch(torch.rand(2, 3, 16, 16), torch.zeros(2), torch.arange(2)), 0)
    torch.testing.assert_close(prediction.probabilities, torch.stack([sure, exact]))
    assert asked == [1]


def test_it_has_the_weights_that_the_network_has_when_predicting_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluated, "computes_bfloat16", lambda on_cpu: True)
    model = trained()
    images = torch.rand(2, 3, 16, 16)
    model.requires_grad_(False)
    before = model.forward_bfloat16(images)
    model.evaluated_net()[1].linear.bias[0] += 1.0
    model.on_predict_start()
    after = model.forward_bfloat16(images)
    torch.testing.assert_close(after, model(images), rtol=0.05, atol=0.05)
    assert not torch.equal(before, after)
    assert not any("half" in name for name in model.state_dict())
