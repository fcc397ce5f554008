"""The Cats-vs-Dogs classifier."""

from collections.abc import Sequence
from typing import Any

from lit_a1.layers import Norm
from lit_a1.models.classifier import Classifier
from lit_a1.models.residual import Activation, ResidualNet, Transition


class CatsDogsCNN(Classifier):
    """Tells cats from dogs with a `ResidualNet`.

    Args:
        widths: channels of the stem and of each stage.
        blocks: residual blocks in each stage.
        stem_stride: 1, or 2 so that the first convolution already halves the image.
        activation: `relu`, `leaky_relu`, `gelu` or `silu`.
        squeeze_excite: reduction of squeeze-and-excitation in each block; 0 for none.
        transition: how a stage halves the image: `stride`, in its first block; or after a convolution of its own, by
            `max_pool`, or by `blur_pool`, which blurs before it drops positions.
        norm: `batch`, `layer`, `group`, `instance`, `weight` or `none`.
        dropout: probability before the last layer.
        stochastic_depth: probability that an image skips the last residual block; it grows from 0 with depth.
        sync_norm: computes batch norm's statistics over the whole batch, not over each device's share.
        training: all arguments of `Classifier`.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (32, 64, 128, 256),
        blocks: Sequence[int] = (1, 1, 1),
        stem_stride: int = 2,
        activation: Activation = "relu",
        squeeze_excite: int = 0,
        transition: Transition = "stride",
        norm: Norm = "batch",
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        sync_norm: bool = True,
        **training: Any,
    ) -> None:
        arguments = (widths, blocks, 2, norm, dropout, stochastic_depth, 3, stem_stride)
        net = ResidualNet(*arguments, activation, squeeze_excite, transition, sync_norm)
        super().__init__(net, **training)
        self.save_hyperparameters()
