import random
import re
from itertools import count
from typing import Any

import pytest
from scipy import stats

from lit_a1.environment import REPOSITORY
from lit_a1.report import trials, tried
from lit_a1.runs.templates import render
from tests.report.conftest import csv_row

RECIPES = {"catsdogs_trial": "now"}
SEEDS = (0.120, 0.124, 0.116, 0.122, 0.118)  # of the base: standard deviation 0.32 points
Row = dict[str, str]
numbers = count()


def row(changes: str = "", error: float | str = 0.12, **other: object) -> Row:
    """A row as docs/tables.py adds it, each a minute younger than the last."""
    number = next(numbers)
    finished = f"2026-11-{1 + number // 1440:02} {number // 60 % 24:02}:{number % 60:02}"
    values = {"finished": finished, "epochs": 16, "seconds": 254.0, "machine": "two cores"}
    return csv_row(changes, error, **values | other)


def base(**other: object) -> list[Row]:
    return [row(error=error, seed=seed, **other) for seed, error in enumerate(SEEDS)]


def lines(text: str, change: str) -> list[list[str]]:
    """The cells of a change's lines."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [cells for cells in rows if cells[0] == change]


def verdict(text: str, change: str) -> str:
    ((*_, last),) = lines(text, change)
    return last


def section(rows: list[Row], title: str, **recipes: str) -> str:
    return tried.render_page(rows, RECIPES | recipes).partition(f"## {title}\n")[2].partition("\n## ")[0]


def compared(rows: list[Row]) -> dict[str, Any]:
    """The settings that are no base, by their changes."""
    return {each.changes: each for each in trials.compare(rows).itertuples() if each.changes}


def verdicts(rows: list[Row]) -> dict[str, str]:
    return {changes: each.verdict for changes, each in compared(rows).items()}


def test_verdicts_are_those_of_a_t_test_with_the_noise_between_seeds() -> None:
    found = compared([*base(), row("a=1", 0.10), row("b=1", 0.14), row("c=1", 0.122)])
    assert [found[name].verdict for name in ("a=1", "b=1", "c=1")] == ["better", "worse", "inside the noise"]
    for each in found.values():  # of one value against several, the t test with pooled variances has the same noise
        expected = stats.ttest_ind(each.errors, SEEDS, equal_var=True).pvalue
        assert each.p == pytest.approx(expected, rel=1e-6)
    assert found["a=1"].points == pytest.approx(2)


def test_a_recipe_as_its_machine_ran_it_is_one_of_the_recipes_unless_there_is_another_run() -> None:
    switched = row("precision=32-true", 0.04, config="catsdogs")
    title, name = "The recipes as they are", "`catsdogs`, `precision=32-true`"
    assert len(lines(section([*base(), switched], title, catsdogs="now"), name)) == 1
    assert "## Precision" not in tried.render_page([*base(), switched], RECIPES | {"catsdogs": "now"})
    rows = [row(config="catsdogs"), switched]
    assert lines(section(rows, title, catsdogs="now"), name) == []
    assert verdict(section(rows, "Precision and compilation", catsdogs="now"), "`precision=32-true`") == "**better**"


def test_few_seeds_leave_the_binomial_noise() -> None:
    seeds = base()
    each = compared([*seeds[:4], row("a=1", 0.11)])["a=1"]
    q = (sum(SEEDS[:4]) + 0.11) / 5
    z = (sum(SEEDS[:4]) / 4 - 0.11) / (q * (1 - q) / 2000 * (1 + 1 / 4)) ** 0.5
    assert each.p == pytest.approx(2 * stats.norm.sf(z))
    assert each.verdict == "inside the noise"
    assert verdicts([*seeds, row("a=1", 0.11)])["a=1"] == "better"
    z = 0.03 / (0.105 * 0.895 / 2000 * 2) ** 0.5
    assert compared([row(), row("a=1", 0.09)])["a=1"].p == pytest.approx(2 * stats.norm.sf(z))
    assert compared([row(error=0.0), row("a=1", 0.0)])["a=1"].p == 1
    thirds = [row(error=error, seed=seed) for seed, error in enumerate((0.044, 0.04, 0.0435))]
    assert str(compared([*thirds, row("a=1", sum((0.044, 0.04, 0.0435)) / 3 + 1e-17)])["a=1"].points) == "0.0"  # no -0


def test_the_noise_is_pooled_over_settings_of_the_config() -> None:
    rows = [row(error=0.12), *(row("a=1", error, seed=seed) for seed, error in enumerate(SEEDS))]
    rows += [row("b=1", 0.10, seed=0), row("b=1", 0.12, seed=1), row(config="catsdogs", error=0.5)]
    noise = trials.noises(trials.settings_of(rows))
    assert set(noise) == {("catsdogs_trial", 2000)}
    squares = sum((error - 0.12) ** 2 for error in SEEDS) + 2 * 0.01**2
    assert noise["catsdogs_trial", 2000] == pytest.approx(((squares / 5) ** 0.5, 5))


@pytest.mark.parametrize("other", [{"config": "catsdogs"}, {"recipe": "older"}, {"epochs": 8}, {"val_images": 1000}])
def test_only_like_is_compared_with_like(other: dict[str, object]) -> None:
    rows = [*base(), row("lr=0.3", 0.10, **other)]
    assert verdicts(rows) == {"lr=0.3": "no base"}
    assert "Nothing can be compared yet." in tried.render_page(rows, RECIPES)
    assert "There is no run of the base: nothing is compared." in tried.render_page(rows, RECIPES)
    assert verdicts([*rows, row(error=0.2, **other)]) == {"lr=0.3": "better"}


def test_another_version_of_the_recipe_has_its_own_table() -> None:
    rows = [row(error=0.2, recipe="older"), row("lr=0.3", 0.12, recipe="older"), *base(), row("lr=0.3", 0.12)]
    new, earlier = section(rows, "Learning rate and schedule").split("another version of the recipe (older)")
    assert verdict(new, "`lr=0.3`") == "inside the noise"
    assert verdict(earlier, "`lr=0.3`") == "**better**"  # by the noise of the newer seeds
    assert lines(earlier, "as it is")[0][7] == "80.00 %"


def test_length_is_compared_with_the_recipe_and_other_ideas_with_their_own_length() -> None:
    rows = [*base(), row("max_epochs=32", 0.09, epochs=32), row("lr=0.3, max_epochs=32", 0.091, epochs=32)]
    assert verdicts(rows) == {"max_epochs=32": "better", "lr=0.3, max_epochs=32": "inside the noise"}
    assert verdicts([rows[-1], *rows[:5]]) == {"lr=0.3, max_epochs=32": "no base"}


def test_other_members_are_compared_with_the_newest_ensemble() -> None:
    """Whose members are of the recipes as they are now; how long these were trained is not the ensemble's length."""
    rows = [
        row(changes, error, config="catsdogs_ensemble", epochs=epochs, finished=f"2026-01-0{day} 10:00")
        for day, (changes, error, epochs) in enumerate([("", 0.20, 10), ("members=['x']", 0.10, 30), ("", 0.11, 20)], 1)
    ]
    found = trials.compare(rows)
    (each,) = found[found["changes"] != ""].itertuples()
    assert (found["epochs"][each.base], round(each.points, 2)) == (20, 1)


def test_switches_of_precision_are_shared_with_the_base_where_they_can() -> None:
    run = row("norm=group, precision=32-true", 0.10)
    assert verdicts([*base(), run])["norm=group, precision=32-true"] == "better"
    assert verdicts([*base(), row("precision=32-true", 0.10), run]) == {
        "precision=32-true": "better",
        "norm=group, precision=32-true": "inside the noise",
    }


def test_several_seeds_are_one_row_with_their_mean() -> None:
    rows = [*base(), *(row("lr=0.3", error, seed=seed) for seed, error in enumerate((0.10, 0.11, 0.12)))]
    ((_, _, seeds, _, _, _, _, accuracy, interval, points, _),) = lines(tried.render_page(rows, RECIPES), "`lr=0.3`")
    assert (seeds, accuracy, interval, points) == ("0, 1, 2", "89.00 ± 1.00 %", "87.6 to 90.3", "+1.00")
    again = tried.render_page([*rows, row("lr=0.3", 0.15, seed=2)], RECIPES)  # the newest of a seed counts
    assert lines(again, "`lr=0.3`")[0][7] == "88.00 ± 2.65 %"
    assert "1 run had the setting and seed of a newer one" in again


def test_a_diverged_run_is_not_compared() -> None:
    rows = [*base(), row("lr=9.0", "nan"), row("lr=8.0", ""), row("lr=7.0", 0.13), row("lr=7.0", "inf", seed=1)]
    rows.append(row("lr=6.0", "", best_val_error=0.1))
    found = {f"lr={lr}.0": words for lr, words in ((9, "diverged"), (8, "diverged"), (6, "not measured"))}
    assert verdicts(rows) == found | {"lr=7.0": "partly diverged (1 of 2)"}
    text = tried.render_page(rows, RECIPES)
    assert "nan" not in text
    assert "- **Diverged**: `lr=8.0`; `lr=9.0`" in text
    assert "None of them ended with a finite error" in section(rows, "Learning rate and schedule")
    assert verdicts([row(error="nan"), row("lr=0.3")]) == {"lr=0.3": "no base"}


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ("blocks=[1, 1, 1, 1], stem_stride=1, widths=[32, 32, 64, 128, 256]", "Depth and width"),
        ("activation=silu", "Activation and squeeze-and-excitation"),
        ("lr=0.01, norm=none", "Norms"),
        ("lr=0.002, optimizer=adamw, weight_decay=0.05", "Optimiser"),
        ("batch_size=128, lr=0.3", "Batch size"),
        ("schedule=cosine, lr=0.3", "Learning rate and schedule"),
        ("augment.mix_probability=0.5, augment.mixup=0.2", "Augmentation"),
        ("augment.mix_probability=0.5, augment.cutmix=0.2", "Augmentation"),
        ("augment.cutout=0.3, augment.mixup=0.2", "Several at once"),
        ("dropout=0.1, stochastic_depth=0.1", "Regularisation"),
        ("views=one", "Averaging"),
        ("size_schedule.0=32, size_schedule.8=48", "Image size and its schedule"),
        ("max_epochs=8", "Length"),
        ("compile_net=False", "Precision and compilation"),
        ("compile_net=False, norm=group", "Norms"),
        ("dropout=0.1, norm=group", "Several at once"),
        ("wonder=3", "Other"),
        ("lr=0.3, wonder=3", "Several at once"),
    ],
)
def test_every_setting_is_under_the_theme_of_what_changed(changes: str, title: str) -> None:
    rows = [*base(), row(changes, 0.0999)]
    assert "90.01 %" in section(rows, title)
    assert tried.render_page(rows, RECIPES).count("90.01 %") == 1


def test_changes_are_read_and_shortened() -> None:
    text = "augment.crop_scale=(0.25, 1.0), size_schedule.0=32, size_schedule.10=48, widths=[8, 8]"
    read = trials.parse_changes(text)
    assert read["widths"] == "[8, 8]"
    assert trials.format_changes(read) == "`crop_scale=(0.25,1.0)`, `size_schedule={0:32,10:48}`, `widths=[8,8]`"
    assert trials.format_changes({}) == "as it is"
    assert len(trials.format_changes({"members": "x" * 400})) < 60
    with pytest.raises(SystemExit, match=r"error: .*docs/runs\.csv has the changes 'wonder'; expected NAME=VALUE"):
        trials.parse_changes("wonder")


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ((0.13, 0.10), "The best is `lr=2.5`, 2.00 points better than the base: more than noise (p "),
        ((0.119,), "The best is `lr=1.5`, 0.10 points better than the base: inside the noise (p 0.7"),
        ((0.14,), "None is better than the base. The nearest, `lr=1.5`, is 2.00 points worse: more than noise"),
        ((0.12,), "None is better than the base; `lr=1.5` has the same accuracy."),
        ((0.10, 0.121, 0.14), "Of 3 settings: 1 better, 1 inside the noise and 1 worse."),
    ],
)
def test_sentences_follow_from_the_numbers(errors: tuple[float, ...], words: str) -> None:
    rows = [*base(), *(row(f"lr={place}.5", error) for place, error in enumerate(errors, 1))]
    assert words in section(rows, "Learning rate and schedule")


def test_the_summary_counts_and_sorts() -> None:
    rows = [*base(), row("lr=0.3", 0.08), row("norm=group", 0.14)]
    rows += [row("views=one", 0.12, machine="a GPU", seconds=3600), row("lr=0.9", 0.01, config="mnist")]
    text = tried.render_page(rows, RECIPES)
    hours = f"{(7 * 254 + 3600) / 3600:.1f} hours"
    for words in (
        "8 runs of 4 settings", f"{hours} of training.", "A: two cores; B: a GPU.",
        "- **Helped**: `lr=0.3` (+4.00)\n- **Hurt**: `norm=group` (-2.00)\n",
        "- **Inside the noise**: `views=one` (+0.00)",
        "Of 3 comparisons, 0.2 would be called better or worse by chance alone. 2 of them, in **bold**",
        "0.32 points between seeds, 4 degrees of freedom (used)",
    ):  # fmt: skip
        assert words in text
    assert verdict(text, "`lr=0.3`") == "**better**"
    further = render("report/not_done.md.j2", effects={}).strip()
    assert further in section(rows, "What might help further and has not been tried")
    with_ensemble = tried.render_page([*rows, row(config="catsdogs_ensemble", seconds=36000, seed="0, 1")], RECIPES)
    assert hours in with_ensemble  # its members' own
    assert "published weights" in with_ensemble
    assert "published weights" not in text


def test_no_table_beats_the_highest_accuracies_that_are_named() -> None:
    text = (REPOSITORY / "docs" / "tried.md").read_text()
    named = re.findall(r"The highest accuracy of .*", text)
    best = max(float(number) for words in named for number in re.findall(r"(\d+\.\d+) %", words))
    cells = [float(number) for number in re.findall(r"\| (\d+\.\d+)(?: ± \d+\.\d+)? % \|", text)]
    assert len(cells) > 40
    assert max(cells) == best


def test_without_a_change_the_page_is_short() -> None:
    text = tried.render_page([row(config="catsdogs", error=0.0675, epochs=65)], {"catsdogs": "now"})
    for words in ("1 run of 1 setting", "Nothing can be compared yet", "`catsdogs`: 93.25 % after 65 epochs."):
        assert words in text
    assert "No run is recorded yet" in tried.render_page([], {})


def test_the_same_rows_make_the_same_page() -> None:
    rows = [*base(), *(row(f"{name}=1", 0.11) for name in ("a", "b", "lr", "norm")), row(recipe="older")]
    rows += [row("lr=1", 0.1, machine="a GPU"), row("lr=1", 0.13), row("a=1", 0.13), row("a=1", 0.12)]  # newer ones
    text = tried.render_page(rows, RECIPES)
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        assert tried.render_page(rows, RECIPES) == text


def test_all_lines_of_a_table_have_its_columns() -> None:
    rows = [*base(), row("lr=0.3", "nan"), row("dropout=0.1"), row("norm=group", recipe="older")]
    for block in re.findall(r"(?:^\|.*\n)+", tried.render_page(rows, RECIPES), re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1
