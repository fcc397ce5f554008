"""The MNIST classifier: a CNN with as many parameters as the numpy network."""

from collections.abc import Sequence
from typing import Any

from lit_a1.layers import Norm
from lit_a1.models.classifier import Classifier
from lit_a1.models.inputs import Views
from lit_a1.models.residual import ResidualNet, Transition


class MNISTCNN(Classifier):
    """Tells ten digits apart with a `ResidualNet` of one channel.

    Shapes: images (N,1,H,W) in [0,1] -> log-probabilities (N,10).
    By default it has as many parameters as the network of `configs/mlp.yaml`, within 2 %.

    Args:
        widths: channels of the stem and of each stage.
        blocks: residual blocks in each stage.
        stem_stride: 1, or 2 so that the first convolution already halves the image.
        transition: `stride`, `max_pool` or `blur_pool`, as in `ResidualNet`.
        norm: `batch`, `layer`, `group`, `instance`, `weight` or `none`.
        dropout: probability before the last layer.
        stochastic_depth: probability that an image skips the last residual block; it grows from 0 with depth.
        sync_norm: computes batch norm's statistics over the whole batch, not over each device's share.
        mean: mean of the training images in [0,1].
        std: their standard deviation.
        views: as in `Classifier`; only `one` and `shift` make sense: a digit's mirror image is not that digit.
        training: all other arguments of `Classifier`.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (24, 48, 96, 240),
        blocks: Sequence[int] = (1, 1, 1),
        stem_stride: int = 1,
        transition: Transition = "stride",
        norm: Norm = "batch",
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        sync_norm: bool = True,
        mean: Sequence[float] = (0.1307,),
        std: Sequence[float] = (0.3081,),
        views: Views = "one",
        **training: Any,
    ) -> None:
        arguments = (widths, blocks, 10, norm, dropout, stochastic_depth, 1, stem_stride)
        net = ResidualNet(*arguments, transition=transition, sync_norm=sync_norm)
        super().__init__(net, mean=mean, std=std, views=views, **training)
        self.save_hyperparameters()
