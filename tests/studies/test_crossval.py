"""A cross-validation whose folds are scripted: what it concludes, keeps, shares and refuses."""

import functools
import json
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from filelock import FileLock

from lit_a1.data.catsdogs import CatsDogsDataModule
from lit_a1.data.errors import DataError
from lit_a1.data.files import write_csv
from lit_a1.runs.settings import UsageError
from lit_a1.runs.statistics import wilson
from lit_a1.studies.crossval import study
from lit_a1.studies.crossval.fold import OUT_OF_FOLD
from lit_a1.studies.crossval.results import photo_table
from lit_a1.studies.crossval.study import run
from tests.conftest import CONFIGS, Capture, edit_record, read_csv

CONFIG = ["--config", str(CONFIGS / "catsdogs.yaml"), "--data.source", "drawn"]
FOLDER = Path("lightning_logs/catsdogs-crossval-drawn")
pytestmark = pytest.mark.usefixtures("few_drawn")


@functools.cache
def photos(folds: int = 4) -> pd.DataFrame:
    data = CatsDogsDataModule(source="drawn", folds=folds, fold=1)
    data.setup("fit")
    return photo_table(data)


class Trainer:
    """Stands in for the training of folds: notes which, and gives the label 90 %, the photos in `wrong` 5 %."""

    def __init__(self) -> None:
        self.trained: list[int] = []
        self.wrong: set[str] = set()
        self.stops_at = 0

    def __call__(self, arguments: Sequence[str], folder: Path, *, quiet: bool) -> None:
        _, folds, flag, number = arguments[-4:]
        assert (flag, folder.name, quiet) == ("--data.fold", f"version_{number}", bool(self.trained))
        if number == str(self.stops_at):
            raise SystemExit(1)
        self.trained.append(int(number))
        everything, rows = photos(int(folds)), []
        held_out = everything[everything["fold"] == int(number)]
        for name, label, _ in held_out.itertuples(index=False, name=None):
            p = 0.05 if name in self.wrong else 0.9
            rows.append([name, label, number, *map(str, (p, 1 - p) if label == "Cat" else (1 - p, p))])
        write_csv(folder / OUT_OF_FOLD, ["name", "label", "fold", "Cat", "Dog"], rows)
        begun = found(folder.parent)["begun"]
        settings = begun | {"data.fold": int(number), "trainer.precision": "32-true"}
        del settings["photos"]
        record = {"settings": settings, "seconds": 30.0, "machine": "AMD EPYC, 2 cores", "epochs": [{}, {}]}
        (folder / "record.json").write_text(json.dumps(record))


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    found = Trainer()
    monkeypatch.setattr(study, "train", found)
    return found


def found(folder: Path = FOLDER) -> dict:
    return json.loads((folder / "crossval.json").read_text())


def test_what_all_folds_found(trainer: Trainer, capsys: Capture) -> None:
    by_fold = {fold: part["name"].tolist() for fold, part in photos().groupby("fold")}
    trainer.wrong = {*by_fold[1][:3], by_fold[3][0]}
    assert run(CONFIG, 4) == FOLDER
    assert trainer.trained == [1, 2, 3, 4]
    left = {"crossval.json", "out_of_fold.csv", "summary.md", "suspects.png", ".locks"}
    assert {path.name for path in FOLDER.iterdir()} == left | {f"version_{fold}" for fold in by_fold}
    results = found()
    assert results["accuracy"] == 0.9
    assert results["standard_error"] == pytest.approx(sqrt(0.9 * 0.1 / 40))
    assert results["interval"] == pytest.approx(wilson(0.9, 40))
    assert results["accuracy_by_fold"] == [0.7, 1.0, 0.9, 1.0]
    assert (results["suspects"], results["accuracy_without_suspects"]) == (4, 1.0)
    rows = read_csv(FOLDER / OUT_OF_FOLD)
    assert [row["name"] for row in rows] == [name for names in by_fold.values() for name in names]
    for row in rows:
        assert row["name"] in by_fold[int(row["fold"])]
        assert float(row[row["label"]]) == (0.05 if row["name"] in trainer.wrong else 0.9)
    text = (FOLDER / "summary.md").read_text()
    assert text in capsys.readouterr().out
    assert "DRAWN" in text
    assert "| 1 | 10 | 3 | 70.00 % |" in text
    for name in trainer.wrong:
        assert f"| {name} | " in text
    assert f"--model.members '[{FOLDER}]' --data.source drawn" in text


def test_without_suspects_an_earlier_sheet_goes(trainer: Trainer) -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "suspects.png").write_bytes(b"old")
    run(CONFIG, 2)
    assert not (FOLDER / "suspects.png").exists()
    assert "suspects no label" in (FOLDER / "summary.md").read_text()


def test_finished_folds_are_kept_and_a_diverged_one_is_not(trainer: Trainer) -> None:
    trainer.stops_at = 3
    with pytest.raises(SystemExit):
        run(CONFIG, 4)
    assert not (FOLDER / "summary.md").exists()
    edit_record(FOLDER / "version_2", diverged="it did")
    trainer.trained.clear()
    trainer.stops_at = 0
    run(CONFIG, 4)
    assert trainer.trained == [2, 3, 4]
    run(CONFIG, 4)
    assert trainer.trained == [2, 3, 4]


def test_a_fold_is_taken_by_one_process_at_a_time(trainer: Trainer, capsys: Capture) -> None:
    (FOLDER / ".locks").mkdir(parents=True)
    with FileLock(FOLDER / ".locks" / "fold_2"):
        run(CONFIG, 3)
    assert trainer.trained == [1, 3]
    assert "Other processes are training these folds: 2. " in capsys.readouterr().out
    assert not (FOLDER / "summary.md").exists()
    trainer.trained.clear()
    run(CONFIG, 3)
    assert trainer.trained == [2]
    assert (FOLDER / "summary.md").exists()


def test_a_fold_that_is_left_meanwhile_is_trained_after_the_others(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (FOLDER / ".locks").mkdir(parents=True)
    other = FileLock(FOLDER / ".locks" / "fold_1")
    other.acquire()

    def train(arguments: Sequence[str], folder: Path, *, quiet: bool) -> None:
        other.release()
        trainer(arguments, folder, quiet=bool(trainer.trained))

    monkeypatch.setattr(study, "train", train)
    run(CONFIG, 2)
    assert trainer.trained == [2, 1]


@pytest.mark.parametrize(
    ("flags", "folds", "words"),
    [
        (["--model.lr", "0.05"], 3, "the crossval in .* was started with model.lr 0.03; got 0.05: name another with"),
        (["--trainer.max_epochs", "3"], 3, "started with trainer.max_epochs 96; got 3"),
        (["--seed_everything", "1"], 3, "started with seed 0; got 1"),
        (["--data.split_seed", "1"], 3, r"started with data.split_seed 6135; got 1"),
        ([], 4, "started with data.folds 3; got 4"),
    ],
)
def test_other_settings_are_refused(trainer: Trainer, flags: list[str], folds: int, words: str) -> None:
    run(CONFIG, 3)
    before = (FOLDER / "crossval.json").read_bytes()
    trainer.trained.clear()
    with pytest.raises(UsageError, match=words):
        run([*CONFIG, *flags], folds)
    assert not trainer.trained
    assert (FOLDER / "crossval.json").read_bytes() == before
    run([*CONFIG, "--trainer.precision", "32-true", "--data.workers", "1", "--trainer.check_val_every_n_epoch", "2"], 3)


def spoil(path: str, old: str = "", new: str = "{") -> Callable[[], object]:
    return lambda: (FOLDER / path).write_text((FOLDER / path).read_text().replace(old, new) if old else new)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (spoil("version_2/record.json", 'fold": 2', 'fold": 3'), UsageError, "data.fold 3; got 2: remove it"),
        (spoil("version_2/record.json", 'lr": 0.03', 'lr": 1'), UsageError, "model.lr 1; got 0.03: remove"),
        (spoil("crossval.json"), UsageError, "its crossval.json is damaged"),
        (spoil("version_1/out_of_fold.csv"), DataError, "version_1/out_of_fold.csv can't be read"),
        (spoil("version_1/out_of_fold.csv", "0.9", "high"), DataError, "version_1/out_of_fold.csv can't be read"),
        (spoil("version_1/out_of_fold.csv", "drawn", "photo"), DataError, "out_of_fold.csv is of other photos"),
    ],
)
def test_what_another_program_left_is_refused(
    trainer: Trainer, change: Callable[[], object], error: type[Exception], words: str
) -> None:
    run(CONFIG, 2)
    change()
    with pytest.raises(error, match=words):
        run(CONFIG, 2)


def test_other_photos_are_refused(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    run(CONFIG, 2)
    monkeypatch.setattr("lit_a1.data.catsdogs.DRAWN_TRAIN", 30)
    with pytest.raises(UsageError, match=r"started with photos 40 \(\w{8}\); got 30 "):
        run(CONFIG, 2)


def test_two_settings_are_compared_on_the_same_folds(trainer: Trainer) -> None:
    other = [*CONFIG, "--model.lr", "0.05", "--trainer.logger.init_args.name", "other"]
    names = photos(2)["name"].tolist()  # the first 20 are fold 1
    trainer.wrong = set(names[:9])
    run(CONFIG, 2)
    trainer.trained.clear()
    trainer.wrong = {names[0], names[30]}
    folder = run(other, 2, FOLDER)
    results = found(folder)["against"]
    assert results["mcnemar"] == {"b": 8, "c": 1, "p": pytest.approx(2 * (1 + 9) / 2**9)}
    assert results["difference"] == pytest.approx((8 - 1) / 40)
    assert results["interval"]["low"] < results["difference"] < results["interval"]["high"]
    text = (folder / "summary.md").read_text()
    assert "model.lr 0.03 and 0.05." in text
    assert "8 photos are classified correctly only here and 1 only there: the difference is more than noise" in text
    assert "p = 0.039" in text

    run(other, 2, folder.with_name(FOLDER.name))  # again, without training
    assert trainer.trained == [1, 2]
    for against, words in ((Path("none"), "none has no crossval"), (folder, "other-crossval-drawn is this one")):
        with pytest.raises(UsageError, match=words):
            run(other, 2, against)
    with pytest.raises(DataError, match="is of other photos or folds: photos, --folds and"):
        run([*CONFIG, "--trainer.logger.init_args.name", "third"], 3, FOLDER)
    assert not Path("lightning_logs/third-crossval-drawn").exists()


def test_a_crossval_on_drawn_photos_enters_no_table(trainer: Trainer, script: Callable[[str], ModuleType]) -> None:
    run(CONFIG, 2)
    with pytest.raises(UsageError, match="is of drawn images"):
        list(script("tables").keep([FOLDER]))
