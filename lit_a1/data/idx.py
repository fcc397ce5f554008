"""Reads IDX, the format that MNIST is published in."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_a1.data.errors import DataError

GZIP = b"\x1f\x8b"
TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Reads an IDX file of uint8 values, packed with gzip or not (which its first bytes tell, not its name).

    The format: two zero bytes, a byte for the type of the values (8 is uint8), a byte for the number D of dimensions,
    D sizes as big-endian uint32, and the values with the last dimension running fastest (LeCun, Cortes and Burges,
    "The MNIST database of handwritten digits", yann.lecun.com/exdb/mnist).

    Returns:
        The values, in the shape that the file states.

    Raises:
        DataError: the file can't be read, is not IDX, holds values of another type, has fewer or more bytes than its
            sizes ask for, or holds no values at all.
    """
    data = _unpacked(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or data[3] == 0:
        start = f"it starts with the bytes {data[:4].hex(' ')}" if data else "it is empty"
        raise DataError(f"{path} is not an IDX file: {start}.")
    if TYPES[data[2]] != "uint8":
        raise DataError(f"{path} holds {TYPES[data[2]]} values; uint8 is what is read here.")
    start_of_values = 4 + 4 * data[3]
    if len(data) < start_of_values:
        raise DataError(f"{path} is cut short: it ends within the sizes of its {data[3]} dimensions.")
    sizes = tuple(np.frombuffer(data, ">u4", count=data[3], offset=4).tolist())
    wanted, have = math.prod(sizes), len(data) - start_of_values
    if have != wanted:
        problem = "is cut short" if have < wanted else "is longer than it says"
        raise DataError(f"{path} {problem}: its sizes {sizes} make {wanted:,} values, and it holds {have:,}.")
    if wanted == 0:
        raise DataError(f"{path} holds nothing: its sizes are {sizes}.")
    return np.frombuffer(data, np.uint8, offset=start_of_values).reshape(sizes).copy()  # bytes are read-only


def _unpacked(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if not data.startswith(GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} cannot be unpacked, it is damaged or cut short: {str(error).rstrip('.')}.") from error
