"""Makes images small enough to be embedded in a report."""

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from lit_a1.report.document import Block
from lit_a1.runs.plotting import DPI

MAX_WIDTH = 1600  # pixels
PALETTE_ERROR = 2.0  # root mean square, of 255: above it, a palette shows bands


@dataclass(frozen=True)
class EncodedImage:
    """An encoded image."""

    data: bytes
    mime: str  # `image/png`, `image/webp` or `image/jpeg`
    width: int  # in pixels, as encoded
    height: int
    inches: float  # intended width


def encode_all(blocks: Iterable[Block], *, printed: bool = False) -> dict[str, EncodedImage | str]:
    """What `encode` returns for each figure among the blocks, by path."""
    paths = sorted({block.path for block in blocks if block.kind == "figure"})
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(paths, pool.map(partial(encode, printed=printed), map(Path, paths)), strict=True))


def encode(path: Path, *, printed: bool = False) -> EncodedImage | str:
    """Makes an image small: at most `MAX_WIDTH` pixels wide, on white, as a PNG with a palette or as WebP.

    A palette keeps the edges of line art, which has few colours, but loses too much of photos, which have many.
    `printed` writes JPEG instead of WebP, which a PDF can't hold. Returns a sentence if the file is missing or not an
    image.
    """
    try:
        with Image.open(path) as image:
            rgb = _on_white(image)
    except FileNotFoundError:
        return f"The image {path.name} is gone."
    except (OSError, SyntaxError, Image.DecompressionBombError):  # SyntaxError: Pillow's for a broken PNG
        return f"The image {path.name} can't be read."
    inches = rgb.width / DPI
    if rgb.width > MAX_WIDTH:
        height = max(1, round(rgb.height * MAX_WIDTH / rgb.width))
        rgb = rgb.resize((MAX_WIDTH, height), Image.Resampling.LANCZOS)
    if printed:
        data, mime = _to_bytes(rgb, "JPEG", quality=85, subsampling=0, optimize=True), "image/jpeg"
    else:
        data, mime = _to_bytes(rgb, "WEBP", quality=82, method=4), "image/webp"
    palettized = _with_palette(rgb)
    if max(ImageStat.Stat(ImageChops.difference(rgb, palettized.convert("RGB"))).rms) <= PALETTE_ERROR:
        png = _to_bytes(palettized, "PNG", optimize=True)
        if len(png) <= len(data):
            data, mime = png, "image/png"
    return EncodedImage(data, mime, rgb.width, rgb.height, inches)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _with_palette(image: Image.Image) -> Image.Image:
    palettized = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    # an octree averages each bin: a bin that is nearly white would leave a grey box on white paper
    palettized.putpalette([255 if value >= 248 else value for value in palettized.getpalette() or []])
    return palettized


def _to_bytes(image: Image.Image, form: str, **options: int | bool) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
