"""Cross-entropy against PyTorch's, and what it must refuse."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lit_a1.layers import cross_entropy

N, K = 7, 4


def make_target(kind: str) -> Tensor:
    return torch.randint(K, (N,)) if kind == "hard" else torch.randn(N, K, dtype=torch.float64).softmax(1)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_parity_with_pytorch(kind: str, smoothing: float, scale: float) -> None:
    logits = (scale * torch.randn(N, K, dtype=torch.float64)).requires_grad_()
    target = make_target(kind)
    inputs = [logits, target.requires_grad_()] if kind == "soft" else [logits]
    ours = cross_entropy(logits, target, smoothing)
    theirs = F.cross_entropy(logits, target, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    cotangent = torch.randn_like(ours)
    for actual, expected in zip(
        torch.autograd.grad(ours, inputs, cotangent), torch.autograd.grad(theirs, inputs, cotangent), strict=True
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_known_values_from_logits_not_probabilities() -> None:
    # Were a softmax applied before, the first loss would be log(1 + 1/e) = 0.313 rather than 0.
    sure, torn = torch.tensor([[50.0, -50.0]]), torch.tensor([[0.0, 0.0]])
    assert cross_entropy(sure, torch.tensor([0])).item() == 0
    assert cross_entropy(sure, torch.tensor([1])).item() == 100
    torch.testing.assert_close(cross_entropy(torn, torch.tensor([1])), torch.tensor(2.0).log())


def test_properties() -> None:
    """Hard targets are one-hot soft ones; the gradient is p - t; only differences of logits matter."""
    logits, target = torch.randn(N, K, dtype=torch.float64, requires_grad=True), make_target("hard")
    one_hot, loss = F.one_hot(target, K).double(), cross_entropy(logits, target)
    torch.testing.assert_close(cross_entropy(logits, one_hot, 0.1), cross_entropy(logits, target, 0.1))
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], (logits.detach().softmax(1) - one_hot) / N)
    torch.testing.assert_close(cross_entropy(logits + 1000, target), loss)


@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_huge_logits(size: float, smoothing: float) -> None:
    logits = torch.tensor([[size, -size], [-size, size], [size, size]], requires_grad=True)
    target = torch.tensor([0, 0, 1])
    loss = torch.stack([cross_entropy(logits[k : k + 1], target[k : k + 1], smoothing) for k in range(3)])
    expected = torch.tensor([smoothing * size, (2 - smoothing) * size, torch.tensor(2.0).log().item()])
    torch.testing.assert_close(loss, expected)
    assert torch.autograd.grad(loss.sum(), logits)[0].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, kind: str) -> None:
    logits = (10 * torch.randn(N, K)).to(dtype).requires_grad_()
    target = make_target(kind)
    target = target.to(dtype) if kind == "soft" else target
    loss = cross_entropy(logits, target, 0.1)
    assert loss.dtype == torch.float32
    exact = cross_entropy(logits.double(), target.double() if kind == "soft" else target, 0.1)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=0)
    assert torch.autograd.grad(loss, logits)[0].dtype == dtype


def test_compiles_into_one_graph() -> None:
    logits, target = torch.randn(N, K), make_target("hard")
    torch.compiler.reset()
    compiled = torch.compile(cross_entropy, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits, target, 0.1), cross_entropy(logits, target, 0.1))


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (torch.randn(N), torch.zeros(N).long(), ValueError, r"shape \(N, K\) without zeros, but have \(7,\)"),
        (torch.randn(0, K), torch.zeros(0).long(), ValueError, r"without zeros, but have \(0, 4\)"),
        (torch.zeros(N, K).long(), torch.zeros(N).long(), TypeError, "floating-point numbers, but are torch.int64"),
        (torch.randn(N, K), torch.zeros(N).int(), TypeError, "int64 classes .*, but are torch.int32"),
        (torch.randn(N, K), torch.zeros(N).bool(), TypeError, "int64 classes .*, but are torch.bool"),
        (torch.randn(N, K), torch.zeros(N, 1).long(), ValueError, r"shape \(7,\) .*, but have \(7, 1\)"),
        (torch.randn(N, K), torch.zeros(N - 1).long(), ValueError, r"shape \(7,\) .*, but have \(6,\)"),
        (torch.randn(N, K), torch.zeros(N), ValueError, r"shape \(7, 4\) of the logits, but have \(7,\)"),
        (torch.randn(N, K), torch.full((N,), K), ValueError, r"\[0, 4\), but range from 4 to 4"),
        (torch.randn(N, K), torch.arange(N) - 1, ValueError, r"\[0, 4\), but range from -1 to 5"),
        (torch.randn(N, K), torch.full((N,), -100), ValueError, r"\[0, 4\), but range from -100 to -100"),
    ],
)
def test_bad_tensors(logits: Tensor, target: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cross_entropy(logits, target)
