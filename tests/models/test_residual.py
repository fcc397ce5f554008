from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from lit_a1.layers import NORMS, MaxBlurPool2d, MaxPool2d, SqueezeExcite
from lit_a1.models import CatsDogsCNN
from lit_a1.models.residual import Activation, NormedConvolution, ResidualBlock, ResidualNet, Transition


def check_gradients(net: ResidualNet, size: int = 16) -> None:
    """Logits of two classes, and a finite gradient of each parameter."""
    nn.init.normal_(net.linear.weight)
    logits = net(torch.rand(6, 3, size, size))
    assert logits.shape == (6, 2)
    logits.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [16, 17, 40])
def test_every_norm_and_size_gives_logits_and_gradients(norm: str, size: int) -> None:
    check_gradients(ResidualNet((8, 16, 24), (1, 2), norm=norm, dropout=0.1, stochastic_depth=0.2), size)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("channels_last", [True, False])
def test_large_activations_in_float16(norm: str, channels_last: bool) -> None:
    """Their squares and sums are beyond its largest number, 65504; output and gradients are within 2 % of float32's."""
    torch.manual_seed(1)
    layer = NormedConvolution(8, 8, 3, 1, norm)
    images = 1000 + 300 * torch.randn(8, 8, 16, 16)
    weight = torch.randn(8, 8, 16, 16)  # of each output in the loss

    def forward_backward(half: bool) -> list[Tensor]:
        layer.zero_grad()
        x = images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        x.requires_grad_()
        with torch.autocast("cpu", torch.float16, enabled=half):
            output = layer(x)
            (1024 * (output.float() * weight).mean()).backward()  # scaled, so that small gradients are not lost
        assert output.dtype == (torch.float16 if half else torch.float32)
        return [output.float(), x.grad, *(parameter.grad for parameter in layer.parameters())]

    for half, single in zip(forward_backward(True), forward_backward(False), strict=True):
        assert (half - single).norm() < 0.02 * single.norm()


@pytest.mark.parametrize("norm", NORMS)
def test_a_block_starts_as_its_shortcut(norm: str) -> None:
    block = ResidualBlock(8, 8, 1, norm, drop=0.0)
    x = torch.rand(2, 8, 6, 6)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("squeeze_excite", [0, 4])
def test_activations_and_gates_are_where_they_are_asked_for(activation: Activation, squeeze_excite: int) -> None:
    net = ResidualNet((8, 16), (2,), activation=activation, squeeze_excite=squeeze_excite)
    kinds = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "silu": nn.SiLU}
    found = [type(module) for module in net.modules() if isinstance(module, tuple(kinds.values()))]
    assert found == [kinds[activation]] * 3  # after the stem, and in each block, which uses it twice
    gates = [module for module in net.modules() if isinstance(module, SqueezeExcite)]
    assert len(gates) == (2 if squeeze_excite else 0)
    for block in net.stages[0]:  # the gate weights the branch and not the shortcut: it comes after the last norm
        assert isinstance(block.residual[-1], SqueezeExcite if squeeze_excite else NormedConvolution)
    check_gradients(net)


@pytest.mark.parametrize("transition", get_args(Transition))
def test_a_stage_halves_the_image_as_asked(transition: Transition) -> None:
    net = ResidualNet((4, 8, 8), (2, 1), stem_stride=1, transition=transition)
    assert net.stages[0](torch.rand(2, 4, 9, 9)).shape == (2, 8, 5, 5)
    pools = {"stride": [], "max_pool": [MaxPool2d], "blur_pool": [MaxBlurPool2d]}
    found = [type(module) for module in net.stages[0] if isinstance(module, MaxPool2d | MaxBlurPool2d)]
    assert found == pools[transition]
    check_gradients(net)


def test_a_transition_sees_the_largest_of_four_positions() -> None:
    net = ResidualNet((4, 8), (1,), stem_stride=1, transition="max_pool").eval()
    x = torch.rand(2, 4, 8, 8)
    before, after = net.stages[0][:2](x), net.stages[0][:3](x)
    torch.testing.assert_close(after, before.unflatten(3, (4, 2)).unflatten(2, (4, 2)).amax((3, 5)))


@pytest.mark.parametrize(("norm", "learnt"), [("batch", False), ("none", True), ("weight", True)])
def test_a_bias_is_learnt_only_without_a_norm(norm: Any, learnt: bool) -> None:
    assert (NormedConvolution(3, 8, 3, norm=norm)[0].bias is not None) == learnt


def test_the_last_block_is_dropped_most() -> None:
    assert ResidualNet((8, 16), (1,), stochastic_depth=0.5).get_submodule("stages.0.0.depth").p == 0.5
    net = ResidualNet((8, 8, 8), (2, 1), stochastic_depth=0.3)
    drops = [getattr(block.depth, "p", 0.0) for stage in net.stages for block in stage]
    assert drops == pytest.approx([0, 0.15, 0.3])


def test_the_shipped_network_has_the_documented_size() -> None:
    """Weights of the convolutions, two values a norm's channel, and the linear layer, counted by hand.

    Its first logits are 0: the first loss is log 2.
    """
    widths = (32, 64, 128, 256)
    expected = 3 * 32 * 9 + 2 * 32
    for inputs, outputs in pairwise(widths):
        expected += 9 * (inputs + outputs) * outputs + inputs * outputs + 3 * 2 * outputs
    expected += 256 * 2 + 2
    assert sum(p.numel() for p in ResidualNet(widths, (1, 1, 1)).parameters()) == expected
    assert torch.equal(CatsDogsCNN().net(torch.rand(2, 3, 64, 64)), torch.zeros(2, 2))


def test_without_a_norm_the_first_weights_keep_the_variance() -> None:
    convolution = NormedConvolution(64, 64, 3, norm="none")[0]
    assert float(convolution.weight.detach().std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
