"""One process of the synchronised batch norm's test: `sync_worker.py RANK INIT_FILE INPUTS OUTPUTS`."""

import sys

import torch
import torch.distributed as dist
from torch import Tensor

from lit_a1.layers import BatchNorm2d


def measure(norm: BatchNorm2d, x: Tensor, cotangent: Tensor) -> dict[str, Tensor]:
    """The output and the gradients of a second training step, then the buffers and the output in evaluation."""
    x.requires_grad_()
    for _ in range(2):
        y = norm(x)
        gradients = torch.autograd.grad(y, (x, norm.weight, norm.bias), cotangent)
    found = dict(zip(("y", "x", "weight", "bias"), (y.detach(), *gradients), strict=True))
    return found | dict(norm.named_buffers()) | {"evaluated": norm.eval()(x).detach()}


if __name__ == "__main__":
    rank, init_file, inputs, outputs = int(sys.argv[1]), *sys.argv[2:]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{init_file}", rank=rank, world_size=2)
    saved = torch.load(inputs)
    norm = BatchNorm2d(saved["state"]["weight"].numel(), sync=True).double()
    norm.load_state_dict(saved["state"])
    torch.save(measure(norm, saved["x"][rank], saved["cotangent"][rank]), outputs)
    dist.destroy_process_group()
