"""Reads and writes the numpy network's `.npz` files of weights and of images, and checks images."""

import numpy as np
from numpy.typing import NDArray

from lit_a1.mlp.functions import Array, Labels

VALIDATION = 10_000  # the last images of the training file
MOST_BYTES = 1 << 30  # largest size of a file's arrays; a few bytes can pack endless zeros
DATA = ("x_train", "y_train", "x_test", "y_test")


def read_arrays(path: str, names: tuple[str, ...]) -> list[np.ndarray]:
    """Arrays of a `.npz` file, by name."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:  # noqa: PTH123  (numpy alone)
            if sum(entry.file_size for entry in arrays.zip.infolist()) > MOST_BYTES:
                raise ValueError(f"they have more than {MOST_BYTES:,} bytes")
            return [arrays[name] for name in names]
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {path}") from error
    except KeyError as error:
        raise ValueError(f"{path} must hold {', '.join(names)}: {error.args[0]}") from error
    except Exception as error:  # zipfile has its own errors, and this module imports only numpy
        raise ValueError(f"{path} is not a .npz file of arrays: {error}") from error


def write_arrays(path: str | None, arrays: dict[str, np.ndarray]) -> None:
    """Writes a `.npz` file."""
    if path is None:
        raise ValueError("model_path must name a .npz file to save to; got None")
    with open(path, "wb") as file:  # noqa: PTH123  (numpy alone)
        np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes one of them for `allow_pickle`


def read_network(path: str | None, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays that `NN.save` wrote, if they have the names, shapes and kinds of those in `like`."""
    if path is None:
        raise ValueError("model_path must name a .npz file that `save` wrote; got None")
    architectures = (read_arrays(path, ("dims", "nonlinearity")), (like["dims"], like["nonlinearity"]))
    found, expected = (f"{'-'.join(map(str, dims))} with {nonlinearity}" for dims, nonlinearity in architectures)
    if found != expected:
        raise ValueError(f"{path} holds a network {found}; {expected} was expected")
    arrays = dict(zip(like, read_arrays(path, tuple(like)), strict=True))
    for name, array in arrays.items():
        if (array.shape, array.dtype.kind) != (like[name].shape, like[name].dtype.kind):
            raise ValueError(f"{path} is damaged: its arrays have another shape or kind of numbers")
        if array.dtype.kind == "i" and array.min() < 0:
            raise ValueError(f"{path} is damaged: it has {array.min()} {'epochs or steps' if name == 'done' else name}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{path} holds weights that are not finite: its training had diverged")
    return arrays


def read_data(path: str | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels of a file like `mnist.npz`: `train`, `valid` (the end of the training file) and `test`."""
    if path is None:
        raise ValueError(f"datapath must name a .npz file with {', '.join(DATA[:-1])} and {DATA[-1]}; got None")
    arrays = read_arrays(path, DATA)
    if single := [name for name, array in zip(DATA, arrays, strict=True) if not array.ndim]:
        raise ValueError(f"{path} must hold images and labels; {single[0]} is a single number")
    x, y, x_test, y_test = arrays
    held_out = min(VALIDATION, max(1, len(x) // 6))
    return {"train": (x[:-held_out], y[:-held_out]), "valid": (x[-held_out:], y[-held_out:]), "test": (x_test, y_test)}


def to_pixels(images: NDArray[np.uint8], dtype: str) -> Array:
    """Images (N, ...) uint8 as rows (N, pixels) from 0 to 1."""
    if images.dtype != np.uint8:
        raise ValueError(f"images must be uint8, from 0 to 255; got {images.dtype}")
    return np.divide(images.reshape(len(images), int(np.prod(images.shape[1:]))), 255, dtype=dtype)


def check_examples(images: Array, labels: Labels | None, dims: tuple[int, ...], dtype: str) -> tuple[Array, Labels]:
    """Returns both, or raises a ValueError if a network of these layers can't be trained or tested with them."""
    if images.ndim != 2 or images.shape[1] != dims[0] or len(images) == 0:
        raise ValueError(f"images must be rows of {dims[0]} pixels; got an array of shape {images.shape}")
    if images.dtype != dtype:
        raise ValueError(f"images must be {dtype}; got {images.dtype}")
    if labels is None or labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        shape = "no labels" if labels is None else f"{labels.dtype} of shape {labels.shape}"
        raise ValueError(f"labels must be {len(images)} integers, one per image; got {shape}")
    if labels.min() < 0 or labels.max() >= dims[-1]:
        wrong = labels[(labels < 0) | (labels >= dims[-1])][0]
        raise ValueError(f"labels must be from 0 to {dims[-1] - 1}; got {wrong}")
    if not np.isfinite([images.min(), images.max()]).all():
        raise ValueError("images must be finite numbers; got NaN or infinity")
    return images, labels
