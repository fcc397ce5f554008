import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lit_a1.layers import MaxBlurPool2d

SIZES = [(4, 4), (2, 3), (5, 7), (16, 9)]


def reference(x: Tensor) -> Tensor:
    """Torch's max pooling, edges repeated, torch's convolution of each channel."""
    filter_ = torch.tensor([1, 2, 1], dtype=x.dtype) / 4
    kernel = (filter_[:, None] * filter_).expand(x.shape[1], 1, 3, 3)
    largest = F.pad(F.max_pool2d(x, 2, 1), (1, 2, 1, 2), mode="replicate")
    height, width = ((side + 1) // 2 for side in x.shape[2:])
    return F.conv2d(largest, kernel, stride=2, groups=x.shape[1])[:, :, :height, :width]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_a_max_pooling_and_a_blur(size: tuple[int, int], layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.double).contiguous(memory_format=layout).requires_grad_()
    ours, theirs = MaxBlurPool2d()(x), reference(x)
    torch.testing.assert_close(ours, theirs)
    grad = torch.randn_like(theirs)
    torch.testing.assert_close(*(torch.autograd.grad(y, x, grad)[0] for y in (ours, theirs)))


def test_an_output_depends_on_the_window_that_the_layer_states() -> None:
    x, layer = torch.randn(200, 1, 12, 12, requires_grad=True), MaxBlurPool2d()
    layer(x)[:, :, 3, 2].sum().backward()
    for axis, place in ((2, 3), (3, 2)):
        touched = x.grad.abs().sum([k for k in range(4) if k != axis]).nonzero()
        first = layer.stride * place - layer.padding
        assert touched.flatten().tolist() == list(range(first, first + layer.kernel_size))


def test_equal_values_stay_equal_in_half_precision() -> None:
    """The filter's weights, 1/4 and 1/2, and their sums at an edge are exact in bfloat16."""
    x = torch.full((2, 3, 7, 4), 1.5, dtype=torch.bfloat16)
    assert torch.equal(MaxBlurPool2d()(x), torch.full((2, 3, 4, 2), 1.5, dtype=torch.bfloat16))


def test_a_shift_by_one_pixel_changes_less_than_without_the_blur() -> None:
    """What the layer is for: the mean change of a smooth random image's pooled maps."""
    x = F.avg_pool2d(torch.randn(64, 1, 34, 35), 3, 1)
    pools = MaxBlurPool2d(), torch.nn.MaxPool2d(2)
    blurred, plain = ((pool(x[..., 1:]) - pool(x[..., :-1])).abs().mean() for pool in pools)
    assert blurred < 0.8 * plain
