"""The course's rule: PyTorch's convolutions, pools, linear layers, ReLUs and cross-entropy, all else by hand."""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

ALLOWED_LAYERS = (
    nn.Conv1d, nn.Conv2d, nn.Linear, nn.Flatten, nn.Unflatten, nn.Identity,
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Softplus, nn.Hardswish, nn.Sigmoid, nn.Tanh, nn.CrossEntropyLoss,
    nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict,
)  # fmt: skip
FORBIDDEN_CALLS = frozenset(
    {
        "batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm", "rms_norm",
        "native_batch_norm", "native_layer_norm", "native_group_norm",
        "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "feature_dropout",
        "dropout_", "alpha_dropout_", "feature_dropout_", "feature_alpha_dropout_", "native_dropout",
        "scaled_dot_product_attention", "multi_head_attention_forward", "spectral_norm", "weight_norm", "_weight_norm",
    }
)  # fmt: skip


class RuleError(Exception):
    """A model breaks the course's rule."""


class _CallWatch(TorchFunctionMode):
    """Records calls of torch's forbidden functions."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in FORBIDDEN_CALLS:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def check_rules(net: nn.Module, optimizer: torch.optim.Optimizer, example: torch.Tensor) -> None:
    """Refuses PyTorch's own norms, dropout, optimisers and the like, when training starts.

    It also watches a forward pass of a copy, in training mode on an `example` input, for calls such as `F.batch_norm`.
    The network and the random state stay unchanged.

    Raises:
        RuleError: names the first offender.
    """
    for name, module in net.named_modules():
        kind = type(module)
        where = f"'{name}' ({kind.__name__})" if name else kind.__name__
        hooks = module._forward_pre_hooks.values()
        by_hook = any(type(hook).__module__.startswith("torch.nn.utils.") for hook in hooks)
        if by_hook or parametrize.is_parametrized(module):
            raise RuleError(f"the course's rule forbids {where}: its weight is reparametrised by torch.nn.utils")
        if kind.__module__.startswith("torch.nn.") and not isinstance(module, ALLOWED_LAYERS):
            raise RuleError(
                f"the course's rule forbids the layer {where} from torch.nn: use one written in lit_a1.layers"
            )
    if type(optimizer).__module__.startswith("torch.optim."):
        name = type(optimizer).__name__
        raise RuleError(f"the course's rule forbids the optimiser torch.optim.{name}: use one written in lit_a1.optim")
    watched = copy.deepcopy(net).train()  # without its compiled code, whose calls can't be watched
    devices = [example.device] if example.is_cuda else []
    with torch.random.fork_rng(devices), torch.no_grad(), _CallWatch() as watch:
        watched(example)
    if watch.found:
        raise RuleError(
            f"the course's rule forbids torch's {watch.found[0]}, which {type(net).__name__}'s forward pass calls"
        )
