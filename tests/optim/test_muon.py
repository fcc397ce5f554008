from copy import deepcopy

import pytest
import torch
from torch import nn

from lit_a1.optim import Adam, Muon
from lit_a1.optim.muon import EPS, LARGE, VECTOR_RATE, _orthogonal_factor, _padded, orthogonalize


def random(*shape):
    return torch.randn(shape, dtype=torch.float64)


def newton_schulz(matrix):
    """The five iterations as they are published, on the long side."""
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (7, 7), (1, 9), (9, 1)])
def test_the_same_as_iterations_on_the_long_side(shape):
    matrix = random(*shape)
    expected = newton_schulz(matrix) if shape[0] <= shape[1] else newton_schulz(matrix.T).T
    torch.testing.assert_close(orthogonalize([matrix])[0], expected, rtol=1e-5, atol=1e-6)


def test_singular_vectors_stay_and_singular_values_come_near_one():
    u, _, vh = torch.linalg.svd(random(6, 30), full_matrices=False)
    values = torch.tensor([1.0, 0.5, 0.2, 0.1, 0.05, 0.02], dtype=torch.float64)
    rotated = u.T @ orthogonalize([u * values @ vh])[0] @ vh.T
    assert (rotated - rotated.diagonal().diag()).abs().max() < 1e-9
    assert 0.6 < rotated.diagonal().min() < rotated.diagonal().max() < 1.3


def test_single_precision_is_enough_on_the_short_side():
    """Squared singular values lose digits; those of a gradient span three decades."""
    u, _, vh = torch.linalg.svd(random(LARGE, 300), full_matrices=False)
    matrix = u * torch.logspace(0, -3, LARGE, dtype=torch.float64) @ vh
    for wide in (matrix[:64], matrix):  # the second is large enough for oneDNN
        found = orthogonalize([wide.float(), wide.T.float()])
        torch.testing.assert_close(found[0].double(), newton_schulz(wide), rtol=0, atol=1e-3)
        torch.testing.assert_close(found[1], found[0].T, rtol=0, atol=1e-3)


def test_matrices_do_not_touch_each_other():
    """Those whose shorter sides are equal go through the iterations together."""
    matrices = [random(*shape) for shape in ((4, 9), (20, 4), (6, 6), (4, 4), (1, 9))]
    for together, matrix in zip(orthogonalize(matrices), matrices, strict=True):
        torch.testing.assert_close(together, orthogonalize([matrix])[0], rtol=0, atol=1e-12)
    assert orthogonalize([]) == []


def test_zeros_around_a_gram_matrix_stay_around_it():
    matrix = random(5, 12)
    gram = matrix @ matrix.T
    alone, padded = _orthogonal_factor(gram), _orthogonal_factor(_padded(gram, 8))
    torch.testing.assert_close(padded[:5, :5], alone, rtol=0, atol=1e-12)
    assert padded[:5, 5:].eq(0).all()
    assert padded[5:, :5].eq(0).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, where all matrices go through it together")
def test_a_gpu_gives_the_same():
    matrices = [random(*shape) for shape in ((4, 9), (20, 4), (64, 576), (2, 64))]
    for here, there in zip(orthogonalize(matrices), orthogonalize([matrix.cuda() for matrix in matrices]), strict=True):
        torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-10)


def test_half_precision_around_it_changes_nothing():
    matrix = torch.randn(8, 20)
    with torch.autocast("cpu", torch.bfloat16):
        inside = orthogonalize([matrix])
    assert torch.equal(inside[0], orthogonalize([matrix])[0])


def test_nothing_to_learn_is_no_division_by_zero():
    assert orthogonalize([torch.zeros(3, 4)])[0].eq(0).all()
    with pytest.raises(ValueError, match="two dimensions, got 3"):  # which a matrix has
        orthogonalize([torch.ones(3, 2), torch.ones(2, 2, 2)])


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("shape", [(4, 3, 2, 2), (8, 1, 2, 2), (8, 3), (3, 8)])
def test_follows_its_formula(momentum, nesterov, shape):
    param = random(*shape).requires_grad_()
    optimizer = Muon([param], lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=0.2)
    expected, buffer = param.detach().clone(), torch.zeros_like(param)
    for _ in range(4):
        gradient = random(*shape)
        param.grad = gradient.clone()
        buffer = momentum * buffer + gradient
        direction = gradient + momentum * buffer if nesterov else buffer
        longer = max(1.0, shape[0] / direction[0].numel()) ** 0.5
        step = orthogonalize([direction.flatten(1)])[0].view(shape)
        expected = (1 - 0.1 * 0.2) * expected - 0.1 * longer * step
        optimizer.step()
        torch.testing.assert_close(param.detach(), expected, rtol=0, atol=1e-12)
        assert torch.equal(param.grad, gradient)


def test_same_as_torch_up_to_its_half_precision():
    """Torch's takes matrices only, and iterates in bfloat16."""
    ours, arguments = nn.Linear(6, 20, bias=False), {"lr": 0.05, "momentum": 0.9, "weight_decay": 1.0}
    theirs = deepcopy(ours)
    optimizers = [Muon(ours.parameters(), **arguments), torch.optim.Muon(theirs.parameters(), **arguments)]
    before = ours.weight.detach().clone()
    for _ in range(5):
        x = torch.randn(30, 6)
        for net, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=0.01)
    assert (ours.weight - before).abs().max() > 0.05


def test_biases_and_norms_are_updated_by_adam():
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)).double()
    other = deepcopy(net)
    ours = Muon(net.parameters(), lr=0.1, momentum=0.8, weight_decay=0.2)
    vectors = [param for param in other.parameters() if param.ndim == 1]
    theirs = Adam(vectors, lr=VECTOR_RATE * 0.1, betas=(0.8, 0.999), eps=EPS)
    for _ in range(4):
        for param, reference_param in zip(net.parameters(), other.parameters(), strict=True):
            param.grad = random(*param.shape)
            reference_param.grad = param.grad.clone()
        ours.step(), theirs.step()
    for param, reference_param in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(param, reference_param) is (param.ndim == 1)


def test_gains_of_weight_norm_are_no_matrices():
    gains, vector = (torch.ones(shape, requires_grad=True) for shape in ((5, 1, 1, 1), (5,)))
    for param in (gains, vector):
        param.grad = torch.linspace(-1, 1, 5).view(param.shape)
        Muon([param], lr=0.1, weight_decay=0.2).step()
    assert torch.equal(gains.flatten(), vector)


def test_the_memory_format_of_a_weight_does_not_matter():
    weight, gradients, ends = random(4, 3, 3, 3), [random(4, 3, 3, 3) for _ in range(3)], []
    for layout in (torch.contiguous_format, torch.channels_last):
        param = weight.clone(memory_format=layout).requires_grad_()
        optimizer = Muon([param], lr=0.1)
        for gradient in gradients:
            param.grad = gradient.contiguous(memory_format=layout)
            optimizer.step()
        ends.append(param.detach())
    torch.testing.assert_close(*ends, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1e-3, 1e18, 1e30])
def test_the_size_of_a_gradient_does_not_matter(size):
    """Nor do squares that overflow."""
    matrices = [matrix.float() for matrix in (random(4, 9), random(20, 4))]
    scaled = orthogonalize([size * matrix for matrix in matrices])
    for found, expected in zip(scaled, orthogonalize(matrices), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
