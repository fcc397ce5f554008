import pytest
import torch
from torch import Tensor

from lit_a1.analysis import ascent
from lit_a1.analysis.ascent import Paint, ascend, total_variation, unit


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def pictures() -> Tensor:
    """Reddish noise, whose colours go together: green is half of red, blue is as good as constant."""
    red = 0.6 + 0.2 * (torch.rand(30, 1, 16, 16, generator=seeded()) - 0.5)
    return torch.cat([red, red / 2, 0.1 + 0.001 * torch.rand(30, 1, 16, 16, generator=seeded(1))], 1)


def test_gradients_are_brought_to_length_one() -> None:
    found = unit(torch.tensor([[[3.0, 4]], [[0, 0]], [[0, -7]]]))
    torch.testing.assert_close(found, torch.tensor([[[0.6, 0.8]], [[0, 0]], [[0, -1]]]))


def test_total_variation_by_hand() -> None:
    stripes = torch.zeros(2, 1, 4, 4)
    stripes[1, :, :, ::2] = 1
    # along rows each of 12 differences is 1, down the columns there is none
    torch.testing.assert_close(total_variation(stripes), torch.tensor([0.0, 0.5]))


def test_pictures_begin_in_the_colours_of_the_data(pictures: Tensor) -> None:
    start = Paint(50, pictures, seeded()).picture().detach()
    assert start.shape == (50, 3, 16, 16)
    torch.testing.assert_close(start.mean((0, 2, 3)), pictures.mean((0, 2, 3)), atol=0.03, rtol=0)
    logits = torch.logit(start)
    logits = logits - torch.logit(pictures.mean((0, 2, 3)))[:, None, None]
    spread = logits.std((0, 2, 3))
    assert spread[1] / spread[0] == pytest.approx(0.5, rel=0.05)
    assert spread[2] < 0.02 * spread[0]
    # coarse shapes are stronger than fine ones
    spectrum = torch.fft.rfft2(logits[:, 0]).abs().square().mean(0)
    assert spectrum[0, 1] > 10 * spectrum[8, 8]


def test_ascent_reaches_what_is_asked_for(pictures: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ascent, "JITTER", 0)
    monkeypatch.setattr(ascent, "VARIATION", 0)
    signs = torch.ones(2, 1, 1, 1)
    signs[1] = -1  # the second is made as dark as can be

    def brightness(shown: Tensor) -> Tensor:
        assert shown.min() >= 0
        assert shown.max() <= 1
        return (signs * shown).mean((1, 2, 3))

    paint = Paint(2, pictures[:, :1], seeded())
    before = brightness(paint.picture()).detach()
    found, reached = ascend(paint, brightness, seeded(), steps=30)
    assert reached[0] > before[0] + 0.2
    assert reached[1] > before[1] + 0.2
    torch.testing.assert_close(reached, brightness(found))


def test_it_is_repeatable_and_each_start_is_another(pictures: Tensor) -> None:
    def score(shown: Tensor) -> Tensor:
        return shown[:, :, 4:8, 4:8].mean((1, 2, 3)) - shown.mean((1, 2, 3))

    one, other, third = (
        ascend(Paint(2, pictures, generator), score, generator, steps=5)[0]
        for generator in (seeded(3), seeded(3), seeded(4))
    )
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert (one - third).abs().max() > 0.01
    assert (one[0] - one[1]).abs().max() > 0.01


def test_shifts_go_round_and_stay_small(pictures: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    shifts: list[tuple[int, ...]] = []
    usual = Tensor.roll
    monkeypatch.setattr(Tensor, "roll", lambda self, by, dims: (shifts.append(tuple(by)), usual(self, by, dims))[1])
    ascend(Paint(1, pictures, seeded()), lambda shown: shown.mean((1, 2, 3)), seeded(), steps=60)
    assert {abs(by) for pair in shifts for by in pair} == {0, 1}  # a twelfth of 16 pixels, at least one


def test_the_penalty_smooths(pictures: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    chequers = (torch.arange(16) + torch.arange(16)[:, None]) % 2 * 2.0 - 1

    def score(shown: Tensor) -> Tensor:
        return (shown * chequers).mean((1, 2, 3))

    rough = total_variation(ascend(Paint(1, pictures, seeded()), score, seeded(), steps=20)[0])
    monkeypatch.setattr(ascent, "VARIATION", 0.9)
    assert total_variation(ascend(Paint(1, pictures, seeded()), score, seeded(), steps=20)[0]) < 0.7 * rough
