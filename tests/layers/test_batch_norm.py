"""What batch norm promises beyond parity: stable statistics, one scale a channel, synchronisation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import lit_a1
from lit_a1.layers import BatchNorm2d, recompute_statistics
from tests.layers import sync_worker


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_large_mean(memory_format: torch.memory_format) -> None:
    x = (torch.randn(16, 3, 12, 12) + 1e4).to(memory_format=memory_format)
    norm = BatchNorm2d(3, momentum=1.0)
    y = norm(x)
    var, mean = torch.var_mean(x.double(), (0, 2, 3))
    standard = (x.double() - mean.view(-1, 1, 1)) / x.double().std((0, 2, 3), correction=0).view(-1, 1, 1)
    # Values near 1e4 are themselves 1e-3 apart in float32; E[x^2] - E[x]^2 would be wrong by about 10.
    torch.testing.assert_close(norm.running_var.double(), var, rtol=1e-4, atol=0)
    torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-7, atol=0)
    torch.testing.assert_close(y.double(), standard, rtol=0, atol=2e-3)
    torch.testing.assert_close(norm.eval()(x).double(), standard, rtol=0, atol=1e-2)
    half = (x - 9900).bfloat16()
    norm.train()(half)
    torch.testing.assert_close(norm.running_var.double(), half.double().var((0, 2, 3)), rtol=1e-4, atol=0)


def test_refused_batches_leave_the_buffers_alone() -> None:
    norm = BatchNorm2d(3)
    for shape in ((1, 3, 1, 1), (0, 3, 2, 2)):
        with pytest.raises(ValueError, match="Training needs more than one value per channel, but the input has shape"):
            norm(torch.randn(shape))
        assert BatchNorm2d(3).eval()(torch.randn(shape)).shape == shape
    with pytest.raises(ValueError, match="Expected an input of shape"):
        norm(torch.randn(2, 3))
    assert norm.num_batches_tracked.item() == 0


def test_frozen_parameters_get_no_gradient() -> None:
    norm = BatchNorm2d(3).requires_grad_(False)
    x = torch.randn(4, 3, 2, 2, requires_grad=True)
    norm(x).mul(torch.randn(x.shape)).sum().backward()
    assert norm.weight.grad is None
    assert x.grad is not None


def test_sync_equals_one_process_on_the_joined_batch(tmp_path: Path) -> None:
    sizes = [3, 5]
    norm = BatchNorm2d(4).double()
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    x = 2 * torch.randn(8, 4, 3, 2, dtype=torch.float64) + torch.arange(8.0).view(-1, 1, 1, 1)  # unlike on each rank
    cotangent = torch.randn_like(x)
    torch.save({"state": norm.state_dict(), "x": x.split(sizes), "cotangent": cotangent.split(sizes)}, tmp_path / "in")

    def start(rank: int) -> subprocess.Popen[str]:
        files = [str(tmp_path / name) for name in ("store", "in", f"{rank}")]
        command = [sys.executable, sync_worker.__file__, str(rank), *files]
        path = os.environ | {"PYTHONPATH": str(Path(lit_a1.__file__).parents[1])}
        return subprocess.Popen(command, env=path, stderr=subprocess.PIPE, text=True)

    processes = [start(rank) for rank in range(2)]
    expected = sync_worker.measure(norm, x, cotangent)
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors

    first, second = (torch.load(tmp_path / f"{rank}") for rank in range(2))
    for name, value in expected.items():
        if name in ("weight", "bias"):  # local sums, which DDP would average
            torch.testing.assert_close(first[name] + second[name], value, rtol=1e-10, atol=1e-12)
        elif name in ("y", "x", "evaluated"):
            torch.testing.assert_close(torch.cat([first[name], second[name]]), value, rtol=1e-10, atol=1e-12)
        else:
            torch.testing.assert_close([first[name], second[name]], [value] * 2, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sizes", [[6], [6, 6, 6], [6, 4, 2]])
def test_statistics_are_taken_again_as_pytorch_does(sizes: list[int]) -> None:
    ours, theirs = (
        nn.Sequential(nn.Conv2d(3, 5, 3), kind(5), nn.ReLU(), nn.Conv2d(5, 4, 3, 2), kind(4)).eval()
        for kind in (BatchNorm2d, nn.BatchNorm2d)
    )
    ours[1].momentum = 0.3
    ours(torch.randn(8, 3, 9, 9) + 5)
    theirs.load_state_dict(ours.state_dict())
    weights = [parameter.clone() for parameter in ours.parameters()]
    batches = [3 * torch.randn(size, 3, 9, 9) + 2 for size in sizes]
    recompute_statistics(ours, batches)
    update_bn(batches, theirs)
    for name in ("running_mean", "running_var"):
        for place in (1, 4):
            actual, expected = getattr(ours[place], name), getattr(theirs[place], name)
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
    assert [norm.momentum for norm in (ours[1], ours[4])] == [0.3, 0.1]
    assert not any(module.training for module in ours.modules())
    assert all(map(torch.equal, ours.parameters(), weights))
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_a_net_without_batch_norm_asks_for_no_images() -> None:
    recompute_statistics(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()), (pytest.fail("asked") for _ in range(1)))
