from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_a1.analysis import maximise
from lit_a1.analysis.hidden_layers import hidden_layers
from lit_a1.analysis.maximise import FourierImages, ascend, channel_score, class_score, real_activations
from lit_a1.analysis.network import capture_outputs
from tests.analysis.networks import Kind, analyzed, network_of, rows_of


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Tensor:
    """Reddish noise, whose colours go together: green is half of red, blue is as good as constant."""
    red = 0.6 + 0.2 * (torch.rand(30, 1, 16, 16, generator=seeded()) - 0.5)
    return torch.cat([red, red / 2, 0.1 + 0.001 * torch.rand(30, 1, 16, 16, generator=seeded(1))], 1)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ascend, "__defaults__", (12,))


def test_images_begin_in_the_colours_of_the_data(images: Tensor) -> None:
    start = FourierImages(50, images, seeded()).image().detach()
    assert start.shape == (50, 3, 16, 16)
    torch.testing.assert_close(start.mean((0, 2, 3)), images.mean((0, 2, 3)), atol=0.03, rtol=0)
    logits = torch.logit(start)
    logits = logits - torch.logit(images.mean((0, 2, 3)))[:, None, None]
    spread = logits.std((0, 2, 3))
    assert spread[1] / spread[0] == pytest.approx(0.5, rel=0.05)
    assert spread[2] < 0.02 * spread[0]
    # coarse shapes are stronger than fine ones
    spectrum = torch.fft.rfft2(logits[:, 0]).abs().square().mean(0)
    assert spectrum[0, 1] > 10 * spectrum[8, 8]


def test_ascent_reaches_what_is_asked_for(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maximise, "JITTER", 0)
    monkeypatch.setattr(maximise, "VARIATION", 0)
    signs = torch.tensor([1.0, -1, 0]).view(3, 1, 1, 1)  # the second is made as dark as can be

    def brightness(shown: Tensor) -> Tensor:
        assert 0 <= shown.min() <= shown.max() <= 1
        return (signs * shown).mean((1, 2, 3))

    paint = FourierImages(3, images[:, :1], seeded())
    upwards = paint.direction(3 * brightness(paint.image()))
    torch.testing.assert_close(upwards.flatten(1).norm(dim=1), torch.tensor([1.0, 1, 0]))
    before = brightness(paint.image()).detach()
    found, reached = ascend(paint, brightness, seeded(), steps=30)
    assert (reached[:2] > before[:2] + 0.2).all()
    torch.testing.assert_close(reached, brightness(found))


def test_it_is_repeatable_and_each_start_is_another(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    shifts: list[int] = []
    usual = Tensor.roll
    monkeypatch.setattr(Tensor, "roll", lambda self, by, dims: (shifts.extend(by), usual(self, by, dims))[1])

    def score(shown: Tensor) -> Tensor:
        return shown[:, :, 4:8, 4:8].mean((1, 2, 3)) - shown.mean((1, 2, 3))

    one, other, third = (
        ascend(FourierImages(2, images, generator), score, generator, steps=20)[0]
        for generator in (seeded(3), seeded(3), seeded(4))
    )
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert (one - third).abs().max() > 0.01
    assert (one[0] - one[1]).abs().max() > 0.01
    assert set(map(abs, shifts)) == {0, 1}  # a twelfth of 16 pixels, at least one


def test_the_penalty_smooths(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    stripes = torch.zeros(2, 1, 4, 4)
    stripes[1, :, :, ::2] = 1
    # along rows each of 12 differences is 1, down the columns there is none
    torch.testing.assert_close(maximise.total_variation(stripes), torch.tensor([0.0, 0.5]))
    chequers = (torch.arange(16) + torch.arange(16)[:, None]) % 2 * 2.0 - 1

    def roughness() -> float:
        made, _ = ascend(FourierImages(1, images, seeded()), lambda x: (x * chequers).mean((1, 2, 3)), seeded(), 20)
        return float(maximise.total_variation(made))

    rough = roughness()
    monkeypatch.setattr(maximise, "VARIATION", 0.9)
    assert roughness() < 0.7 * rough


def test_scores_are_what_the_network_says(kind: Kind) -> None:
    network = network_of(kind)
    images = network.prepared([3, 4, 5])
    with capture_outputs(network.net.stages[0]) as seen:
        logits = network.net(network.standardize(images))
    found = class_score(network, [1, 0, 1])(images)
    expected = logits[[0, 1, 2], [1, 0, 1]] - (logits[[0, 1, 2], [0, 1, 0]] if kind == "photos" else 0)
    torch.testing.assert_close(found, expected)
    found = channel_score(network, 0, [6, 2, 7])(images)
    torch.testing.assert_close(found, seen[0][[0, 1, 2], [6, 2, 7]].mean((1, 2)))


def test_a_silent_channel_has_a_gradient_all_the_same() -> None:
    network = network_of("photos")
    network.net.stages[1][-1].residual[2][1].bias[3] = -50
    images = network.prepared([0, 1]).requires_grad_()
    values = channel_score(network, 1, [3, 4])(images)
    assert values[0] == 0
    (gradient,) = torch.autograd.grad(values.sum(), images)
    assert gradient[0].abs().max() > 0
    # the gradient of a channel that is not silent is its own: that of a small step
    step = 1e-2 * gradient[1] / gradient[1].norm()
    with torch.no_grad():
        rise = channel_score(network, 1, [3, 4])(torch.stack([images[0], images[1] + step]))[1] - values[1]
    assert rise == pytest.approx(float((step * gradient[1]).sum()), rel=0.1)


def test_what_real_images_excite() -> None:
    network, rows = network_of("digits"), np.array([4, 9, 2])
    means, logits = real_activations(network, rows, hidden_layers(network.net, blocks=False)[1:])
    with torch.inference_mode(), capture_outputs(network.net.stages[0]) as seen:
        expected = network.net(network.standardize(network.prepared(rows)))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(means[0], seen[0].mean((2, 3)), rtol=1e-4, atol=1e-6)
    assert [each.shape for each in means] == [(3, 8), (3, 8)]


def test_tables_figures_and_words(kind: Kind) -> None:
    network = network_of(kind)
    result, rows = analyzed(maximise, network), rows_of("maximise")
    assert [row["layer"] for row in rows] == ["Classes"] * len(network.classes) + ["Stage 1"] * 5 + ["Stage 2"] * 5
    names = ["classes", "channels", "best"]
    assert [drawn.file for drawn in result.figures] == [f"maximise_{name}.png" for name in names]
    for channel in (row for row in rows if row["layer"] == "Stage 2"):
        activations = network.features[:, int(channel["unit"])]
        assert float(channel["best_real"]) == pytest.approx(activations.max(), rel=1e-4)
        assert int(channel["best_real_image"]) == network.indices[activations.argmax()]
    assert [int(row["unit"]) for row in rows[-5:]] == maximise.differing_channels(network.features)
    beaten = sum(float(row["reached"]) > float(row["best_real"]) for row in rows if row["layer"] != "Classes")
    assert beaten >= 8  # of 10: images made to excite do so
    sentence = "In all 10 channels" if beaten == 10 else f"In {10 - beaten} of 10 channels"
    assert sentence in result.words[1]
    assert ("log-odds of a class against the other" in result.words[0]) == (kind == "photos")
    assert f"{network.classes[1]}: " in result.words[0]


def test_channels_are_shown_that_like_different_images() -> None:
    activations = np.zeros((20, 6))
    for channel, scale in enumerate((9, 8, 7, 6, 0.1, 0.1)):  # the first two like the same four images
        activations[4 * max(0, channel - 1) : 4 * max(0, channel - 1) + 4, channel] = scale
    assert maximise.differing_channels(activations, 3) == [0, 2, 1]
    activations = np.tile(activations, (1, 2))  # of 12 channels the more varied half, in pairs
    assert maximise.differing_channels(activations, 3) == [0, 2, 6]


def test_there_are_several_starts_where_classes_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(maximise, "_draw_classes", lambda _, classes: drawn.append(classes))
    monkeypatch.setattr(maximise, "_draw_channels", lambda *_: None)
    result = analyzed(maximise, network_of("photos"))
    (classes,) = drawn
    assert [(unit.name, unit.images.shape) for unit in classes] == [("Cat", (3, 32, 32, 3)), ("Dog", (3, 32, 32, 3))]
    assert result.numbers["reached_Dog"] == classes[1].reached.max()
    network = network_of("photos")
    for unit in classes:  # each was made for its own class
        score = class_score(network, [unit.unit] * 3)
        found = score(torch.from_numpy(unit.images).permute(0, 3, 1, 2))
        np.testing.assert_allclose(found, unit.reached, rtol=1e-3, atol=1e-4)
        assert unit.reached.min() > 0


def test_real_images_stand_two_by_two() -> None:
    sheet = maximise.two_by_two(torch.stack([torch.full((1, 2, 2), k / 10) for k in range(3)]))
    assert sheet.shape == (6, 6, 3)
    np.testing.assert_allclose(sheet[[0, 0, 4, 5], [0, 4, 1, 5], 0], [0, 0.1, 0.2, 1])
    assert (sheet[2:4] == 1).all()
