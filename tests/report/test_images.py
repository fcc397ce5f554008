import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_a1.report.images import MAX_WIDTH, EncodedImage, encode


def decoded(encoded: EncodedImage) -> np.ndarray:
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert image.get_format_mimetype() == encoded.mime
        assert image.size == (encoded.width, encoded.height)
        return np.asarray(image.convert("RGB")).astype(float)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """2000 x 1250 pixels: smooth in all colours, with some noise, as a PNG of some megabytes."""
    generator = np.random.default_rng(0)
    small = Image.fromarray(generator.integers(0, 256, (10, 16, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((2000, 1250), Image.Resampling.BICUBIC)).astype(float)
    noisy = (smooth + generator.normal(0, 3, smooth.shape)).clip(0, 255).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(noisy).save(path, compress_level=1)
    return path


@pytest.mark.parametrize("printed", [False, True])
def test_line_art_keeps_its_edges_in_a_palette(image: Path, printed: bool) -> None:
    encoded = encode(image, printed=printed)
    assert encoded.mime == "image/png"
    assert (encoded.width, encoded.height, encoded.inches) == (1280, 800, 6.4)
    assert len(encoded.data) < 12_000
    pixels = decoded(encoded)
    assert (pixels[0, 0] == 255).all()  # what was transparent is white paper, exactly
    with Image.open(image) as original:
        white = Image.new("RGBA", original.size, "white")
        expected = np.asarray(Image.alpha_composite(white, original).convert("RGB")).astype(float)
    assert np.abs(pixels - expected).max() <= 16
    assert pixels[100, 600].max() < 16  # the frame is black


def test_paper_stays_white_beside_what_is_nearly_white(tmp_path: Path) -> None:
    """An octree puts 253 and 255 into one bin: their mean would be a grey paper."""
    pixels = np.full((400, 640, 3), 255, dtype=np.uint8)
    pixels[:200, ::2] = 253
    pixels[300] = np.random.default_rng(0).integers(0, 256, (640, 3))
    path = tmp_path / "nearly white.png"
    Image.fromarray(pixels).save(path)
    encoded = encode(path, printed=True)
    assert encoded.mime == "image/png"
    assert (decoded(encoded)[250] == 255).all()


@pytest.mark.parametrize(("printed", "mime", "most"), [(False, "image/webp", 100_000), (True, "image/jpeg", 500_000)])
def test_a_photo_is_narrowed_and_compressed(photo: Path, printed: bool, mime: str, most: int) -> None:
    encoded = encode(photo, printed=printed)
    assert encoded.mime == mime
    assert (encoded.width, encoded.height) == (MAX_WIDTH, 1000)
    assert encoded.inches == 10
    assert len(encoded.data) < most < photo.stat().st_size / 5
    with Image.open(photo) as original:
        expected = np.asarray(original.resize((1600, 1000), Image.Resampling.LANCZOS)).astype(float)
    assert np.abs(decoded(encoded) - expected).mean() < 4


def test_a_smooth_gradient_gets_no_bands(tmp_path: Path) -> None:
    """With 256 colours from an octree neighbours would be as much as 16 apart."""
    rows, columns = np.mgrid[0:1:400j, 0:1:640j]
    gradient = np.stack([255 * rows, 255 * columns, 255 * (1 - rows)], axis=-1).astype(np.uint8)
    path = tmp_path / "gradient.png"
    Image.fromarray(gradient).save(path)
    assert np.abs(decoded(encode(path)) - gradient).max() < 12


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK"])
def test_any_kind_of_image(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.tiff"
    Image.new("RGB", (40, 30), (0, 0, 0)).convert(mode).save(path)
    assert decoded(encode(path)).max() < 12
    Image.new("RGB", (8000, 1)).convert(mode).save(path)  # keeps a row
    assert (encode(path).width, encode(path).height) == (MAX_WIDTH, 1)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n cut", None])
def test_no_image(image: Path, content: bytes | None) -> None:
    whole = image.read_bytes()
    image.write_bytes(whole[:-600] if content is None else content)
    assert encode(image) == "The image line art.png can't be read."
    image.unlink()
    assert encode(image) == "The image line art.png is gone."
