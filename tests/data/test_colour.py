import torch

from lit_a1.data.colour import LUMA, colour
from lit_a1.data.resample import to_float
from tests.data.helpers import generator, photos


def test_it_is_the_three_steps() -> None:
    images = to_float(photos(12))
    factors = [0.7 + 0.3 * torch.rand(12, generator=generator(seed)) for seed in range(3)]
    result = colour(images, *factors)
    luma = torch.tensor(LUMA).view(3, 1, 1)
    for changed, image, b, c, s in zip(result, images, *factors, strict=True):
        expected = b * image
        expected = c * expected + (1 - c) * (luma * expected).sum(0).mean()
        expected = s * expected + (1 - s) * (luma * expected).sum(0)
        torch.testing.assert_close(changed, expected.clamp(0, 1), atol=1e-5, rtol=0)
    two, one = torch.full((12,), 2.0), torch.ones(12)
    torch.testing.assert_close(colour(images, two, one, one), (2 * images).clamp(0, 1))
