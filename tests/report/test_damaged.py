"""Valid JSON of a wrong shape is named and left out, whatever file it is in."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from lit_a1.report import build, plan, problem1, problems, results
from lit_a1.report.build import document
from lit_a1.report.gather import gather
from tests.report.conftest import CROSSVAL, LOGS, PART, Add

LABELS = PART | {
    "name": "label_errors", "words": ["w"], "numbers": {"suspects": 3}, "tables": ["a.csv"],
    "figures": [{"file": "a.png", "caption": "c"}],
}  # fmt: skip
FILES: dict[str, Any] = {  # what is no training's record
    "catsdogs/version_0/test.json": {"checkpoint": "last.ckpt", "test/error": 0.1},
    "catsdogs/version_0/analysis/analysis.json": {"images": 2000, "seconds": 3.0},
    "catsdogs/version_0/analysis/label_errors.json": LABELS,
    "mlp-inits/version_0/record.json": {
        "seed": 0, "commit": "c", "machine": "m", "trials": {"glorot": {"epochs": [{"train/loss": 0.1}]}},
    },
    "mlp-search/version_0/record.json": {
        "seconds": 3.0, "trials": {"complete": 3}, "best": {"val/error": 0.01, "setup": "s"},
    },
    "mlp-gradcheck/version_0/record.json": {"weights": "w", "smallest": 1e-9, "best_n": 5, "n": [1, 5]},
    "mnist-compare/version_0/record.json": {"experiments": {"mlp": ["version_0"]}, "left_out": []},
    "catsdogs-crossval/crossval.json": CROSSVAL,
}  # fmt: skip
TRAININGS = ("mlp", "mnist_plain", "catsdogs", "catsdogs_ensemble")
WRONG = {"nothing": None, "a list": [1], "a dictionary": {"a": 1}, "text": "x", "a number": -7.5}


def wrong(content: Any, depth: int = 2) -> Iterator[tuple[str, Any]]:
    """The content replaced; and with each of its parts in turn gone, or replaced by one or the other."""
    yield from WRONG.items()
    keys = list(content) if isinstance(content, dict) else [0] if isinstance(content, list) and content else []
    for place, key in enumerate(keys if depth else []):
        gone = deepcopy(content)
        del gone[key]
        yield f"without {key}", gone
        parts = list(wrong(content[key], depth - 1))
        if depth == 1:
            parts = [parts[place % len(WRONG)]]
        for name, part in parts:
            changed = deepcopy(content)
            changed[key] = part
            yield f"{key}: {name}", changed


@pytest.fixture
def logs(add_run: Add, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run or a study of every kind; nothing that takes long is drawn, listed or compared."""
    table = {"table": None, "path": "p", "error": "e"}
    monkeypatch.setattr(results, "draw", lambda path, runs: None)
    monkeypatch.setattr(problems, "layers", lambda run, name, work: table)
    monkeypatch.setattr(problem1, "layers", lambda run, name: table)
    monkeypatch.setattr(problems, "read_rows", list)
    monkeypatch.setattr(problems, "_trials", lambda placed: None)
    monkeypatch.setattr(problems, "published", lambda name: None)
    compare, compared = problems.conclusions, dict[str, Any]()

    def compare_once(rows: list[Any], source: str) -> Any:
        if str(rows) not in compared:
            compared[str(rows)] = compare(rows, source)
        return compared[str(rows)]

    monkeypatch.setattr(problems, "conclusions", compare_once)
    for name in TRAININGS:
        members = {"members": [{"val/error": 0.1}]} if name == "catsdogs_ensemble" else {"setup": "784-10, relu"}
        add_run(name, [0.3, 0.1], **members)
    for file, content in FILES.items():
        (LOGS / file).parent.mkdir(parents=True, exist_ok=True)
        (LOGS / file).write_text(json.dumps(content))
    return LOGS


@pytest.mark.long
@pytest.mark.parametrize(
    "file", [*FILES, *(f"{name}/version_0/record.json" for name in TRAININGS if name != "mnist_plain")]
)
def test_no_shape_ends_the_report(file: str, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in (("1", "mlp"), ("2", "m"), ("3", "catsdogs")):
        if not file.startswith(name):  # the problem reads nothing of it
            same = getattr(build, f"problem{number}")(gather(logs, "real"), tmp_path)
            monkeypatch.setattr(build, f"problem{number}", lambda found, work, same=same: same)
    content = json.loads((logs / file).read_text())
    if file.split("/")[0] in TRAININGS and "settings" in content:
        kept = ("model.class_path", "model.dropout", "data.augment.crop_scale", "model.members")
        content["settings"] = {name: value for name, value in content["settings"].items() if name in kept}
        content["epochs"] = content["epochs"][:1]
    for what, changed in wrong(content):
        (logs / file).write_text(json.dumps(changed))
        try:
            found = gather(logs, "real")
            document(found, tmp_path)
            plan.missing(found)
        except (Exception, SystemExit) as error:
            error.add_note(f"{file}, {what}")
            raise


def notes(tmp_path: Path) -> str:
    report = document(gather(LOGS, "real"), tmp_path)
    return " ".join(block.text for block in report.blocks if block.kind == "missing")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("mlp-inits/version_0/record.json", [1]), ("mlp-search/version_0/record.json", {"trials": [3]}),
        ("mnist-compare/version_0/record.json", None), ("catsdogs/version_0/analysis/analysis.json", [1, 2]),
        ("catsdogs/version_0/analysis/label_errors.json", LABELS | {"words": "w"}),
        ("catsdogs/version_0/analysis/label_errors.json", LABELS | {"numbers": {"suspects": [1]}}),
        ("catsdogs/version_0/test.json", [1]), ("catsdogs/version_0/record.json", {"seed": 0}),
        ("catsdogs-crossval/crossval.json", {"accuracy": 0.9}), ("catsdogs-crossval/crossval.json", [1]),
    ],
)  # fmt: skip
def test_the_file_is_named(file: str, content: Any, logs: Path, tmp_path: Path) -> None:
    assert str(logs / file) not in notes(tmp_path)
    (logs / file).write_text(json.dumps(content))
    assert str(logs / file) in notes(tmp_path)


@pytest.mark.parametrize(
    ("settings", "whole"),
    [
        ({"trainer.limit_train_batches": 30}, False), ({"trainer.limit_train_batches": 1}, False),
        ({"trainer.limit_val_batches": 0.5}, False), ({"trainer.fast_dev_run": True}, False),
        ({"trainer.overfit_batches": 2}, False), ({"trainer.max_steps": 100}, False),
        ({"trainer.limit_train_batches": 1.0, "trainer.limit_val_batches": 1.0, "trainer.fast_dev_run": False,
          "trainer.overfit_batches": 0.0, "trainer.max_steps": -1}, True),
        ({"trainer.max_epochs": 2}, True),
    ],
)  # fmt: skip
def test_a_limited_run_is_named_and_counts_for_nothing(settings: dict[str, Any], whole: bool, add_run: Add) -> None:
    add_run("catsdogs", [0.1], settings=settings)
    found = gather(LOGS, "real")
    assert (len(found.trainings("catsdogs")), len(found.unfinished("catsdogs"))) == (whole, not whole)
    for reason in found.unfinished("catsdogs"):
        (limit,) = (f"{name.removeprefix('trainer.')}={value}" for name, value in settings.items())
        assert "version_0" in reason
        assert limit in reason


def test_what_is_sound_is_not_called_damaged(logs: Path, add_run: Add) -> None:
    add_run("mlp-drawn", [0.1])
    assert gather(logs, "real").damaged() == []
