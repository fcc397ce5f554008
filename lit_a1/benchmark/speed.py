"""What `python main.py benchmark` times: this code beside PyTorch's own, in one run."""

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from torch import nn

from lit_a1.benchmark.mnist import mnist
from lit_a1.benchmark.timing import Timing, alternate
from lit_a1.environment import REPOSITORY, computes_bfloat16, keep_freed_memory, why_not_compiled
from lit_a1.layers import BatchNorm2d, cross_entropy
from lit_a1.mlp.network import NN
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.optim import parameter_groups

RECIPE = REPOSITORY / "configs" / "catsdogs.yaml"


def with_torch_norms(net: nn.Module) -> nn.Module:
    """A copy of a network whose hand-written batch norms are torch's, with the same weights."""
    net = copy.deepcopy(net)
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BatchNorm2d):
                norm = nn.BatchNorm2d(child.num_features, child.eps, child.momentum)
                norm.load_state_dict(child.state_dict())
                setattr(parent, name, norm)
    return net


def training_step(pairs: int, batch: int, size: int, compiled: bool = False, steps: int = 5) -> Timing:
    """A training step of the Cats-vs-Dogs network: hand-written norm, loss and SGD against torch's.

    A timing is that of `steps` steps on a batch of images; compiled, both networks run in half precision.
    """
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = torch.randn(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(0, 2, (batch,), device=device)
    model = CatsDogsCNN(**_recipe("model") | {"compile_net": False})
    our_net = model.net.to(device)
    their_net = with_torch_norms(our_net).to(device)
    our_sgd = model._make_optimizer()  # without what follows a step of `fit`
    groups = parameter_groups(their_net, model.weight_decay)
    their_sgd = torch.optim.SGD(groups, lr=model.lr, momentum=model.momentum, nesterov=model.nesterov, foreach=True)
    if compiled:
        for net in (our_net, their_net):
            net.compile(dynamic=False)

    def run(net: nn.Module, sgd: torch.optim.Optimizer, loss_of: Callable[..., torch.Tensor]) -> Callable[[], None]:
        def some_steps() -> None:
            for _ in range(steps):
                sgd.zero_grad()
                with torch.autocast(device, torch.bfloat16, enabled=compiled):
                    loss = loss_of(net(images), targets, label_smoothing=0.1)
                loss.backward()
                sgd.step()
            if device == "cuda":
                torch.cuda.synchronize()

        return some_steps

    ours, theirs = run(our_net, our_sgd, cross_entropy), run(their_net, their_sgd, F.cross_entropy)
    how = ", compiled, half precision" if compiled else ""
    found = alternate(f"training step, {batch} images of {size}x{size}{how}", ours, theirs, pairs, 1.15)
    return found._replace(ours_s=found.ours_s / steps, theirs_s=found.theirs_s / steps)


def step(pairs: int) -> list[Timing]:
    """A training step of `configs/catsdogs.yaml`: uncompiled in float32; then as the YAML has it."""
    keep_freed_memory()  # as `fit` does; once done it can't be undone, so that this benchmark comes last
    data = _recipe("data")
    on_cpu = not torch.cuda.is_available()
    ways = [False, True] if not why_not_compiled(on_cpu) and computes_bfloat16(on_cpu) else [False]
    return [training_step(pairs, data["batch_size"], data["size"], compiled) for compiled in ways]


def mlp(pairs: int) -> list[Timing]:
    """An epoch of the numpy network against a plain PyTorch loop, and against its own matrix products alone."""
    layers, batch, count = (784, 512, 512, 10), 128, 50_000
    rng = np.random.default_rng(0)
    images = rng.random((count, layers[0]), dtype=np.float32)
    labels = rng.integers(0, layers[-1], count)
    net = NN(layers[1:-1], batch_size=batch)
    hidden = (module for a, b in itertools.pairwise(layers[:-1]) for module in (nn.Linear(a, b), nn.ReLU()))
    model = nn.Sequential(*hidden, nn.Linear(*layers[-2:]))
    name = f"numpy MLP, an epoch of {count:,} images, {net.architecture}, batches of {batch}"

    def ours() -> None:
        net.train(images, labels)

    theirs = torch_epoch(model, torch.from_numpy(images), torch.from_numpy(labels), batch, net.lr)
    against_torch = alternate(f"{name}: a PyTorch loop", ours, theirs, pairs, 0.8)
    products = matrix_products(layers, batch, count // batch)
    return [against_torch, alternate(f"{name}: its matrix products alone", ours, products, pairs, 1 / 0.65)]


def torch_epoch(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int, lr: float
) -> Callable[[], None]:
    """An epoch as PyTorch's users write it: tensors in memory, torch.optim.SGD, mean loss and errors kept."""
    sgd = torch.optim.SGD(model.parameters(), lr=lr)

    def epoch() -> None:
        loss_sum, errors = 0.0, 0
        for rows in torch.randperm(len(images)).split(batch):
            wanted = labels[rows]
            logits = model(images[rows])
            loss = F.cross_entropy(logits, wanted)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            loss_sum += loss.item() * len(rows)
            errors += int((logits.argmax(1) != wanted).sum())

    return epoch


def matrix_products(layers: Sequence[int], batch: int, steps: int) -> Callable[[], None]:
    """Those that backpropagation can't do without: X W and X^T D of each layer, D W^T of all but the first."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    shapes = list(itertools.pairwise(layers))
    operands = [(random(batch, a), random(a, b), random(batch, b)) for a, b in shapes]
    results = [(random(batch, b), random(a, b), random(batch, a)) for a, b in shapes]

    def epoch() -> None:
        for _ in range(steps):
            for k, ((x, w, d), (z, gradient, below)) in enumerate(zip(operands, results, strict=True)):
                np.matmul(x, w, out=z)
                np.matmul(x.T, d, out=gradient)
                if k:
                    np.matmul(d, w.T, out=below)

    return epoch


def _recipe(part: str) -> dict[str, Any]:
    return yaml.safe_load(RECIPE.read_text(encoding="utf-8"))[part]["init_args"]


BENCHMARKS: dict[str, Callable[[int], list[Timing]]] = {"mlp": mlp, "step": step, "mnist": mnist}
