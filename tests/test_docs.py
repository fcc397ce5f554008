"""What the documents say is what the code does."""

import csv
import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from lit_a1.cli import COMMANDS, main

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
TRIED = (REPOSITORY / "docs" / "tried.md").read_text()
LINES = re.findall(r"python main\.py ([^\n#`]+)", README)


@pytest.fixture
def tables() -> ModuleType:
    specification = importlib.util.spec_from_file_location("tables", REPOSITORY / "docs" / "tables.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_recorded_runs(tables: ModuleType) -> None:
    assert tables.readme() == README
    assert tables.read_runs()


def test_the_record_of_what_was_tried_is_that_of_the_recorded_runs(tables: ModuleType) -> None:
    assert tables.tried() == TRIED


@pytest.mark.parametrize("line", sorted({line.strip() for line in LINES if not line.startswith("COMMAND")}))
def test_every_command_of_the_readme_is_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    command, *options = shlex.split(line)
    assert command in COMMANDS
    with pytest.raises(SystemExit) as leaving:
        main([command, *options, "--print_config" if "--config" in options else "--help"])
    assert leaving.value.code == 0


def test_the_readme_names_every_command() -> None:
    table = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", README, re.MULTILINE)
    assert set(re.findall(r"\w+", " ".join(table))) == set(COMMANDS)


def test_links_lead_somewhere() -> None:
    for text, folder in ((README, REPOSITORY), (TRIED, REPOSITORY / "docs")):
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert target.startswith("http") or (folder / target).exists(), target


def run(folder: Path, tables: ModuleType, **changed: object) -> Path:
    """A record as `fit` leaves it."""
    row = {"epoch": 3, "val/error": 0.05}
    record = {
        "finished": "2026-01-01 00:00", "seed": 1, "parameters": 10, "seconds": 60.0, "peak_memory_gb": 1.0,
        "machine": "m", "versions": {"torch": "2"}, "commit": "c", "pictures": {"train": 1, "val": 2000},
        "epochs": [row, row], "best": row, "last": row | {"val/error": 0.06},
        "settings": tables.shipped("catsdogs") | {"seed": 1} | changed,
    }  # fmt: skip
    path = folder / "catsdogs" / "version_0"
    path.mkdir(parents=True, exist_ok=True)
    (path / "record.json").write_text(json.dumps(record))
    return path


def test_a_run_becomes_a_row_once(tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "RUNS", tmp_path / "runs.csv")
    path = run(tmp_path, tables)
    assert len(list(tables.add([path, path]))) == 2
    with (tmp_path / "runs.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["changes"] == ""
    assert (row["best_epoch"], row["best_val_error"], row["last_val_error"]) == ("4", "0.0500", "0.0600")
    assert "94.00%" in tables.results_table([row], ["catsdogs"])
    assert "94.00%" not in tables.results_table([row], ["mlp"])
    assert "94.00%" not in tables.results_table([row | {"recipe": "another"}], ["catsdogs"])


def test_a_table_has_one_row_a_recipe_and_the_newest_run_of_each_seed(tables: ModuleType, tmp_path: Path) -> None:
    old = tables.row_of(run(tmp_path, tables)) | {"tested": "best", "test_error": "0.0900"}
    new = old | {"tested": "last", "test_error": "0.0700", "last_val_error": "0.0400"}
    mlp = old | {"config": "mlp", "recipe": tables.fingerprint(tables.shipped("mlp")), "tested": ""}
    head, _, *lines = tables.results_table([old, new, new | {"seed": "3"}, mlp], ["catsdogs", "mlp"]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *lines)]
    assert [len(row) for row in cells] == [len(cells[0])] * 3
    columns = dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))
    assert columns["seeds"] == ("1, 3", "1")
    assert columns["test, last epoch"] == ("93.00% ± 0.00%", "")
    assert columns["validation, last epoch"][0] == "96.00% ± 0.00%"
    assert "test" not in tables.results_table([old], ["catsdogs"])


def test_a_study_is_kept_without_its_event_files(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "STUDIES", tmp_path / "studies")
    study = tmp_path / "mlp-inits" / "version_3"
    (study / "zero").mkdir(parents=True)
    for name in ("losses.csv", "losses.png", "comparison.md", "record.json", "events.out.tfevents.1"):
        (study / name).write_text(name)
    (tmp_path / "studies" / "mlp-inits").mkdir(parents=True)
    (tmp_path / "studies" / "mlp-inits" / "of_an_earlier_one.md").write_text("")
    assert len(list(tables.keep([study]))) == 1
    kept = {path.name for path in (tmp_path / "studies" / "mlp-inits").iterdir()}
    assert kept == {"losses.csv", "losses.png", "comparison.md", "record.json"}


@pytest.mark.parametrize(
    ("name", "value"), [("model.norm", "group"), ("data.augment.mixup", 0.2), ("trainer.limit_train_batches", 30)]
)
def test_a_run_with_a_changed_setting_is_not_the_recipe(
    name: str, value: object, tables: ModuleType, tmp_path: Path
) -> None:
    row = tables.row_of(run(tmp_path, tables, **{name: value}))
    assert row["changes"] == f"{name.partition('.')[2]}={value}"
    assert "94.00%" not in tables.results_table([row], ["catsdogs"])
