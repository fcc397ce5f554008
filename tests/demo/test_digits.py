import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lit_a1.data.errors import DataError
from lit_a1.demo.digits import CANVAS, answer, read_drawing, silence_units, to_mnist
from lit_a1.mlp.network import NN
from tests.demo.networks import Small


def drawing(*line: float) -> str:
    """A line on the canvas, as the page sends it."""
    image = Image.new("RGBA", (CANVAS, CANVAS), "black")
    if line:
        ImageDraw.Draw(image).line(line, "white", 24)
    image.save(content := io.BytesIO(), "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


@pytest.mark.parametrize("line", [(30, 20, 30, 100), (200, 200, 260, 200), (10, 10, 270, 270)])
def test_a_drawing_is_centred_as_mnist_is(line: tuple[float, ...]) -> None:
    image = to_mnist(read_drawing(drawing(*line)))
    assert image is not None
    assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
    rows, columns = np.nonzero(image)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for place in np.indices(image.shape):
        assert (place * image).sum() / image.sum() == pytest.approx(13.5, abs=0.6)


def test_a_change_follows_the_centring() -> None:
    page = read_drawing(drawing(100, 40, 100, 240))
    centred, moved = to_mnist(page), to_mnist(page, right=3, down=-2)
    turned, noisy = to_mnist(page, degrees=90), to_mnist(page, noise=0.3)
    np.testing.assert_array_equal(moved[:-2, 3:], centred[2:, :-3])
    np.testing.assert_allclose(turned, np.rot90(centred), atol=1)
    assert 20 < np.abs(noisy.astype(int) - centred).mean() < 80


@pytest.mark.parametrize(
    "sent",
    ["", "x", "data:image/png;base64,", "data:image/png;base64,@", "data:image/jpeg;base64,aaaa", drawing()[:90]],
)
def test_what_is_no_drawing_is_refused(sent: str) -> None:
    with pytest.raises(DataError, match=r"^The drawing can't be read: .*\.$"):
        read_drawing(sent)


def test_both_answer_and_show_what_they_rest_on() -> None:
    said, inside = answer(Small(), drawing(140, 40, 140, 240), "", "")
    assert [said.count(f"<h3>{name}: <strong>") for name in ("MLP", "CNN")] == [1, 1]
    assert said.count('class="bar') == 2 + 20
    assert inside.count("weights of unit") == 8
    assert inside.count("a feature map of Stage 2") == 8  # as many channels as it has


def test_an_effect_is_what_the_logits_lose_without_the_unit() -> None:
    net, image = NN((5, 4), parameter_range=(1, 10_000), nonlinearity="tanh"), np.random.default_rng(0).random(784)
    logits, falls = silence_units(net, image.astype(np.float32))
    np.testing.assert_allclose(logits, net.forward(image[None])[0], atol=1e-5)
    for unit in range(5):
        kept = net.weights[1][unit].copy()
        net.weights[1][unit] = 0  # nobody hears it
        assert falls[unit] == pytest.approx(logits - net.forward(image[None])[0], abs=1e-5)
        net.weights[1][unit] = kept


def test_nothing_drawn_gets_a_hint() -> None:
    hints = [answer(Small(), empty, "", "") for empty in (None, "", drawing())]
    assert hints[0] == hints[1] == hints[2]
