import io

import numpy as np
import pytest
from PIL import Image

from lit_a1.data.decode import DecodeError, Header, decode, read_header
from tests.data.damaged import png

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

WHITE = np.full((64, 64, 3), 255, dtype=np.uint8)
RAMP = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))


def test_an_image_of_the_right_size_is_returned_exactly_as_decoded_and_others_are_scaled(encode):
    data = encode(1)
    out = decode(data)
    assert out.dtype == np.uint8
    assert out.shape == (64, 64, 3)
    assert out.flags.writeable
    np.testing.assert_array_equal(out, np.asarray(Image.open(io.BytesIO(data))))
    grey = decode(encode(RAMP, "JPEG"))
    assert (grey == grey[..., :1]).all()
    assert decode(encode(1, size=(5, 9))).shape == (64, 64, 3)
    assert decode(encode(1, size=(1, 1)), size=17).shape == (17, 17, 3)


def palette() -> Image.Image:
    image = Image.new("P", (64, 64), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    return image


GREY, GREEN = np.stack([RAMP] * 3, axis=2), [10, 200, 30]
FULL = RAMP / RAMP.max()


@pytest.mark.parametrize(
    ("stored", "form", "options", "expected", "margin"),
    [
        pytest.param(RAMP, "PNG", {}, GREY, 0, id="grey"),
        pytest.param(RAMP.astype(np.uint16) * 257, "PNG", {}, GREY, 0, id="16 bits are scaled and not clipped"),
        pytest.param(FULL.astype(np.float32), "TIFF", {}, 255 * FULL[..., None], 1, id="floats up to 1"),
        pytest.param((255 * FULL).astype(np.float32), "TIFF", {}, 255 * FULL[..., None], 1, id="floats up to 255"),
        pytest.param((65535 * FULL).astype(np.int32), "TIFF", {}, 255 * FULL[..., None], 1, id="32 bits"),
        pytest.param(np.full((64, 64), np.nan, np.float32), "TIFF", {}, 0, 0, id="no numbers are black"),
        pytest.param(Image.new("1", (64, 64), 1), "PNG", {}, 255, 0, id="one bit"),
        pytest.param(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG", {}, [255, 0, 0], 11, id="CMYK"),
        pytest.param(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG", {}, 255, 0, id="transparent is white"),
        pytest.param(Image.new("LA", (64, 64), (0, 0)), "PNG", {}, 255, 0, id="transparent grey is white"),
        pytest.param(Image.new("RGBA", (64, 64), (255, 0, 0, 128)), "PNG", {}, [255, 127, 127], 1, id="half"),
        pytest.param(palette(), "PNG", {}, GREEN, 0, id="palette"),
        pytest.param(palette(), "GIF", {}, GREEN, 0, id="palette of a GIF"),
        pytest.param(palette(), "PNG", {"transparency": 1}, 255, 0, id="a transparent colour of a palette"),
        pytest.param(palette(), "PNG", {"transparency": b"\xff\x00"}, 255, 0, id="opacities of a palette"),
        pytest.param(Image.new("RGB", (64, 64), (1, 2, 3)), "PNG", {"transparency": (1, 2, 3)}, 255, 0, id="an RGB"),
    ],
)
def test_modes(encode, stored, form, options, expected, margin):
    out = decode(encode(stored, form, **options))
    assert out.shape == (64, 64, 3)
    assert np.abs(out.astype(float) - expected).max() <= margin


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(encode, orientation):
    upright = np.zeros((64, 64, 3), dtype=np.uint8)
    upright[:32, :32] = [250, 0, 0]
    upright[:32, 32:] = [0, 250, 0]
    stored = {  # what a camera stores, so that a viewer that follows the orientation shows `upright`
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(np.ascontiguousarray(stored), "PNG", exif=exif)
    np.testing.assert_array_equal(decode(data), upright)
    assert read_header(data) == Header("PNG", "RGB", 64, 64, orientation)


def test_a_damaged_exif_block_is_ignored_and_the_header_tells_what_the_file_is(encode):
    data = encode(5, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff")
    np.testing.assert_array_equal(decode(data), decode(encode(5)))
    assert read_header(data).orientation == 1
    assert read_header(encode(RAMP, "PNG", size=(64, 64))) == Header("PNG", "L", 64, 64)
    assert read_header(encode(1, size=(30, 20))) == Header("JPEG", "RGB", 30, 20)


@pytest.mark.parametrize("shape", [(64, 200), (200, 64), (100, 300), (301, 151)])
def test_the_centred_square_is_kept(encode, shape):
    height, width = shape
    side = min(shape)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    pixels[top : top + side, left : left + side] = 200
    out = decode(encode(pixels, "PNG"))
    assert out.shape == (64, 64, 3)
    assert (out[1:-1, 1:-1] == 200).all()


def test_shrinking_averages(encode):
    stripes = np.zeros((640, 640, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    out = decode(encode(stripes, "PNG"))
    assert np.abs(out.astype(int) - 128).max() <= 4  # the border has half a stripe more


@pytest.mark.parametrize("side", [420, 1600])
def test_a_large_jpeg_is_decoded_at_reduced_size_with_the_same_result(encode, side):
    coarse = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    data = encode(Image.fromarray(coarse).resize((side + 80, side)), quality=95)
    full = Image.open(io.BytesIO(data)).crop((40, 0, 40 + side, side)).resize((64, 64), Image.Resampling.BILINEAR)
    error = decode(data).astype(float) - np.asarray(full)
    assert np.sqrt((error**2).mean()) < 2.2  # of 255; decoding at just above 64 would give 2.6


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_truncated_file_is_refused(encode, form):
    data = encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), form)
    for kept in (0.2, 0.5, 0.9):
        with pytest.raises(DecodeError, match=r"it is truncated|it cannot be decoded"):
            decode(data[: int(len(data) * kept)])


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (11_000, "declares"),  # Pillow warns
        (9_800, "truncated|cannot be decoded"),  # 96 million pixels are in bounds
    ],
)
def test_a_png_of_many_pixels_and_no_data_is_refused(side, words):
    with pytest.raises(DecodeError, match=words):
        decode(png(side, side, 8, 2))


def test_a_size_beyond_the_limit_is_refused(encode, monkeypatch):
    data = encode(1, size=(40, 50))
    monkeypatch.setattr("lit_a1.data.decode.MAX_PIXELS", 1999)
    for read in (decode, read_header):
        with pytest.raises(DecodeError, match=r"40 x 50 pixels, more than the 1,999 allowed"):
            read(data)
