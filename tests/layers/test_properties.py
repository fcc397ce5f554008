"""Layers and losses over shapes, dtypes and layouts in memory, against PyTorch's own in float64."""

import functools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lit_a1 import layers
from tests.layers.cases import ChannelsLastLayerNorm
from tests.properties import tried

DTYPES = (torch.float32, torch.bfloat16, torch.float64)
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {  # the same numbers, differently in memory
    "contiguous": torch.Tensor.contiguous,
    "channels-last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "every second": lambda x: torch.stack([x, x], 4).flatten(3)[..., ::2],
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "expanded": lambda x: x[:1].expand_as(x),
}


class GroupNorm(nn.GroupNorm):
    """By its formula: PyTorch's own refuses a single value, which has a mean too."""

    def forward(self, x: Tensor) -> Tensor:
        groups = x.reshape(len(x), self.num_groups, -1)
        centred = groups - groups.mean(2, keepdim=True)
        y = (centred / (centred.square().mean(2, keepdim=True) + self.eps).sqrt()).view_as(x)
        return y * self.weight[:, None, None] + self.bias[:, None, None]


NORMS: dict[str, tuple[Callable[[int], nn.Module], Callable[[int], nn.Module]]] = {
    "batch": (layers.BatchNorm2d, nn.BatchNorm2d),
    "layer": (layers.LayerNorm2d, ChannelsLastLayerNorm),
    "group": (lambda c: layers.make_norm("group", c), lambda c: GroupNorm(layers.make_norm("group", c).num_groups, c)),
    "instance": (layers.InstanceNorm2d, lambda c: nn.InstanceNorm2d(c, affine=True)),
    "weight": (lambda c: layers.WeightNormConv2d(c, 3, 1), lambda c: nn.Conv2d(c, 3, 1)),
    "squeeze": (lambda c: layers.SqueezeExcite(c, 2), None),
}
shapes = st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 3, 8, 12, 17]), st.integers(1, 7), st.integers(1, 7))
dtypes, layouts, seeds = st.sampled_from(DTYPES), st.sampled_from(sorted(LAYOUTS)), st.integers(0, 2**31)


def drawn(shape: tuple[int, ...], dtype: torch.dtype, layout: str, seed: int, offset: float, scale: float) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return LAYOUTS[layout]((offset + scale * x).to(dtype))


def with_gradient(layer: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    y = layer(x)
    cotangent = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view(y.shape)
    return y.detach(), torch.autograd.grad(y, x, cotangent.to(y.dtype))[0]


@pytest.mark.long
@tried(50)
@given(shapes, dtypes, layouts, seeds, st.sampled_from([0.0, 3.0, -50.0]), st.sampled_from([1e-3, 1.0, 100.0]))
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMS)
def test_layers_of_maps(
    name: str,
    training: bool,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    layout: str,
    seed: int,
    offset: float,
    scale: float,
) -> None:
    ours, theirs = NORMS[name]
    x = drawn(shape, dtype, layout, seed, offset, scale)
    torch.manual_seed(seed)
    layer = ours(shape[1]).to(dtype).train(training)
    values = shape[0] * shape[2] * shape[3] if name == "batch" else shape[2] * shape[3]
    if values == 1 and (name == "instance" or (name == "batch" and training)):
        with pytest.raises(ValueError, match="more than one value"):
            layer(x)
        return
    y, gradient = with_gradient(layer, x)
    assert y.dtype == gradient.dtype == dtype
    assert y.shape[0] == shape[0]
    assert y.shape[2:] == shape[2:]
    assert gradient.shape == shape
    assert y.isfinite().all()
    assert gradient.isfinite().all()
    torch.manual_seed(seed)
    reference = (theirs or ours)(shape[1]).double().train(training)
    state = layer.state_dict()
    if name == "weight":
        weight = layers.weight_norm(state["weight_v"].double(), state["weight_g"].double())
        state = {"weight": weight, "bias": state["bias"]}
    buffers = {key: value for key, value in reference.state_dict().items() if "running" in key or "num_" in key}
    reference.load_state_dict(
        {key: value.double() if value.is_floating_point() else value for key, value in state.items()} | buffers
    )
    z, expected = with_gradient(reference, x.double())
    eps = torch.finfo(dtype).eps
    wide = torch.finfo(torch.promote_types(dtype, torch.float32)).eps * 50 * (1 + abs(offset) / scale)
    size = max(1.0, float(z.abs().max()))
    torch.testing.assert_close(
        y.double(), z, rtol=0, atol=size * (8 * eps * (30 if name in ("weight", "squeeze") else 1) + wide)
    )
    few = (shape[1] if name == "layer" else values) < 5  # which may lie close together: then all but cancels
    reach = max(2e3 if few else 2 / scale, float(expected.abs().max()))  # of what cancels
    torch.testing.assert_close(gradient.double(), expected, rtol=0, atol=reach * (400 * eps + 100 * wide))


@pytest.mark.long
@tried(200)
@given(
    st.integers(1, 5),
    st.integers(1, 9),
    dtypes,
    seeds,
    st.booleans(),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([1.0, 1e3, 1e30]),
)
def test_cross_entropy(
    n: int, k: int, dtype: torch.dtype, seed: int, soft: bool, smoothing: float, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(n, k, generator=generator, dtype=torch.float64)).to(dtype)
    target = torch.rand(n, k, generator=generator).softmax(1) if soft else torch.randint(k, (n,), generator=generator)
    ours = functools.partial(layers.cross_entropy, target=target, label_smoothing=smoothing)
    x = logits.clone().requires_grad_()
    loss = ours(x)
    gradient = torch.autograd.grad(loss, x)[0]
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    assert gradient.dtype == dtype
    wide = logits.double().requires_grad_()
    expected = F.cross_entropy(wide, target.double() if soft else target, label_smoothing=smoothing)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    expected = torch.autograd.grad(expected, wide)[0]
    torch.testing.assert_close(gradient.double(), expected, rtol=0, atol=4 * torch.finfo(dtype).eps + 1e-6)


@pytest.mark.long
@tried(60)
@given(shapes, dtypes, layouts, seeds, st.sampled_from([0.0, 0.3, 0.999, 1.0]))
@pytest.mark.parametrize("kind", [layers.Dropout, layers.StochasticDepth])
def test_what_is_dropped_is_zero_and_the_rest_is_scaled(
    kind: type[nn.Module], shape: tuple[int, ...], dtype: torch.dtype, layout: str, seed: int, p: float
) -> None:
    x, layer = drawn(shape, dtype, layout, seed, 3.0, 0.1), kind(p)
    torch.manual_seed(seed)
    y, gradient = with_gradient(layer, x)
    assert y.dtype == gradient.dtype == dtype
    assert y.shape == gradient.shape == shape
    kept = y != 0
    scaled = x * (1 / (1 - p)) if p < 1 else x
    torch.testing.assert_close(y[kept], scaled[kept])
    assert (gradient[~kept] == 0).all()
    assert kept.all() or p > 0
    assert not kept.any() or p < 1
    if kind is layers.StochasticDepth:
        rows = kept.flatten(1)
        assert torch.equal(rows.all(1), rows.any(1))
    assert torch.equal(layer.eval()(x), x)
