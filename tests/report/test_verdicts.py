"""What is concluded from the trials follows from their numbers, and from what the best network has."""

from typing import Any

import pytest

from lit_a1.report.document import write_section
from lit_a1.report.recipes import fingerprint, shipped_settings
from lit_a1.report.rows import read_rows
from lit_a1.report.verdicts import REASONS, conclusions
from tests.report.conftest import csv_row

Row = dict[str, str]
MUON = "lr=0.02, momentum=0.95, optimizer=muon, weight_decay=0.05, precision=32-true"
MUON_SAID = "`optimizer=muon` with `lr=0.02`, `momentum=0.95`, `weight_decay=0.05`"
CUTMIX = "augment.cutmix=1.0, augment.mix_probability=0.5"


def row(changes: str = "", error: float = 0.16, config: str = "catsdogs_trial", **other: object) -> Row:
    return csv_row(changes, error, config=config, **{"recipe": fingerprint(shipped_settings(config))} | other)


def best(changes: str = "", error: float = 0.03, **other: object) -> Row:
    return row(changes, error, "catsdogs_best", epochs=260, **other)


def found(*rows: Row) -> dict[str, Any]:
    return conclusions([row(), *rows])


def changes(trials: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in trials["changes"]}


def test_accuracies_points_and_verdicts_are_those_of_the_rows() -> None:
    rows = row("norm=group", 0.25), row("dropout=0.2", 0.158), row("views=one", 0.161), row("stem_stride=1", 0.10)
    trials = found(*rows)["trials"]
    cells = {cells[0]: cells[1:4] for cells in trials["table"]["rows"]}
    assert cells == {
        "`stem_stride=1`": ["90.00 %", "+6.00", "better *"],
        "`dropout=0.2`": ["84.20 %", "+0.20", "inside the noise"],
        "`views=one`": ["83.90 %", "-0.10", "inside the noise"],
        "as it is": ["84.00 %", "", "base"],
        "`norm=group`": ["75.00 %", "-9.00", "worse *"],
    }
    assert [each["name"] for each in trials["worse"]] == ["`norm=group`"]
    assert trials["noise"] is None
    assert trials["binomial"] == pytest.approx((0.16 * 0.84 / 2000) ** 0.5)


def test_only_trials_with_the_same_base_are_in_one_table() -> None:
    longer = [row("max_epochs=16", 0.12, epochs=16), row("max_epochs=16, norm=group", 0.2, epochs=16)]
    several = row("norm=group, dropout=0.1", 0.3)
    trials = found(*longer, several, row("norm=layer", 0.3), row("norm=none, lr=0.02", 0.3))["trials"]
    assert set(changes(trials)) == {"`norm=layer`", "`norm=none` with `lr=0.02`"}
    assert found(several, row("precision=32-true", 0.1))["trials"] is None


def test_the_final_result_is_that_of_the_setting_with_the_fewest_errors() -> None:
    both = found(best(error=0.04), best("widths=[8, 8]", 0.0305), row("", 0.02, "catsdogs_ensemble"))
    final = both["best"]
    assert (final["changes"], final["correct"], final["images"], final["tried"]) == ("`widths=[8,8]`", 1939, 2000, 2)
    assert final["interval"] == pytest.approx((0.9610, 0.9762), abs=1e-4)
    assert final["settings"]["widths"] == "[8, 8]"
    assert final["settings"]["optimizer"] == "muon"  # of its YAML
    assert both["ensemble"]["correct"] == 1960
    assert found(best(recipe="another"))["best"]["settings"] == {}  # which nobody knows any more
    assert found()["best"] is None


def test_an_idea_is_what_its_theme_names_first_and_precision_hides_nothing() -> None:
    """The best network, of the recipe in configs/, is trained by Muon in another precision and with another rate."""
    rows = row(MUON, 0.09), row("stem_stride=1", 0.10), row("transition=max_pool", 0.11), row("dropout=0.2", 0.158)
    known = found(best(), *rows)
    used = {name: each["used"] for name, each in changes(known["trials"]).items()}
    assert used == {
        MUON_SAID: "in part", "`stem_stride=1`": "no", "`transition=max_pool`": "yes", "`dropout=0.2`": "no",
    }  # fmt: skip
    assert [idea["name"] for idea in known["ideas"]] == ["`stem_stride=1`"]
    sgd = found(best("optimizer=sgd, lr=0.15, precision=32-true"), *rows)["ideas"]  # the same precision is no idea
    assert [idea["name"] for idea in sgd] == [MUON_SAID, "`stem_stride=1`"]
    assert found(*rows)["ideas"] == []  # of no best network
    assert known["effects"] == pytest.approx({"`optimizer=muon`": 7, "`stem_stride=1`": 6, "`transition=max_pool`": 5})


def test_what_is_worse_in_trials_and_part_of_the_best_network_is_said() -> None:
    trial = row(CUTMIX, 0.21), row("norm=group", 0.25)
    (each,) = found(best(), *trial)["trials"]["hurt_but_used"]
    assert (each["name"], each["longer"]) == ("`cutmix=1.0` with `mix_probability=0.5`", [])
    longer = row("", 0.05, "catsdogs", epochs=96), row(f"{CUTMIX}, views=flip", 0.055, "catsdogs", epochs=96)
    (each,) = found(best(), *trial, *longer)["trials"]["hurt_but_used"]
    (other,) = each["longer"]
    assert (other["name"], other["epochs"], other["verdict"]) == ("catsdogs", 96, "inside the noise")
    assert other["points"] == pytest.approx(-0.5)
    assert found(best("augment.cutmix=0.0"), *trial)["trials"]["hurt_but_used"] == []


def test_a_reason_is_shown_only_where_all_that_it_explains_went_its_way() -> None:
    def reasons(*rows: Row) -> dict[str, list[str]]:
        return found(*rows)["trials"]["reasons"]

    worse, better = row("norm=group", 0.25), row("norm=layer", 0.05)
    (norms,) = reasons(worse)["worse"]
    assert norms == REASONS["reason"][REASONS["changes"].str.contains("norm=group")].item()
    assert reasons(worse, better) == reasons(row("norm=instance", 0.25)) == {}
    assert reasons(row("optimizer=muon", 0.25)) == {}
    assert reasons(row("norm=group, lr=0.05", 0.25)) == {}  # of which a part would not explain the whole


def test_a_short_table_has_of_each_theme_and_verdict_the_largest_and_all_that_the_best_network_has() -> None:
    rows = row("norm=group", 0.25), row("norm=layer", 0.3), row(CUTMIX, 0.2), row("augment.mixup=0.2", 0.21)
    rows += row("dropout=0.2", 0.158), row("label_smoothing=0.0", 0.159), row("stem_stride=1", 0.10)
    shown = [cells[0] for cells in found(best(), *rows)["trials"]["table"]["rows"]]
    assert shown == [
        "`stem_stride=1`", "as it is", "`dropout=0.2`", "1 other", "`cutmix=1.0` with `mix_probability=0.5`",
        "`mixup=0.2`", "`norm=layer`", "1 other",
    ]  # fmt: skip


def test_the_long_recipes_are_compared_as_they_are_now() -> None:
    rows = best(), best("widths=[8, 8]", 0.01), best(recipe="older", error=0.02), row("", 0.05, "catsdogs", seed=1)
    cells = found(*rows, row("", 0.06, "catsdogs"))["recipe_table"]["rows"]
    assert [(each[0], each[4], each[5]) for each in cells] == [
        ("`catsdogs_best`", "1", "97.00 %"), ("`catsdogs`", "2", "94.50 ± 0.71 %"),
    ]  # fmt: skip
    assert found()["recipe_table"] is None


def test_the_section_says_what_was_found() -> None:
    rows = [row(), best(), row(MUON, 0.09), row(CUTMIX, 0.21), row("dropout=0.2", 0.158)]
    verdicts = conclusions(rows)
    text = " ".join(write_section("hyperparameters", verdicts=verdicts, unreadable=[], trial_command="fit").split())
    for words in (
        "1,940 of 2,000 validation photos correctly, an accuracy of **97.00 %**", f"{MUON_SAID} (+7.00)",
        "What hurt most was `cutmix=1.0` with `mix_probability=0.5` (-5.00)", "Of 3 changes, 1 made no difference",
        "trials of 8 epochs worse: `cutmix=1.0` with `mix_probability=0.5` (-5.00)", "No long run was made",
    ):  # fmt: skip
        assert words in text
    empty = write_section("hyperparameters", verdicts=None, unreadable=[], trial_command="python fit")
    assert "No hyperparameter trial" in empty
    assert "python fit" in empty


def test_every_reason_explains_a_recorded_trial() -> None:
    """One that fits none of them any more would never be shown."""
    shown = conclusions(read_rows())["trials"]["reasons"]
    assert sorted(reason for reasons in shown.values() for reason in reasons) == sorted(REASONS["reason"])
