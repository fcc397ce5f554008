"""One process of the synchronised batch norm's test: `sync_worker.py RANK INIT_FILE INPUTS OUTPUTS`."""

import sys

import torch
import torch.distributed as dist

from lit_a1.layers import BatchNorm2d

rank, init_file, inputs, outputs = int(sys.argv[1]), *sys.argv[2:]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{init_file}", rank=rank, world_size=2)
saved = torch.load(inputs)
norm = BatchNorm2d(saved["state"]["weight"].numel(), sync=True).double()
norm.load_state_dict(saved["state"])
x = saved["x"][rank].requires_grad_()
for _ in range(2):
    norm.zero_grad()
    y = norm(x)
    (gradient,) = torch.autograd.grad(y, x, saved["cotangent"][rank], retain_graph=True)
    y.backward(saved["cotangent"][rank])
evaluated = norm.eval()(x)
found = {"y": y.detach(), "x": gradient, "weight": norm.weight.grad, "bias": norm.bias.grad}
torch.save(found | {"state": norm.state_dict(), "evaluated": evaluated.detach()}, outputs)
dist.destroy_process_group()
