"""A small residual network, for both datasets."""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from lit_a1.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    MaxBlurPool2d,
    MaxPool2d,
    Norm,
    SqueezeExcite,
    StochasticDepth,
    WeightNormConv2d,
    make_norm,
)

Activation = Literal["relu", "leaky_relu", "gelu", "silu"]
Transition = Literal["stride", "max_pool", "blur_pool"]
MOST_PARAMETERS = 500_000_000  # more would not fit in memory together with training


def make_activation(name: Activation) -> nn.Module:
    """A ReLU-like activation; a ValueError for an unknown name."""
    layers: dict[str, nn.Module] = {
        "relu": nn.ReLU(inplace=True),
        "leaky_relu": nn.LeakyReLU(0.1, inplace=True),
        "gelu": nn.GELU(),
        "silu": nn.SiLU(inplace=True),
    }
    if name not in layers:
        raise ValueError(f"activation must be one of {', '.join(layers)}; got {name!r}")
    return layers[name]


class NormedConvolution(nn.Sequential):
    """A convolution that keeps H and W (except for its stride), then its norm.

    The norm `weight` normalises the convolution's weight instead of its output. There is a bias only if no norm
    follows that would remove it. `kernel_size` is odd.

    Shapes: (N,inputs,H,W) -> (N,outputs,ceil(H/stride),ceil(W/stride)).
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, norm: Norm = "batch") -> None:
        kind = WeightNormConv2d if norm == "weight" else Conv2d
        convolution = kind(inputs, outputs, kernel_size, stride, kernel_size // 2, bias=norm in ("none", "weight"))
        if norm == "none":  # nothing else keeps the variance of the activations (He K. et al. 2015)
            nn.init.kaiming_normal_(convolution.get_parameter("weight"), nonlinearity="relu")
        super().__init__(convolution, make_norm(norm, outputs))
        # scales the output, channel by channel if there is a norm
        self.scale_name = {"none": "0.weight", "weight": "0.weight_g"}.get(norm, "1.weight")

    def start_at_zero(self) -> None:
        """Makes the output zero until training changes it (norms start with a shift of zero)."""
        nn.init.zeros_(self.get_parameter(self.scale_name))
        if isinstance(bias := getattr(self[0], "bias", None), nn.Parameter):
            nn.init.zeros_(bias)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: y = act(x' + f(x)).

    f = gate(norm(conv(act(norm(conv(x)))))), where the gate is squeeze-and-excitation, if asked for. x' is x, averaged
    over 2x2 if the stride is 2 and projected by a 1x1 convolution if the widths differ (the "ResNet-D" shortcut, He T.
    et al. 2019). Each f starts at zero, so training starts from a shallow network (Goyal et al. 2017). An image skips f
    with probability `drop` (stochastic depth, Huang et al. 2016). `squeeze_excite` is the gate's reduction; 0 for none.

    Shapes: (N,inputs,H,W) -> (N,outputs,H/stride,W/stride), stride 1 or 2. Source: He K. et al. 2016.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        norm: Norm,
        drop: float,
        activation: Activation = "relu",
        squeeze_excite: int = 0,
    ) -> None:
        super().__init__()
        last = NormedConvolution(outputs, outputs, 3, 1, norm)
        last.start_at_zero()
        first = NormedConvolution(inputs, outputs, 3, stride, norm)
        self.residual = nn.Sequential(first, make_activation(activation), last)
        if squeeze_excite:
            self.residual.append(SqueezeExcite(outputs, squeeze_excite))
        self.depth = StochasticDepth(drop) if drop else nn.Identity()
        self.pool = nn.AvgPool2d(2, ceil_mode=True) if stride == 2 else nn.Identity()
        self.project = nn.Identity() if inputs == outputs else NormedConvolution(inputs, outputs, 1, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Maps features (N,inputs,H,W) to (N,outputs,H/stride,W/stride)."""
        activation = self.residual[1]  # the activation within f, which has no weights
        return activation(self.project(self.pool(x)) + self.depth(self.residual(x)))


class ResidualNet(nn.Module):
    """A stem, stages of residual blocks that halve the image, the mean over positions, a linear layer.

    A stage halves the image in the first convolution of its first block, or in a transition before its blocks. The
    transition is a 3x3 convolution that widens the features, norm, activation and 2x2 max pooling; it sees all
    positions before it drops three in four (the layout of "ResNet-9", Page 2018, "How to train your ResNet"). Its
    pooling may blur before it drops them (`MaxBlurPool2d`).

    Shapes: (N,channels,H,W) -> (N,classes), any H and W of at least stem_stride * 2 ** stages.

    Args:
        widths: channels of the stem and of each stage.
        blocks: residual blocks in each stage, one value fewer than `widths`.
        classes: number of logits.
        norm: kind of norm after each convolution.
        dropout: probability before the linear layer.
        stochastic_depth: probability that the last block is skipped; it grows from 0 with depth.
        channels: channels of the images.
        stem_stride: 1, or 2 so that the first convolution already halves the image.
        activation: `relu`, `leaky_relu`, `gelu` or `silu`.
        squeeze_excite: reduction of squeeze-and-excitation in each block; 0 for none.
        transition: `stride`, or `max_pool` or `blur_pool` for a convolution and a pooling of their own before each
            stage's blocks.
        sync_norm: computes batch norm's statistics over the whole batch, not over each device's share.

    Raises:
        ValueError: a value is out of its range, or `widths` and `blocks` don't match or make the network too large.
    """

    def __init__(
        self,
        widths: Sequence[int],
        blocks: Sequence[int],
        classes: int = 2,
        norm: Norm = "batch",
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        channels: int = 3,
        stem_stride: int = 2,
        activation: Activation = "relu",
        squeeze_excite: int = 0,
        transition: Transition = "stride",
        sync_norm: bool = True,
    ) -> None:
        super().__init__()
        if transition not in get_args(Transition):
            raise ValueError(f"transition must be one of {', '.join(get_args(Transition))}; got {transition!r}")
        for name, share in (("dropout", dropout), ("stochastic_depth", stochastic_depth)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be between 0 and 1; got {share}")
        if stem_stride not in (1, 2):
            raise ValueError(f"stem_stride must be 1 or 2; got {stem_stride}")
        if squeeze_excite < 0:
            raise ValueError(f"squeeze_excite must be at least 0; got {squeeze_excite}")
        got = f"got widths={list(widths)}, blocks={list(blocks)}"
        if len(blocks) != len(widths) - 1 or min(blocks, default=0) < 1 or min(widths) < 1:
            raise ValueError(f"blocks needs one value of at least 1 for each of widths after the stem's; {got}")
        count = 9 * sum((a + 2 * n * b) * b for a, b, n in zip(widths, widths[1:], blocks, strict=False))  # about
        if count > MOST_PARAMETERS:
            raise ValueError(f"widths and blocks may make {MOST_PARAMETERS:,} parameters; {got}, some {count:,}")
        stem = NormedConvolution(channels, widths[0], 3, stem_stride, norm)
        self.stem = nn.Sequential(stem, make_activation(activation))
        self.stages = nn.Sequential()
        last = sum(blocks) - 1
        drops = iter(stochastic_depth * i / last if last else stochastic_depth for i in range(last + 1))
        for inputs, outputs, count in zip(widths, widths[1:], blocks, strict=False):
            stage = nn.Sequential()
            if transition != "stride":
                pool = MaxPool2d() if transition == "max_pool" else MaxBlurPool2d()
                stage.extend([NormedConvolution(inputs, outputs, 3, 1, norm), make_activation(activation), pool])
                shapes = [(outputs, outputs, 1)] * count
            else:
                shapes = [(inputs, outputs, 2), *[(outputs, outputs, 1)] * (count - 1)]
            stage.extend(ResidualBlock(*shape, norm, next(drops), activation, squeeze_excite) for shape in shapes)
            self.stages.append(stage)
        self.dropout = Dropout(dropout) if dropout else nn.Identity()
        self.linear = nn.Linear(widths[-1], classes)
        nn.init.zeros_(self.linear.weight)  # the first loss is log(classes)
        nn.init.zeros_(self.linear.bias)
        for module in self.modules():
            if isinstance(module, BatchNorm2d):
                module.sync = sync_norm

    def forward(self, images: Tensor) -> Tensor:
        """Maps standardised images (N,channels,H,W) to logits (N,classes)."""
        features = self.stages(self.stem(images)).mean((2, 3))
        return self.linear(self.dropout(features))
