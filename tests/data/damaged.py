"""Pictures as they come to grief, and what only calls itself one: bytes by name."""

import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import encoded

SIDE = 48


def picture(seed: int = 0, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def png(width: int, height: int, depth: int, kind: int, rows: bytes | None = None) -> bytes:
    """A PNG of one's own making: any size, bit depth and kind of colour; without `rows`, next to no data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 10 if rows is None else rows, 1))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def intact_pictures() -> dict[str, bytes]:
    """One picture in every format that is read, which the damage is done to."""
    forms = {"bmp": "BMP", "gif": "GIF", "jpg": "JPEG", "png": "PNG", "ppm": "PPM", "tif": "TIFF", "webp": "WEBP"}
    found = {f"whole.{suffix}": encoded(picture(), form) for suffix, form in forms.items()}
    found["progressive.jpg"] = encoded(picture(), "JPEG", progressive=True, quality=95)
    found["packed.tif"] = encoded(picture(), "TIFF", compression="tiff_lzw")
    return found


def rare_pictures() -> dict[str, bytes]:
    """Pictures of kinds that are rare, and sound."""
    frames = [picture(seed) for seed in range(3)]
    more = {"save_all": True, "append_images": frames[1:]}
    grey16 = Image.fromarray(np.linspace(0, 65535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE))
    sixteen = np.random.default_rng(1).integers(0, 256, (SIDE, 1 + SIDE * 6), dtype=np.uint8)
    sixteen[:, 0] = 0  # the filter of each row
    exif = Image.Exif()
    exif[0x0112] = 77  # an orientation that there is not
    rgb, one = picture(), Image.new("RGB", (1, 1), (9, 99, 200))
    return {
        "animated.gif": encoded(frames[0], "GIF", **more),
        "animated.png": encoded(frames[0], "PNG", **more),
        "animated.webp": encoded(frames[0], "WEBP", **more),
        "pages.tif": encoded(frames[0], "TIFF", **more),
        "stereo.jpg": encoded(frames[0], "MPO", **more),
        "palette.png": encoded(rgb.quantize(7), "PNG"),
        "palette.bmp": encoded(rgb.quantize(7), "BMP"),
        "16 bits.png": encoded(grey16, "PNG"),
        "16 bits of three colours.png": png(SIDE, SIDE, 16, 2, sixteen.tobytes()),
        "16 bits.tif": encoded(grey16, "TIFF"),
        "floats.tif": encoded(rgb.convert("F"), "TIFF"),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "cmyk.tif": encoded(rgb.convert("CMYK"), "TIFF"),
        "lab.tif": encoded(Image.new("LAB", (SIDE, SIDE), (128, 140, 90)), "TIFF"),
        "one bit.png": encoded(rgb.convert("1"), "PNG"),
        "see-through.png": encoded(rgb.convert("RGBA"), "PNG"),
        "see-through grey.png": encoded(rgb.convert("LA"), "PNG"),
        "no orientation.jpg": encoded(rgb, "JPEG", exif=exif),
        "another name.jpg": encoded(rgb, "PNG"),
        "followed by more.jpg": encoded(rgb, "JPEG") + b"\0" * 999,
        "wide.png": encoded(Image.new("RGB", (30_000, 1)), "PNG"),
        "tall.jpg": encoded(Image.new("RGB", (1, 30_000)), "JPEG"),
        **{f"1x1.{form.lower()}": encoded(one, form) for form in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")},
    }


def bombs() -> dict[str, bytes]:
    """Sizes beyond all memory, declared or real."""
    side = 30_000
    return {
        "bomb.png": png(side, side, 1, 0, bytes(side * (1 + side // 8))),  # 900 million pixels in 0.5 MB, and sound
        "declares.png": png(2**31 - 1, 2**31 - 1, 8, 6),
        "declares.jpg": encoded(picture(), "JPEG").replace(struct.pack(">HH", SIDE, SIDE), b"\xff\xdc" * 2),
        "declares.gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + bytes(4) + b"\xff" * 6,
        "declares.bmp": encoded(picture(), "BMP").replace(struct.pack("<ii", SIDE, SIDE), struct.pack("<ii", 2**30, 1)),
        "declares.ppm": b"P6 1000000000 1000000000 255\n" + bytes(99),
        "declares as text.ppm": b"P3 99999 99999 255\n" + b"1 " * 99,
        "declares.tif": encoded(picture(), "TIFF").replace(
            struct.pack("<HHIHH", 256, 4, 1, SIDE, 0), struct.pack("<HHII", 256, 4, 1, 2**31)
        ),
    }


def other_files() -> dict[str, bytes]:
    """What is no picture, whatever its name says."""
    return {
        "program.jpg": Path(sys.executable).resolve().read_bytes()[:200_000],
        "elf.png": b"\x7fELF\x02\x01\x01" + bytes(99),
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "paper.jpg": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "archive.jpg": b"PK\x05\x06" + bytes(18),
        "script.jpg": b"#!/bin/sh\necho touched > touched\n",
        "pickle.jpg": b"\x80\x04cos\nsystem\n(S'touch touched'\ntR.",
        "phone.jpg": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(99),
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "zeros.jpg": bytes(5000),
        "empty.jpg": b"",
        "one byte.gif": b"G",
        "noise.png": np.random.default_rng(3).bytes(5000),
        "text.bmp": "été".encode() * 99,
    }


def damaged() -> Iterator[tuple[str, bytes]]:
    """The whole pictures, truncated at every tenth, with flipped bits, holes, and bytes too many or too few."""
    rng = np.random.default_rng(22)
    for name, data in intact_pictures().items():
        for tenth in range(10):
            yield f"{tenth} tenths of {name}", data[: len(data) * tenth // 10]
        for number in range(8):
            bits = np.unpackbits(np.frombuffer(data, np.uint8))
            bits[rng.integers(0, len(bits) if number % 2 else min(len(bits), 1600), 1 + 3 * number)] ^= 1
            yield f"flipped {number} of {name}", np.packbits(bits).tobytes()
        for number in range(4):
            start = int(rng.integers(0, len(data)))
            yield f"hole {number} of {name}", data[:start] + bytes(min(200, len(data) - start)) + data[start + 200 :]
            yield f"lacking {number} of {name}", data[:start] + data[start + 7 :]
            yield f"added {number} of {name}", data[:start] + rng.bytes(7) + data[start:]


def all_of_them() -> dict[str, bytes]:
    """Everything above by name."""
    return intact_pictures() | rare_pictures() | bombs() | other_files() | dict(damaged())
