import pytest
import torch

from lit_a1.optim import clip_gradient_norm_, gradient_norm


@pytest.fixture
def params():
    generator = torch.Generator().manual_seed(0)
    params = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in [(3, 4), (5,), (), (2, 1, 2)]]
    for param in params[:3]:
        param.grad = torch.randn(param.shape, generator=generator, dtype=torch.float64)
    return params


def test_norm_is_that_of_all_gradients_as_one_vector(params):
    flat = torch.cat([param.grad.flatten() for param in params[:3]])
    norm = gradient_norm(param for param in params)
    assert norm.shape == ()
    torch.testing.assert_close(norm, (flat**2).sum().sqrt(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e3])
def test_clipping_is_torch_s(max_norm, params):
    reference = [torch.zeros_like(param, requires_grad=True) for param in params[:3]]
    for param, reference_param in zip(params[:3], reference, strict=True):
        reference_param.grad = param.grad.clone()
    before, gradients = gradient_norm(params), [param.grad.clone() for param in params[:3]]
    expected = torch.nn.utils.clip_grad_norm_(reference, max_norm)
    assert torch.equal(clip_gradient_norm_((param for param in params), max_norm), before)
    torch.testing.assert_close(before, expected, rtol=1e-12, atol=0)
    for param, reference_param in zip(params[:3], reference, strict=True):
        torch.testing.assert_close(param.grad, reference_param.grad, rtol=1e-12, atol=0)
    assert params[3].grad is None
    kept = [torch.equal(param.grad, gradient) for param, gradient in zip(params[:3], gradients, strict=True)]
    assert kept == [max_norm > before] * 3  # below the bound to the bit


def test_no_gradients():
    param = torch.ones(2, requires_grad=True)
    assert gradient_norm([param]) == 0
    assert clip_gradient_norm_([param], 1.0) == 0


@pytest.mark.parametrize("max_norm", [-1.0, float("nan"), float("inf")])
def test_bad_bound(max_norm, params):
    with pytest.raises(ValueError, match=r"max_norm must be in \[0, inf\), got"):
        clip_gradient_norm_(params, max_norm)
