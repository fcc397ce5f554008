"""What the documents say is what the code does."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lit_a1.cli import COMMANDS, main
from tests.conftest import REPOSITORY, edit_record, read_csv

README = (REPOSITORY / "README.md").read_text()
LINES = re.findall(r"python main\.py ([^\n#`]+)", README + (REPOSITORY / "docs" / "tried.md").read_text())


@pytest.fixture
def tables(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tables")


def test_the_tables_are_those_of_the_recorded_runs(tables: ModuleType) -> None:
    assert tables.read_rows(tables.RUNS)
    for path, text in tables.documents().items():
        assert text == path.read_text(), path


@pytest.mark.parametrize("line", sorted({line.strip() for line in LINES if not line.startswith("COMMAND")}))
def test_every_command_of_the_documents_is_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
    for path in (*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert target.startswith("http") or (path.parent / target).exists(), (path, target)


def test_the_guarantees_name_tests_that_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", (REPOSITORY / "docs/guarantees.md").read_text())
    assert named
    for path, name in named:
        assert (f"def {name}(" if name else "def test_") in (REPOSITORY / "tests" / path).read_text(), (path, name)


@pytest.fixture
def recorded(tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The CSV of a user's own runs."""
    monkeypatch.setattr(tables, "RUNS", tmp_path / "runs.csv")
    return tmp_path / "runs.csv"


@pytest.fixture
def run(tables: ModuleType, tmp_path: Path) -> Callable[..., Path]:
    """Leaves the record of a run, as `fit` does."""

    def added(version: int = 0, seed: int = 1, name: str = "catsdogs", settings: object = None, **about: Any) -> Path:
        row = {"epoch": 3, "step": 40, "val/error": 0.05}
        record = {
            "finished": "2026-01-01 00:00", "seed": seed, "parameters": 10, "seconds": 60.0, "peak_memory_gb": 1.0,
            "machine": "m", "versions": {"torch": "2"}, "commit": "c", "images": {"train": 1, "val": 2000},
            "epochs": [row, row], "best": row, "last": row | {"val/error": 0.06},
            "settings": tables.shipped_settings(name.removesuffix("-drawn")) | {"seed": seed} | (settings or {}),
        }  # fmt: skip
        path = tmp_path / name / f"version_{version}"
        path.mkdir(parents=True, exist_ok=True)
        (path / "record.json").write_text(json.dumps(record | about))
        return path

    return added


Run = Callable[..., Path]


def cells_of(table: str) -> list[list[str]]:
    """The heading of a Markdown table and its lines."""
    head, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return [head, *lines]


def test_a_run_becomes_a_row_once(tables: ModuleType, recorded: Path, run: Run) -> None:
    assert len(list(tables.add([run(), run()]))) == 2
    (row,) = read_csv(recorded)
    named = [row[name] for name in ("changes", "best_epoch", "best_val_error", "last_val_error")]
    assert named == ["", "4", "0.0500", "0.0600"]
    assert "94.00%" in tables.results_table([row], ["catsdogs"])
    assert "94.00%" not in tables.results_table([row], ["mlp"])
    assert "94.00%" not in tables.results_table([row | {"recipe": "another"}], ["catsdogs"])


def test_a_run_that_is_added_again_after_its_test_keeps_its_place(
    tables: ModuleType, recorded: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [run(), run(1, seed=2)]
    list(tables.add(paths))
    (paths[0] / "test.json").write_text('{"checkpoint": "last.ckpt", "test/error": 0.25}')
    own = tables.row_of
    monkeypatch.setattr(tables, "row_of", lambda run: own(run) | {"recipe": "newer", "changes": "x=1"})
    (message,) = tables.add(paths[:1])
    assert "brought up to date" in message
    first, second = read_csv(recorded)
    assert [first[name] for name in ("seed", "tested", "test_error")] == ["1", "last", "0.2500"]
    assert [second[name] for name in ("seed", "tested", "test_error")] == ["2", "", ""]
    assert (first["recipe"], first["changes"]) == (second["recipe"], "")  # by the YAML of its time


def test_runs_on_drawn_images_enter_no_table(
    tables: ModuleType, recorded: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run(name="catsdogs-drawn"))
    with pytest.raises(tables.UsageError, match="was trained on drawn images"):
        list(tables.add([Path()]))
    assert not recorded.exists()


def test_an_ensemble_becomes_a_row_too(tables: ModuleType, run: Run) -> None:
    row = {"epoch": 5, "val/error": 0.04, "val/loss": 0.2}
    path = run(name="catsdogs_ensemble", settings={"seed": 0}, **dict.fromkeys(("best", "last"), row), epochs=[row])
    edit_record(path, seed=[0, 1])
    found = tables.row_of(path)
    assert (found["seed"], found["epochs"], found["changes"], found["last_val_error"]) == ("0 1", "6", "", "0.0400")
    assert "96.00%" in tables.results_table([found], ["catsdogs_ensemble"])


@pytest.mark.parametrize(
    ("ends", "errors"),
    [
        ({"diverged": "the loss is nan"}, ("0.0500", "nan")),
        ({"best": {"epoch": 3}, "last": {"epoch": 3}}, ("", "")),
    ],
)
def test_a_run_that_diverged_or_was_not_measured_has_no_figure(
    ends: dict[str, Any], errors: tuple[str, str], tables: ModuleType, run: Run
) -> None:
    path = run(**ends)
    row = tables.row_of(path)
    assert (row["best_val_error"], row["last_val_error"]) == errors
    assert "No run" in tables.results_table([row], ["catsdogs"])
    record = json.loads((path / "record.json").read_text())
    del record["best"]
    (path / "record.json").write_text(json.dumps(record))
    with pytest.raises(tables.UsageError, match="no epoch that was validated"):
        tables.row_of(path)


def test_a_table_has_one_row_a_recipe_and_the_newest_run_of_each_seed(tables: ModuleType, run: Run) -> None:
    old = tables.row_of(run()) | {"tested": "best", "test_error": "0.0900"}
    new = old | {"tested": "last", "test_error": "0.0700", "last_val_error": "0.0400"}
    mlp = old | {"config": "mlp", "recipe": tables.fingerprint(tables.shipped_settings("mlp")), "tested": ""}
    cells = cells_of(tables.results_table([old, new, new | {"seed": "3"}, mlp], ["catsdogs", "mlp"]))
    assert [len(row) for row in cells] == [len(cells[0])] * 3
    columns = dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))
    assert columns["seeds"] == ("1, 3", "1")
    assert columns["test, last epoch"] == ("93.00% ± 0.00%", "")
    assert columns["validation, last epoch"][0] == "96.00% ± 0.00%"
    assert "test" not in tables.results_table([old], ["catsdogs"])


def test_the_readme_shows_the_machine_with_the_most_seeds_and_a_time_that_a_run_took(
    tables: ModuleType, run: Run
) -> None:
    one = tables.row_of(run()) | {"machine": "A", "seconds": "60"}
    several = [one | {"machine": "B", "seed": seed, "seconds": time} for seed, time in (("1", "7200"), ("2", "3600"))]
    _, line = cells_of(tables.summary_table([one, *several]))
    assert line[-1] == "60.0 min, B"


def test_an_ensemble_has_one_row_and_recipes_come_in_the_order_that_was_asked_for(tables: ModuleType, run: Run) -> None:
    one = tables.row_of(run()) | {"epochs": "4"}
    recipe = tables.fingerprint(tables.shipped_settings("catsdogs_ensemble"))
    both = one | {"config": "catsdogs_ensemble", "recipe": recipe, "seed": "0 0", "epochs": "144"}
    newer = both | {"epochs": "302", "parameters": "12", "machine": "B", "last_val_error": "0.0300"}
    rows = [both, one, newer, both | {"epochs": "7", "finished": "2000-01-01 00:00"}]
    _, *lines = cells_of(tables.results_table(rows, ["catsdogs", "catsdogs_ensemble"]))
    assert [cells[0] for cells in lines] == ["`configs/catsdogs.yaml`", "`configs/catsdogs_ensemble.yaml`"]
    assert "302" in lines[1]
    assert lines[1][-1].startswith("B; ")
    assert any("97.00%" in cell for cell in lines[1])


@pytest.fixture
def studies(tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tables, "STUDIES", tmp_path / "studies")
    return tmp_path / "studies"


def test_a_study_is_kept_without_event_files_and_predictions(tables: ModuleType, tmp_path: Path, studies: Path) -> None:
    study = tmp_path / "mlp-inits" / "version_3"
    (study / "zero").mkdir(parents=True)
    unkept = ("predictions.csv", "events.out.tfevents.1")
    for name in ("losses.csv", "losses.png", "comparison.md", "record.json", *unkept):
        (study / name).write_text("{}")
    (studies / "mlp-inits").mkdir(parents=True)
    (studies / "mlp-inits" / "of_an_earlier_one.md").write_text("")
    assert len(list(tables.keep([study]))) == 1
    kept = {path.name for path in (studies / "mlp-inits").iterdir()}
    assert kept == {"losses.csv", "losses.png", "comparison.md", "record.json"}


def test_a_crossvals_summary_is_kept_without_photos(tables: ModuleType, tmp_path: Path, studies: Path) -> None:
    crossval = tmp_path / "mine-crossval"
    (crossval / "version_1").mkdir(parents=True)
    found = {
        "begun": {"trainer.max_epochs": 4, "photos": "19,979 (680bc548)"},
        "accuracy": 0.95, "standard_error": 0.0015, "accuracy_by_fold": [0.94, 0.96],
        "suspects": 7, "accuracy_without_suspects": 0.9512,
    }  # fmt: skip
    for name, text in {"crossval.json": json.dumps(found), "summary.md": "", "suspects.png": ""}.items():
        (crossval / name).write_text(text)
    assert len(list(tables.keep([crossval]))) == 1
    assert {path.name for path in (studies / "mine-crossval").iterdir()} == {"crossval.json", "summary.md"}
    line = tables.crossval_table(studies.glob("*/crossval.json")).splitlines()[-1]
    cells = ["4", "19,979", "95.00% ± 0.15%", "95.00% ± 1.41%", "7", "95.12%"]
    assert line == f"| {' | '.join(['[mine-crossval](studies/mine-crossval/summary.md)', *cells])} |"


def test_of_trainings_the_curves_are_kept_and_nothing_is_copied(
    tables: ModuleType, run: Run, tmp_path: Path, studies: Path
) -> None:
    paths = [run(seed, seed) for seed in (0, 1)]
    (paths[0] / "photos.png").write_text("")
    study = tmp_path / "mlp-inits" / "version_0"
    study.mkdir(parents=True)
    (study / "record.json").write_text("{}")
    messages = list(tables.keep([paths[0], study, paths[1]]))
    kept = [str(studies / "mlp-inits"), f"curves in {studies / 'catsdogs'}"]
    assert [line.partition(" -> ")[2] for line in messages] == kept
    assert {path.name for path in (studies / "catsdogs").iterdir()} == {"curves.csv", "curves.png"}
    rows = read_csv(studies / "catsdogs" / "curves.csv")
    assert [(row["run"], row["seed"]) for row in rows] == [(f"version_{seed}", str(seed)) for seed in (0, 0, 1, 1)]
    list(tables.keep([run(7, members=[{}, {}])]))  # an ensemble has no curves
    assert {path.name for path in (studies / "catsdogs").iterdir()} == {"record.json"}


def test_runs_that_cant_be_kept_are_refused_in_one_sentence(
    tables: ModuleType, run: Run, recorded: Path, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: str | Path) -> str:
        monkeypatch.setattr("sys.argv", ["tables.py", *map(str, arguments)])
        with pytest.raises(SystemExit, match=r"^error: [^\n]*\.$") as leaving:
            tables.main()
        return str(leaving.value)

    (studies / "catsdogs").mkdir(parents=True)
    (studies / "catsdogs" / "curves.csv").write_text("of an earlier run")
    first, second = run(), run(1, 2, settings={"model.lr": 0.3})
    for command in ("keep", "add"):
        assert "catsdogs/version_7 has no record.json" in refused(command, first, first.with_name("version_7"))
    assert "version_1 was trained with other settings" in (message := refused("keep", first, second))
    assert "(lr=0.3)" in message
    assert "have the same seed, 1" in refused("keep", first, first)
    (first / "record.json").write_text(json.dumps({"settings": {"model.class_path": "x"}, "epochs": []}))
    assert "catsdogs/version_0/record.json has no epoch" in refused("keep", first)
    assert [path.read_text() for path in (studies / "catsdogs").iterdir()] == ["of an earlier run"]


@pytest.mark.parametrize(
    ("name", "value"), [("model.norm", "group"), ("data.augment.mixup", 0.2), ("trainer.limit_train_batches", 30)]
)
def test_a_run_with_a_changed_setting_is_not_the_recipe(name: str, value: object, tables: ModuleType, run: Run) -> None:
    row = tables.row_of(run(settings={name: value}))
    assert row["changes"] == f"{name.partition('.')[2]}={value}"
    assert "94.00%" not in tables.results_table([row], ["catsdogs"])


def test_published_weights_are_listed_with_what_their_notes_say(tables: ModuleType) -> None:
    note = {"command": "fit x", "bytes": 3_900_000, "val_error": 0.0435, "submission_sha256": "abc"}
    other = {"config": "digits.yaml", "file": "digits.npz", "command": "y", "bytes": 1, "val_error": 0}
    *_, mine, digits = tables.pretrained_table([{"config": "configs/mine.yaml", **note}, other]).splitlines()
    assert mine == "| `mine.ckpt` | `fit x` | 3.9 MB | 95.65% | `abc` |"
    assert digits == "| `digits.npz` | `y` | 0.0 MB | 100.00% |  |"
    assert tables.pretrained_table([]) == "No weights are published yet."
