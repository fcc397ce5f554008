"""Sharpness-aware steps of a training."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_a1.layers import Dropout
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier
from tests.models.conftest import SMALL, Losses, Pictures, fit


def test_sharpness_aware_steps_are_those_of_a_plain_loop() -> None:
    """From half the steps on: the gradient uphill, stepped from the old weights; the losses are those before."""
    data = Pictures()
    model = CatsDogsCNN(**SMALL, schedule="constant", warmup=0.0, sam_radius=0.3, sam_from=0.5, weight_decay=0.0)
    net = copy.deepcopy(model.net).train()
    losses = Losses()
    fit(model, data, callbacks=[losses])

    sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    expected: list[float] = []
    sampler = data.train_dataloader().sampler
    for step in range(6):
        sampler.set_epoch(step // 3)  # type: ignore[attr-defined]
        batch = data.sets["train"].__getitems__(list(sampler)[16 * (step % 3) : 16 * (step % 3) + 16])
        loss = F.cross_entropy(net(batch.pictures.float() / 255), batch.targets)
        expected.append(loss.item())
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        if step >= 3:
            uphill = copy.deepcopy(net)
            norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
            for weight, gradient in zip(uphill.parameters(), gradients, strict=True):
                weight.data += 0.3 * gradient / norm
            loss = F.cross_entropy(uphill(batch.pictures.float() / 255), batch.targets)
            gradients = torch.autograd.grad(loss, list(uphill.parameters()))
        for weight, gradient in zip(net.parameters(), gradients, strict=True):
            weight.grad = gradient
        sgd.step()
    assert losses.losses == pytest.approx(expected, abs=1e-5)
    for name, tensor in model.net.state_dict().items():
        torch.testing.assert_close(tensor, net.state_dict()[name], msg=name)


def test_both_passes_of_a_sharpness_aware_step_drop_the_same_units() -> None:
    seen: list[Tensor] = []

    class Watch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.dropout = nn.Linear(3, 2), Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                seen.append(self.dropout(torch.ones_like(x)))
            return self.linear(x.mean((2, 3)))

    fit(Classifier(Watch(), sam_radius=0.1, average_decay=0), max_epochs=1)
    passes = seen[1:]  # the first is of the course's rule
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
