"""Fixtures that all tests share. No test needs a network, and none writes outside its own temporary folder."""

import os

# two threads are slower for arrays this small; figures are files
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
os.environ["TORCHINDUCTOR_VEC_ISA_OK"] = "0"  # kernels are the same for every processor, and none is tried out

import contextlib
import csv
import functools
import gc
import gzip
import importlib
import io
import itertools
import json
import logging
import signal
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from lit_a1.cli import main
from lit_a1.data import catsdogs, mnist
from lit_a1.data.errors import DataError
from lit_a1.runs import plotting
from tests.signals import signal_at

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = REPOSITORY / "configs"
CNN = [  # options of a network that trains in seconds on a processor
    "--model.widths", "[4,8]", "--model.blocks", "[1]", "--model.compile_net", "false",
    "--trainer.accelerator", "cpu", "--trainer.precision", "32-true",
]  # fmt: skip
REAL_DATA = Path(os.environ["LIT_A1_DATA"]).resolve() if os.environ.get("LIT_A1_DATA") else None

Background = Callable[..., subprocess.Popen[str]]
Capture = pytest.CaptureFixture[str]
Refusal = Callable[..., str]

torch.set_num_threads(1)
gc.freeze()  # Lightning often collects garbage, and imported modules are none


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder, without the caller's data and caches, from the same seed."""
    folder = tmp_path_factory.mktemp("cwd")
    monkeypatch.chdir(folder)
    for name in ("LIT_A1_DATA", "LIT_A1_CACHE", "PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIT_A1_COMMIT", "0123456789")  # whatever this checkout is, or is not
    monkeypatch.setattr(plotting, "DPI", 50)  # of figures, which `full_size` undoes
    torch.manual_seed(0)
    ours = logging.getLogger("lit_a1")  # as it is before a command of another test has set it
    ours.handlers.clear()
    ours.setLevel(logging.NOTSET)
    return folder


@pytest.fixture
def full_size(in_a_folder_of_its_own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures as large as they are printed."""
    monkeypatch.setattr(plotting, "DPI", 200)


def _real(path: str) -> Path:
    if REAL_DATA is None or not (REAL_DATA / path).exists():
        pytest.skip(f"needs the real data: set LIT_A1_DATA to the folder that holds {path}")
    return REAL_DATA


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data, with the course's photos in it."""
    return _real("catsdogs/trainset.zip")


@pytest.fixture
def real_mnist(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the real data, with MNIST in it; LIT_A1_DATA names it."""
    root = _real("mnist/train-images-idx3-ubyte.gz")
    monkeypatch.setenv("LIT_A1_DATA", str(root))
    return root


@pytest.fixture(scope="session")
def decoded_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the course's photos are decoded to, once for all tests."""
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture
def few_drawn(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many images there are of each part where they are drawn."""
    return draw_few(monkeypatch)


def draw_few(patch: pytest.MonkeyPatch) -> int:
    """Has few images drawn, as the usual thousands take long; returns how many of each part."""
    for module, name in itertools.product((catsdogs, mnist), ("DRAWN_TRAIN", "DRAWN_VALID", "DRAWN_TEST")):
        patch.setattr(module, name, 40)
    return 40


def read_csv(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails."""
    unreachable = Mock(side_effect=DataError("The server cannot be reached."))
    monkeypatch.setattr(catsdogs, "fetch", unreachable)
    monkeypatch.setattr(mnist, "fetch_mnist", unreachable)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of a file."""
    image.save(file := io.BytesIO(), form, **options)
    return file.getvalue()


def photo(label: int, rng: np.random.Generator) -> bytes:
    """A JPEG of 64x64 pixels that a network learns at once: cats are reddish above, dogs bluish, with noise."""
    image = rng.integers(0, 96, (64, 64, 3))
    image[:32, :, 2 * label] += 128
    return encoded(Image.fromarray(image.astype(np.uint8)), "JPEG", quality=95)


@pytest.fixture
def course_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes the course's two zip files, small, in a folder that LIT_A1_DATA then names."""

    def make(per_class: int = 40, test: int = 12) -> Path:
        rng = np.random.default_rng(0)
        root = tmp_path / "photos"
        (root / "catsdogs").mkdir(parents=True)
        with zipfile.ZipFile(root / "catsdogs" / "trainset.zip", "w") as archive:
            for label, name in enumerate(("Cat", "Dog")):
                for number in range(1, per_class + 1):
                    archive.writestr(f"trainset/{name}/{number}.{name}.jpg", photo(label, rng))
        with zipfile.ZipFile(root / "catsdogs" / "testset.zip", "w") as archive:
            for number in range(1, test + 1):
                archive.writestr(f"testset/test/{number}.jpg", photo(number % 2, rng))
        monkeypatch.setenv("LIT_A1_DATA", str(root))
        monkeypatch.setenv("LIT_A1_CACHE", str(tmp_path / "cache"))
        return root

    return make


@pytest.fixture
def photos(course_photos: Callable[..., Path]) -> Path:
    """The folder of the course's two zip files, made small."""
    return course_photos()


def write_idx(path: Path, array: np.ndarray) -> Path:
    """Writes uint8 values as an IDX file, packed with gzip where the name ends in .gz."""
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def mnist_files() -> Callable[..., Path]:
    """Makes MNIST's four files, small: noise with one of ten bright bars, which a network learns at once."""

    def make(folder: Path, train: int = 60, test: int = 20, gz: bool = True) -> Path:
        rng = np.random.default_rng(0)
        for part, count in (("train", train), ("t10k", test)):
            images, labels = rng.integers(0, 96, (count, 28, 28)), np.arange(count) % 10
            for image, label in zip(images, labels, strict=True):
                image[4 + 2 * label : 6 + 2 * label, 4:24] += 128
            write_idx(folder / f"{part}-images-idx3-ubyte{'.gz' if gz else ''}", images)
            write_idx(folder / f"{part}-labels-idx1-ubyte{'.gz' if gz else ''}", labels)
        return folder

    return make


@pytest.fixture
def refusal(capsys: Capture) -> Refusal:
    """Runs a command that must be refused, and returns the sentence."""

    def refused(*arguments: str) -> str:
        with pytest.raises(SystemExit) as leaving:
            main(list(arguments))
        assert leaving.value.code not in (0, None)
        said = capsys.readouterr().err.strip().splitlines()
        assert said[-1].startswith("error: "), said
        assert len(said[-1]) < 400, said[-1]
        return said[-1]

    return refused


def edit_record(run: Path, **changed: object) -> None:
    """Replaces values in the record of a run."""
    path = run / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What a run's event files hold: (step, value) of each point of a curve, by tag."""
    events = EventAccumulator(str(run)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a script of docs/ by its name, anew for each test."""
    monkeypatch.syspath_prepend(REPOSITORY / "docs")

    def imported(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return imported


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """`compile_net` traces a network and stops there: the C++ compiler would take half a minute."""
    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend="aot_eager"))


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """As `signal_at`, for a test."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    yield functools.partial(signal_at, patch=monkeypatch.setattr)
    signal.signal(signal.SIGINT, handler)


KILLED = """
import signal, sys
from lit_a1.cli import main
from tests.signals import signal_at
signal_at(*sys.argv[1:3], int(sys.argv[3]), signal.SIGKILL)
main(sys.argv[4:])
"""


@pytest.fixture
def in_background() -> Iterator[Background]:
    """Starts `python main.py` with some arguments in a process of its own, which ends with the test.

    `killed_at`, a class, its method and a count as `signal_at` takes them, has it killed there.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, killed_at: tuple[str, str, int] | None = None) -> subprocess.Popen[str]:
        program = [str(REPOSITORY / "main.py")] if killed_at is None else ["-c", KILLED, *map(str, killed_at)]
        process = subprocess.Popen(
            [sys.executable, *program, *arguments], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):  # a group outlives its first process
            os.killpg(process.pid, signal.SIGKILL)
        with process:  # closes its output, and waits
            pass
