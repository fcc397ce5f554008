"""Decodes an image of any size, mode and rotation to a uint8 array of size x size RGB."""

import contextlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from lit_a1.data.errors import DataError

SUFFIXES_OF = {  # the accepted formats; Pillow's others are refused (EPS runs Ghostscript)
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
SUFFIXES = frozenset(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
MAX_PIXELS = 100_000_000
ENORMOUS = 25_000_000  # pixels: larger images are decoded one at a time; those of all threads would not fit in memory
_ONE_AT_A_TIME = threading.Lock()
_DRAFT = 3  # a large JPEG is decoded at reduced size, at least this many times the target size


class DecodeError(DataError):
    """Why a file is not a usable image, in a few words that follow the file's name: `it is truncated`."""


@dataclass(frozen=True)
class Header:
    """What an image's file declares before it is decoded."""

    format: str
    mode: str
    width: int
    height: int
    orientation: int = 1  # EXIF's; 2 to 8 mean turned or mirrored


def decode(data: bytes, size: int = 64) -> NDArray[np.uint8]:
    """Decodes an image, turns it upright, and scales and crops its centre to a square.

    The largest centred square is resampled by Pillow's bilinear filter, which averages when shrinking, like
    torchvision's `Resize`. An image that already is size x size is returned exactly as decoded. Transparent images are
    laid on white. 16-bit greyscale (modes `I;16...`) is scaled so that 65535 is white. In other integer and
    floating-point images, white is the smallest of 1, 255 and 65535 that no value exceeds, or else the largest value.
    The result is (size, size, 3), RGB.

    Raises:
        DecodeError: the bytes are not an image, are cut short or damaged, or declare more than `MAX_PIXELS` (checked
            before decoding).
    """
    with _opened(data) as image:
        image.draft(None, (_DRAFT * size, _DRAFT * size))  # affects JPEG only
        with _ONE_AT_A_TIME if image.width * image.height > ENORMOUS else contextlib.nullcontext():
            image.load()
            with contextlib.suppress(Exception):  # a damaged EXIF block does not make an image unreadable
                ImageOps.exif_transpose(image, in_place=True)
            rgb = _to_rgb(image)
            if rgb.size != (size, size):
                rgb = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
            return np.array(rgb)


def read_heif() -> None:
    """Accepts HEIC, which phones write, if the package pillow-heif is installed."""
    with contextlib.suppress(ModuleNotFoundError):
        from pillow_heif import register_heif_opener

        register_heif_opener(thumbnails=False)
        SUFFIXES_OF["HEIF"] = (".heic", ".heif", ".hif")


def read_header(data: bytes) -> Header:
    """Reads what the file declares, without decoding the image; raises as `decode`, if the header shows the problem."""
    with _opened(data) as image:
        orientation = 1
        with contextlib.suppress(Exception):
            orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
        return Header(image.format or "", image.mode, image.width, image.height, orientation)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The opened image; any error of Pillow becomes a DecodeError."""
    if not data:
        raise DecodeError("it is empty")
    try:
        with Image.open(io.BytesIO(data), formats=tuple(SUFFIXES_OF)) as image:
            if image.width * image.height > MAX_PIXELS:
                shape = f"{image.width} x {image.height}"
                raise DecodeError(f"it declares {shape} pixels, more than the {MAX_PIXELS:,} allowed")
            yield image
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"it is not an image of a format that is read ({', '.join(SUFFIXES_OF)})") from None
    except MemoryError:
        raise DecodeError("it needs more memory than there is") from None
    except Image.DecompressionBombError:
        raise DecodeError(f"it declares more pixels than the {MAX_PIXELS:,} allowed") from None
    except Exception as error:  # a damaged file can make Pillow raise nearly anything
        truncated = isinstance(error, EOFError) or "truncated" in str(error).lower()
        raise DecodeError("it is truncated" if truncated else f"it cannot be decoded ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return _scaled_to_bytes(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _scaled_to_bytes(image: Image.Image) -> Image.Image:
    """A greyscale image of 16 or 32 bits or floats, as 8 bits."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if image.mode.startswith("I;16"):
        top = 65535.0
    else:
        top = next((top for top in (1.0, 255.0, 65535.0) if values.max() <= top), float(values.max()))
    return Image.fromarray((values.clip(0, top) * (255 / top) + 0.5).astype(np.uint8))
