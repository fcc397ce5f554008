"""A trained network in half precision, which labels images at twice the speed."""

import copy

import torch
from torch import Tensor, nn

from lit_a1.layers import BatchNorm2d

UNSURE = 0.2  # difference of the two largest probabilities below which half precision might change a label


@torch.no_grad()
def fold_batch_norms(net: nn.Module) -> nn.Module:
    """A copy of a network for evaluation, with batch norms merged into the convolutions before them.

    Only convolutions without bias are merged.

    With running statistics, y = gamma (w * x - mean) / sqrt(var + eps) + beta is itself a convolution::

        s = gamma / sqrt(var + eps)          w <- s w          b = beta - s mean
    """
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        match list(module.children()) if isinstance(module, nn.Sequential) else []:
            case [nn.Conv2d(bias=None) as convolution, BatchNorm2d() as norm]:
                scale = torch.rsqrt(norm.running_var + norm.eps) * norm.weight
                convolution.weight.mul_(scale.view(-1, 1, 1, 1))
                convolution.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
                module.register_module("1", nn.Identity())
    return net


class HalfPrecision(nn.Module):
    """A copy of a network that computes everything after `standardize` in bfloat16.

    Shapes: (N,C,H,W) -> logits (N,K), both float32.
    """

    def __init__(self, standardize: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.standardize, self.net = standardize, fold_batch_norms(net).to(torch.bfloat16)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images to logits."""
        return self.net(self.standardize(images).to(torch.bfloat16)).float()
