"""What the numpy network reads and writes, and what it says to bad arguments, images, labels and files."""

import functools
import gc
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_a1.mlp.network import NN
from tests.mlp import networks
from tests.mlp.networks import every_dtype

small = functools.partial(networks.small, input_dim=4, n_classes=3, batch_size=5, dtype="float32")


def examples(rows: int = 12, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    return networks.examples(small(dtype=dtype), rows)


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """A ValueError of one sentence with all these words."""
    with pytest.raises(ValueError, match=r".") as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    assert [word for word in words if word not in message] == [], message


# saved networks

EVERYTHING = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "dropout": 0.3, "input_dropout": 0.1}


@every_dtype
@pytest.mark.parametrize("decay", ["constant", "linear", "cosine", "exponential"])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(dtype: str, decay: str, tmp_path: Path) -> None:
    def network() -> NN:
        return small(7, 6, lr_decay=decay, epochs=4, dtype=dtype, model_path=str(tmp_path / "w.npz"), **EVERYTHING)

    data, uninterrupted, first, second = examples(dtype=dtype), network(), network(), network()
    figures = [uninterrupted.train(*data) for _ in range(4)]
    assert [first.train(*data) for _ in range(2)] == figures[:2]
    first.save()
    second.load()
    assert (second.epoch, second.step) == (2, 6)
    assert [second.train(*data) for _ in range(2)] == figures[2:]
    for one, other in ((uninterrupted.parameters, second.parameters), (uninterrupted.velocity, second.velocity)):
        assert one.dtype == dtype
        assert one.tobytes() == other.tobytes()
    assert uninterrupted.test(*data) == second.test(*data)


def test_a_saved_network_names_its_parts_and_is_read_in_mode_test(tmp_path: Path) -> None:
    net, path = small(7, momentum=0.9), str(tmp_path / "w.npz")
    net.train(*examples())
    net.save(path, note=np.array("mine"))
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert set(arrays) == {"w1", "b1", "w2", "b2", "dims", "nonlinearity", "done", "velocity", "note"}
    assert arrays["dims"].tolist() == [4, 7, 3]
    assert arrays["done"].tolist() == [1, 3]
    assert np.array_equal(arrays["w2"], net.weights[1])

    read = small(7, mode="test", model_path=path, seed=9, dropout=0.5)
    assert read.test(*examples()) == net.test(*examples())
    with refused("mode 'test'", "mode 'train'"):
        read.train(*examples())
    with refused("no file", "nothing.npz"):
        small(7, mode="test", model_path=str(tmp_path / "nothing.npz"))
    with refused("model_path", "got None"):
        small(7, mode="test")
    with refused("model_path", "got None"):
        small(7).save()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_dims": (8,)}, ["4-7-3 with relu", "4-8-3 with relu"]),
        ({"hidden_dims": (7, 7), "n_hidden": 2}, ["4-7-3 with relu", "4-7-7-3 with relu"]),
        ({"input_dim": 9}, ["4-7-3 with relu", "9-7-3 with relu"]),
        ({"n_classes": 10}, ["4-7-3 with relu", "4-7-10 with relu"]),
        ({"nonlinearity": "gelu"}, ["4-7-3 with relu", "4-7-3 with gelu"]),
    ],
    ids=str,
)
def test_a_file_of_another_network_is_refused(changes: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    small(7).save(path := str(tmp_path / "w.npz"))
    settings = {"hidden_dims": (7,), "n_hidden": 1, "input_dim": 4, "n_classes": 3, "parameter_range": (1, 999)}
    net = NN(**settings | changes)
    before = net.parameters.copy()
    with refused("w.npz", *words):
        net.load(path)
    assert np.array_equal(net.parameters, before)


def rewrite(path: Path, **changes: np.ndarray | None) -> None:
    """Replaces arrays of a `.npz` file, or takes them away where None."""
    arrays = dict(np.load(path)) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


np.save(LONE_ARRAY := io.BytesIO(), np.zeros((4, 7)))
DAMAGES: dict[str, Callable[[Path, bytes], Any]] = {
    "missing": lambda path, data: path.unlink(),
    "empty": lambda path, data: path.write_bytes(b""),
    "text": lambda path, data: path.write_bytes(b"epoch,loss\n"),
    "cut": lambda path, data: path.write_bytes(data[: len(data) // 2]),
    "head": lambda path, data: path.write_bytes(data[:10]),
    "flipped bits": lambda path, data: path.write_bytes(data[:200] + bytes([data[200] ^ 255]) + data[201:]),
    "lone array": lambda path, data: path.write_bytes(LONE_ARRAY.getvalue()),
    "no velocity": lambda path, data: rewrite(path, velocity=None),
    "NaN": lambda path, data: rewrite(path, w2=np.full((7, 3), np.nan)),
    "shape": lambda path, data: rewrite(path, b2=np.zeros(4)),
}
REFUSALS = {"missing": "no file", "no velocity": "velocity", "NaN": "that are not finite", "shape": "w.npz is damaged"}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_is_refused(how: str, tmp_path: Path) -> None:
    small(7).save(str(path := tmp_path / "w.npz"))
    DAMAGES[how](path, path.read_bytes())
    with refused("w.npz", REFUSALS.get(how, "is not a .npz file")):
        small(7).load(str(path))
    gc.collect(1)  # a file left open is a warning, which is an error


# the data file


def write(path: Path, train: int = 30, test: int = 9, **changes: Any) -> str:
    """A file as mnist.npz, of images of 2 x 2; `changes` replace arrays, or take them away where None."""
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 256, (train, 2, 2), np.uint8), "y_train": np.arange(train, dtype=np.uint8) % 3}
    arrays |= {"x_test": rng.integers(0, 256, (test, 2, 2), np.uint8), "y_test": np.arange(test, dtype=np.uint8) % 3}
    np.savez(path, **{name: array for name, array in (arrays | changes).items() if array is not None})
    return str(path)


@every_dtype
def test_train_and_test_read_the_data_file(dtype: str, tmp_path: Path) -> None:
    x = np.random.default_rng(5).integers(0, 256, (30, 2, 2), np.uint8)
    path = write(tmp_path / "mnist.npz", x_train=x)
    by_file, by_arrays = small(7, datapath=path, dtype=dtype), small(7, dtype=dtype)
    data = by_file.data
    assert {part: len(labels) for part, (_, labels) in data.items()} == {"train": 25, "valid": 5, "test": 9}
    pixels = np.concatenate([data["train"][0], data["valid"][0]])
    assert pixels.dtype == dtype
    np.testing.assert_allclose(pixels, x.reshape(30, 4) / 255, rtol=1e-6)
    assert by_file.train() == by_arrays.train(pixels[:25], np.arange(25) % 3)
    assert by_file.test() == by_arrays.test(*data["test"])
    assert by_file.test(*data["valid"]) == by_arrays.test(pixels[25:], np.arange(25, 30) % 3)
    assert by_file.parameters.tobytes() == by_arrays.parameters.tobytes()


@pytest.mark.parametrize(("count", "valid"), [(70_000, 10_000), (11, 1), (5, 1)])
def test_the_last_sixth_validates_but_never_more_than_ten_thousand(count: int, valid: int, tmp_path: Path) -> None:
    data = small(7, datapath=write(tmp_path / "mnist.npz", train=count)).data
    assert [len(data[part][1]) for part in ("train", "valid", "test")] == [count - valid, valid, 9]


BLACK, ZEROS = np.zeros((30, 2, 2), np.uint8), np.zeros(30, np.uint8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, ["mnist.npz", "y_test"]),
        ({"x_train": BLACK / 255}, ["uint8", "float64"]),
        ({"x_train": BLACK.reshape(20, 6)}, ["rows of 4 pixels", "(17, 6)"]),
        ({"y_train": ZEROS[1:]}, ["25 integers"]),
        ({"y_train": ZEROS[:, None]}, ["25 integers"]),
        ({"y_train": ZEROS / 2}, ["integers", "float64"]),
        ({"y_test": np.full(9, 3)}, ["from 0 to 2", "got 3"]),
        ({"x_train": np.array([{}])}, ["mnist.npz", "pickle"]),
        ({"x_train": BLACK[:1], "y_train": ZEROS[:1]}, ["images"]),
        ({"x_train": np.uint8(0)}, ["mnist.npz must hold images and labels; x_train is a single number"]),
        ({"y_test": np.uint8(0)}, ["y_test is a single number"]),
        ({"x_test": BLACK[:0], "y_test": ZEROS[:0]}, ["images"]),
    ],
    ids=lambda value: "-".join(value),
)
def test_a_data_file_that_does_not_fit_is_refused(changes: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with refused(*words):
        small(7, datapath=write(tmp_path / "mnist.npz", **changes)).train()


def test_without_data_there_is_nothing_to_train_on() -> None:
    for work in (small(7).train, small(7).test):
        with refused("datapath", "x_train", "got None"):
            work()
    with refused("no file", "mnist.npz"):
        small(7, datapath="mnist.npz").test()
    Path("mnist.npz").write_text("not numbers")
    with refused("mnist.npz", "not a .npz file"):
        small(7, datapath="mnist.npz").test()


# arguments

X, Y = examples()


def with_pixels(*values: float) -> np.ndarray:
    x = X.copy()
    x.flat[: len(values)] = values
    return x


@pytest.mark.parametrize("work", ["train", "test"])
@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (X, np.where(Y == 0, 3, Y), ["from 0 to 2", "got 3"]),
        (X, np.where(Y == 0, -1, Y), ["from 0 to 2", "got -1"]),
        (X, Y.astype(float), ["integers", "float64"]),
        (X, Y > 0, ["integers", "bool"]),
        (X, Y[:-1], ["12 integers", "(11,)"]),
        (X, np.eye(3, dtype=int)[Y], ["12 integers", "(12, 3)"]),
        (X, None, ["12 integers", "no labels"]),
        (X[:, :3], Y, ["rows of 4 pixels", "(12, 3)"]),
        (X.reshape(12, 2, 2), Y, ["rows of 4 pixels", "(12, 2, 2)"]),
        (X[0], Y, ["rows of 4 pixels", "(4,)"]),
        (X[:0], Y[:0], ["rows of 4 pixels", "(0, 4)"]),
        (X.astype(float), Y, ["float32", "float64"]),
        (X.astype(np.uint8), Y, ["float32", "uint8"]),
        (with_pixels(np.nan), Y, ["finite", "NaN"]),
        (with_pixels(-np.inf), Y, ["finite", "infinity"]),
        (with_pixels(np.inf, -np.inf), Y, ["finite"]),
    ],
)
def test_bad_examples_are_refused(work: str, images: np.ndarray, labels: np.ndarray, words: list[str]) -> None:
    net = small(7)
    before = net.parameters.copy()
    with refused(*words):
        getattr(net, work)(images, labels)
    assert np.array_equal(net.parameters, before)
    assert (net.epoch, net.step) == (0, 0)


OUTSIDE = {
    ("lr", "weight_decay", "lr_decay_rate"): (-0.1, np.nan, np.inf),
    ("momentum", "dropout", "input_dropout"): (-0.1, 1.0, np.nan),
    ("epochs", "batch_size", "input_dim", "n_classes"): (0, -2),
    ("seed",): (-1,),
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_hidden": 2}, ["n_hidden", "1", "got 2"]),
        ({"hidden_dims": (0,)}, ["hidden_dims", "got 0"]),
        ({"hidden_dims": (-5,)}, ["hidden_dims", "got -5"]),
        ({"mode": "valid"}, ["train, test", "'valid'"]),
        ({"nonlinearity": "swish"}, ["relu, leaky_relu, tanh, sigmoid, gelu", "'swish'"]),
        ({"initialization": "he"}, ["zero, normal, glorot", "'he'"]),
        ({"lr_decay": "step"}, ["constant, linear, cosine, exponential", "'step'"]),
        ({"dtype": "float16"}, ["float32, float64", "'float16'"]),
        *(({name: value}, [name, f"got {value}"]) for names in OUTSIDE for name in names for value in OUTSIDE[names]),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(changes: dict[str, Any], words: list[str]) -> None:
    with refused(*words):
        NN(**{"hidden_dims": (7,), "n_hidden": 1, "parameter_range": (1, 10**6)} | changes)
