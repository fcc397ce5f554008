from pathlib import Path

import pytest

from lit_a1.report import recipes
from lit_a1.report.rows import read_rows
from lit_a1.runs.settings import UsageError


def test_an_option_that_the_code_learns_makes_no_other_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = recipes.shipped_settings("catsdogs")
    before, usual = recipes.fingerprint(shipped), recipes.defaults
    monkeypatch.setattr(recipes, "defaults", lambda *classes: usual(*classes) | {"model.new": 0})
    assert recipes.fingerprint(shipped | {"model.new": 0}) == before
    assert recipes.fingerprint(shipped | {"model.new": 1}) != before
    assert recipes.changes(shipped, shipped | {"model.new": 0}) == ""  # a run from before it
    assert recipes.changes(shipped | {"model.new": 2}, shipped) == "new=2"


def test_an_option_of_the_augmentation_that_came_later_makes_none_either() -> None:
    shipped = recipes.shipped_settings("catsdogs")
    assert shipped["data.augment.mix_until"] == 0
    before = {name: value for name, value in shipped.items() if name != "data.augment.mix_until"}
    assert recipes.fingerprint(before) == recipes.fingerprint(shipped)
    assert recipes.changes(before, shipped) == ""
    assert recipes.changes(shipped | {"data.augment.mix_until": 3}, shipped) == "augment.mix_until=3"


def test_when_a_run_is_measured_is_no_change_but_how_it_rounds_is() -> None:
    shipped = recipes.shipped_settings("catsdogs")
    measured = {"trainer.check_val_every_n_epoch": 12, "data.measure_train": 0, "trainer.enable_progress_bar": False}
    assert recipes.changes(shipped | measured, shipped) == ""
    rounded = {"model.compile_net": False, "trainer.precision": "32-true"}
    assert recipes.changes(shipped | measured | rounded, shipped) == "compile_net=False, precision=32-true"


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ("", True),
        ("precision=32-true, compile_net=False", True),
        ("precision=32-true, lr=1", False),
    ],
)
def test_a_row_is_of_its_recipe_whatever_its_machine_made_of_it(changes: str, counts: bool) -> None:
    recipe = recipes.fingerprint(recipes.shipped_settings("catsdogs"))
    row = {"config": "catsdogs", "changes": changes, "recipe": recipe}
    assert recipes.is_shipped(row) == counts
    assert not recipes.is_shipped(row | {"recipe": "00000000"})


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        ("lightning_logs/catsdogs_long", ["catsdogs_long"]),
        ("['lightning_logs/catsdogs', 'x/y/catsdogs_long-drawn']", ["catsdogs", "catsdogs_long"]),
        (["a/b", "c"], ["b", "c"]),
        ("my logs/catsdogs", ["catsdogs"]),
        ("lightning_logs/catsdogs_long-drawn/version_10", ["catsdogs_long"]),
        ("lightning_logs/catsdogs_long/version_0/checkpoints/last.ckpt", ["catsdogs_long"]),
        (["lit_a1/pretrained/catsdogs.ckpt", "version_1.5"], ["catsdogs", "version_1.5"]),
        ("['my logs, too/catsdogs']", ["catsdogs"]),
        *[(nothing, []) for nothing in ("[]", "", None)],
    ],
)
def test_experiments_are_named_by_their_folders(folders: object, names: list[str]) -> None:
    assert recipes.experiment_names(folders) == names


def test_where_the_networks_lie_that_a_run_uses_is_no_change() -> None:
    ours = recipes.shipped_settings("catsdogs_ensemble")
    elsewhere = ["/else/catsdogs-drawn", "/else/catsdogs_best/version_3"]
    assert recipes.changes(ours | {recipes.MEMBERS: elsewhere}, ours) == ""
    assert "members" in recipes.changes(ours | {recipes.MEMBERS: elsewhere[:1]}, ours)


def test_classes_that_are_gone_are_told_in_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"does not know lit_a1\.models\.old\.Net"):
        recipes.changes({"model.class_path": "lit_a1.models.old.Net", "data.class_path": "x"}, {})


def test_rows_are_read_as_they_are_written(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "runs.csv") == []
    (tmp_path / "runs.csv").write_text('finished,changes\nnow,"a=1, b=2"\n')
    assert read_rows(tmp_path / "runs.csv") == [{"finished": "now", "changes": "a=1, b=2"}]
