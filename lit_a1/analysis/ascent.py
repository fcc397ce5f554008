"""Makes pictures that a score is as large for as can be, by gradient ascent on their pixels."""

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 128
RATE = 2.0  # way that gradient ascent goes in all, as the root mean square over the parameters
JITTER = 1 / 12  # pictures shift by at most this share of their side in a step
VARIATION = 0.1  # weight of the total variation's direction, beside 1 of the score's
NOISE = 0.05  # standard deviation of the parameters to begin with
Score = Callable[[Tensor], Tensor]


class Paint:
    """n pictures, as the parameters that gradient ascent moves: Fourier coefficients of decorrelated colours.

    Each frequency is scaled by its inverse, as in photographs, and colours by their covariance, so that a step changes
    coarse shapes in the colours of the data as readily as single pixels (Olah et al. 2017, "Feature Visualization",
    "Preconditioning and Parameterization"). A sigmoid keeps the pixels in [0,1].

    Args:
        count: n.
        pictures: (N,C,H,W) in [0,1] that the colours' mean and covariance are taken from.
        generator: draws the noise to begin with.
    """

    def __init__(self, count: int, pictures: Tensor, generator: torch.Generator) -> None:
        _, channels, self.size, _ = pictures.shape
        pixels = pictures.permute(1, 0, 2, 3).flatten(1)
        self.mean = torch.logit(pixels.mean(1).clamp(0.02, 0.98))[:, None, None]
        values, vectors = torch.linalg.eigh(torch.cov(pixels).view(channels, channels))
        self.colours = vectors * (values.clamp_min(0) / values.max()).sqrt()
        y, x = torch.fft.fftfreq(self.size), torch.fft.rfftfreq(self.size)
        frequency = (y[:, None] ** 2 + x**2).sqrt()
        self.scale = self.size / frequency.clamp_min(1 / self.size)
        shape = (count, channels, *self.scale.shape, 2)
        self.parameters = (NOISE * torch.randn(shape, generator=generator)).requires_grad_()

    def picture(self) -> Tensor:
        """The pictures (n,C,H,W)."""
        plain = torch.fft.irfft2(torch.view_as_complex(self.parameters) * self.scale, s=(self.size, self.size))
        return torch.sigmoid(self.mean + torch.einsum("cd,ndhw->nchw", self.colours, plain))


def total_variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference (n,) of neighbouring pixels, along rows and columns."""
    return (pictures.diff(dim=2).abs().mean((1, 2, 3)) + pictures.diff(dim=3).abs().mean((1, 2, 3))) / 2


def ascend(paint: Paint, score: Score, generator: torch.Generator, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Makes pictures that `score` is large for, by normalised gradient ascent, and returns them with their scores.

    Each step shifts the pictures at random, the border going round, and moves each picture's parameters along the
    gradient of its score, brought to length 1, less that of the total variation (Mahendran & Vedaldi 2015,
    "Understanding deep image representations by inverting them").

    Args:
        paint: n pictures to begin with; it is changed.
        score: maps pictures (n,C,H,W) in [0,1] to values (n,), each a function of its own picture alone.
        generator: draws the shifts.
        steps: how many.

    Returns:
        Pictures (n,C,H,W) in [0,1], and their scores (n,) unshifted.
    """
    reach = max(1, round(JITTER * paint.size))
    length = RATE * (paint.parameters[0].numel() ** 0.5)
    for step in range(steps):
        shifts = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        pictures = paint.picture()
        gradient = unit(_gradient(score(pictures.roll(shifts, (2, 3))), paint))
        smooth = unit(_gradient(total_variation(paint.picture()), paint))
        with torch.no_grad():
            paint.parameters += length / steps * (1 - step / steps) * (gradient - VARIATION * smooth)
    with torch.inference_mode():
        pictures = paint.picture()
        return pictures, score(pictures)


def _gradient(scores: Tensor, paint: Paint) -> Tensor:
    return torch.autograd.grad(scores.sum(), paint.parameters)[0]


def unit(gradients: Tensor) -> Tensor:
    """Each of n gradients (n,...) at length 1; zeros stay."""
    lengths = gradients.flatten(1).norm(dim=1).clamp_min(1e-30)
    return gradients / lengths.view(-1, *[1] * (gradients.dim() - 1))
