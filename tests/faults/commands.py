"""The commands that faults are tried on, and where they begin."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lit_a1.data import catsdogs
from lit_a1.data.files import write_text
from lit_a1.report.document import Block, Document, Section
from lit_a1.runs.records import RECORD_FILE, record_of, write_json
from tests.commands.test_search import SMALL as SMALL_TRIAL
from tests.faults.forked import Ended, run
from tests.mlp.test_loop import SMALL as SMALL_MLP
from tests.test_training import SMALL

CNN = [
    *SMALL, "--data.size_schedule", "{0: 8}", "--data.batch_size", "32", "--model.widths", "[4,8]",
    "--trainer.log_every_n_steps", "2", "--model.dropout", "0.3", "--data.augment.cutout", "0.3",
]  # fmt: skip
FIT = ["fit", *CNN, "--trainer.max_epochs", "2"]
MLP = ["mlp", "fit", *SMALL_MLP, "--trainer.max_epochs", "2"]
SEARCH = [
    "search", *SMALL_TRIAL, "--data.size", "8", "--data.batch_size", "32", "--space", "space.yaml", "--trials", "2",
    "--trainer.max_epochs", "1",
]  # fmt: skip
COMMANDS = {
    "fit": FIT,
    "mlp": MLP,
    "search": SEARCH,
    "predict": ["predict", *CNN, "--ckpt_path", "last"],
    "report": ["report"],
    "cache": ["validate", *CNN, "--ckpt_path", "last"],  # which needs all photos
    "audit": ["audit"],
}
SPACE = "model.lr: {low: 0.001, high: 0.3, log: true}\n"
AFTER_FIT = {"predict": ["submission.csv"], "report": ["report/report.html"], "cache": []}  # what earlier ones left
BUILT: dict[str, Any] = {}  # by a process, once: data, folders that commands begin in, what they leave there


def train(arguments: list[str], folder: Path, report: Callable[[int, float], bool], *, quiet: bool) -> dict[str, Any]:
    """A trial, as good as its learning rate is near to 0.05."""
    rate = float(arguments[arguments.index("--model.lr") + 1])
    row = {"epoch": 0, "step": 1, "val/error": abs(rate - 0.05), "val/loss": 1.0}
    report(1, row["val/error"])
    record = record_of([row], settings={}, parameters=5, images={"train": 64, "val": 16})
    write_json(folder / RECORD_FILE, record)
    return record


class Begin:
    """Makes folders that commands begin in."""

    def __init__(self, work: Path) -> None:
        self.work, self.number = work, itertools.count()

    def __call__(self, name: str) -> Path:
        folder = self.work / f"{name}{next(self.number)}"
        if name in ("first", "audit"):
            folder.mkdir()
        elif name in AFTER_FIT:
            shutil.copytree(self.ended("fit")[0], folder)
        else:
            shutil.copytree(self.ended("first")[0] / "cache", folder / "cache")
            Path(folder, "space.yaml").write_text(SPACE)
        if name == "cache":
            shutil.rmtree(folder / "cache")
        for old in AFTER_FIT.get(name, ()):
            Path(folder, old).parent.mkdir(exist_ok=True)
            Path(folder, old).write_text("id,label\n")
        return folder

    def ended(self, name: str) -> tuple[Path, int]:
        """The folder that a command has ended in, and how much it did to files."""
        if name not in BUILT:
            folder = self(name)
            BUILT[name] = folder, done(run(COMMANDS.get(name, FIT), folder)).count
        return BUILT[name]


@pytest.fixture
def begun(
    course_photos: Callable[..., Path], mnist_files: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Begin:  # fmt: skip
    if "data" not in BUILT:
        BUILT["data"] = mnist_files(course_photos() / "mnist", train=240, test=30).parent
    monkeypatch.setenv("LIT_A1_DATA", str(BUILT["data"]))
    monkeypatch.setenv("LIT_A1_CACHE", "cache")
    monkeypatch.setattr(catsdogs, "COURSE_TEST_IMAGES", 12)
    section = Section("Words", "words", blocks=[Block("text", "More *words*.")])
    for place, value in {  # what takes time, and writes nothing
        "lit_a1.report.build.document": lambda *_: Document("A report", [], [], [section]),
        "lit_a1.callbacks.tensorboard.TensorBoardExtras._add_graph": lambda *_: None,
        "lit_a1.studies.search.cnn.train": train,  # as fit, whose files are looked at by themselves
        "lit_a1.studies.search.cnn.check_space": lambda *_: None,
        "lit_a1.studies.search.results.draw": lambda path, *_: write_text(path, "a figure"),
    }.items():
        monkeypatch.setattr(place, value)
    return Begin(tmp_path)


def done(ended: Ended) -> Ended:
    """The same, of a command that has done what it should."""
    assert ended.status == 0, ended.said
    assert "Traceback" not in ended.said, ended.said
    return ended


def refused(ended: Ended) -> Ended:
    """The same, of one that has ended in a sentence."""
    lines = ended.said.strip().splitlines()
    assert ended.status in (1, 2), ended.said
    assert "Traceback" not in ended.said, ended.said
    assert [line.startswith("error: ") for line in lines].count(True) == 1, ended.said
    assert lines[-1].startswith("error: "), ended.said
    return ended
