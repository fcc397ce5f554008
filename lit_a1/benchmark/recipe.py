"""`configs/catsdogs.yaml` as trained on this machine: network, images, precision."""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from lit_a1.benchmark.timing import Run
from lit_a1.data.module import ImageDataModule
from lit_a1.environment import REPOSITORY, computes_bfloat16, keep_freed_memory, why_not_compiled
from lit_a1.models import Classifier
from lit_a1.models.classifier import compile_in_place
from lit_a1.runs.settings import build

IMAGES = 4096  # from which batches are cut
# the least work of a step: each of a convolution's two gradients takes as many multiply-adds as its forward pass
FLOOR = "its convolutions alone, forward, thrice"
MAX_FLOOR_RATIOS = {"amx_bf16": 2.5, "avx512_bf16": 1.6}  # most time of a step over `FLOOR`, by CPU instructions


class Convolution(NamedTuple):
    """A convolution of a network: input and output shapes (N,C,H,W), kernel, stride, padding."""

    input: torch.Size
    output: torch.Size
    kernel: int
    stride: int
    padding: int


class Recipe:
    """The recipe's network and data, compiled and in half precision if this machine supports it."""

    def __init__(self, name: str = "catsdogs") -> None:
        keep_freed_memory()  # as `fit` does
        torch.manual_seed(0)
        self.settings = yaml.safe_load((REPOSITORY / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
        on_cpu = not torch.cuda.is_available()
        self.device = torch.device("cpu" if on_cpu else "cuda")
        self.compiled, self.half = not why_not_compiled(on_cpu), computes_bfloat16(on_cpu)
        self.data = build(ImageDataModule, self.settings["data"])
        self.batch, self.size = self.data.batch_size, self.data.size_at(0)
        self.images = torch.randint(0, 256, (IMAGES, 64, 64, 3), dtype=torch.uint8).numpy()
        self.title_suffix = (", compiled" if self.compiled else "") + (", half precision" if self.half else "")

    def model(self, compiled: bool = True) -> Classifier:
        """The recipe's model with new random weights, on the device; its network is compiled if possible."""
        settings = self.settings["model"] | {"init_args": self.settings["model"]["init_args"] | {"compile_net": False}}
        model = build(Classifier, settings).to(self.device)
        if self.compiled and compiled:
            compile_in_place(model.net)
        return model

    def net(self) -> nn.Sequential:
        """The model's network, not compiled."""
        return self.model(compiled=False).net

    def random(self, *shape: int) -> Tensor:
        """Random activations (N,C,H,W), in the network's dtype and memory format."""
        values = torch.randn(shape, device=self.device).to(torch.bfloat16 if self.half else torch.float32)
        return values.contiguous(memory_format=torch.channels_last)

    def autocast(self) -> torch.autocast:
        """The trainer's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def wait(self) -> None:
        """Waits until the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def convolutions(self) -> list[Convolution]:
        """The network's convolutions, for a training batch."""
        return convolutions_of(self.net(), torch.Size((self.batch, 3, self.size, self.size)))

    @property
    def max_floor_ratio(self) -> float | None:
        """The most time that a step should take, as a multiple of `FLOOR`; None for a GPU."""
        capabilities = torch.cpu.get_capabilities()
        ratio = next((ratio for name, ratio in MAX_FLOOR_RATIOS.items() if capabilities.get(name)), 1.25)
        return ratio if self.device.type == "cpu" else None


def convolutions_of(net: nn.Module, images: torch.Size) -> list[Convolution]:
    """The convolutions that a network applies to images (N,C,H,W), in order."""
    found: list[Convolution] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            size = (module.kernel_size[0], module.stride[0], int(module.padding[0]))
            found.append(Convolution(inputs[0].shape, output.shape, *size))

    handles = [module.register_forward_hook(record) for module in net.modules()]
    with torch.no_grad():
        net.forward(torch.zeros(images, device=next(net.parameters()).device))
    for handle in handles:
        handle.remove()
    return found


def convolve(convolutions: list[Convolution], times: int, recipe: Recipe) -> Run:
    """A function that applies convolutions to random activations, one after another, `times` times."""
    calls = [
        partial(
            F.conv2d,
            recipe.random(*conv.input),
            recipe.random(conv.output[1], conv.input[1], conv.kernel, conv.kernel),
            stride=conv.stride,
            padding=conv.padding,
        )
        for conv in convolutions
    ]

    @torch.no_grad()
    def run() -> None:
        for _ in range(times):
            for call in calls:
                call()
        recipe.wait()

    return run
