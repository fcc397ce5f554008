"""What the sections say follows from the numbers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from lit_a1.report import blocks
from lit_a1.report.build import document
from lit_a1.report.document import Figure, Missing, Section, Table, Text
from lit_a1.report.further import further
from lit_a1.report.gather import Gathered, gather
from lit_a1.report.looking import looking
from lit_a1.report.outcomes import gap_in_words, joint, joint_in_words
from lit_a1.report.problem3 import problem3, rank, trials_of

Add = Callable[..., Path]
LOGS = Path("lightning_logs")


def every(sections: list[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from every(section.sections)


def words(section: Section) -> str:
    return "\n".join(block.markdown for block in section.blocks if isinstance(block, Text))


def test_the_best_network_is_that_of_the_smallest_last_error(add_run: Add) -> None:
    add_run("catsdogs", [0.05, 0.20])  # a better epoch that was chosen on these pictures does not count
    add_run("catsdogs_best", [0.10])
    add_run("catsdogs_gpu", [None])
    ranked = rank(gather(LOGS, "real"), ("catsdogs", "catsdogs_best", "catsdogs_gpu"))
    assert [run.folder.parent.name for run in ranked] == ["catsdogs_best", "catsdogs"]
    assert rank(gather(LOGS, "real"), ("mnist",)) == []


def test_several_seeds_are_a_mean_and_one_has_the_interval_of_its_pictures(add_run: Add) -> None:
    add_run("catsdogs", [0.10], seed=0)
    found = gather(LOGS, "real")
    one = blocks.errors_in_words(found.alike("catsdogs"), "photos")
    assert "**10.00 %**, an accuracy of 90.00 %; the choice of 2,000 photos leaves 8.76 % to 11.39 %" in one
    add_run("catsdogs", [0.14], seed=1)
    assert "**12.00 ± 2.83 %** (mean ± standard deviation over 2 seeds)" in blocks.errors_in_words(
        found.alike("catsdogs"), "photos"
    )


@pytest.mark.parametrize("gpu", [False, True])
def test_what_asks_for_a_gpu_says_so_where_there_is_none(gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    (best, *_), (other, *_) = (blocks.trained(gather(LOGS, "real"), name) for name in ("catsdogs_best", "catsdogs"))
    assert isinstance(best, Missing)
    assert ("It is a recipe for a GPU, which this machine lacks." in best.what) is not gpu
    assert isinstance(other, Missing)
    assert "GPU" not in other.what


PLAIN = {"data.augment.flip": "none", "data.augment.crop_scale": "(1.0, 1.0)"}
PLAIN |= {f"data.augment.{name}": 0 for name in ("brightness", "contrast")}


def test_errors_on_harder_pictures_are_not_compared(add_run: Add) -> None:
    add_run("catsdogs", [0.4, 0.2])  # of the training pictures 15 % were wrong
    runs = gather(LOGS, "real").alike("catsdogs")
    text = gap_in_words(runs)
    assert "15.00 % of the training and 20.00 % of the validation pictures were wrong" in text
    assert "can't be compared" in text
    assert "The validation loss is smallest in the last epoch" in text
    assert "can't be told from them" in words(further(gather(LOGS, "real"), runs[0], None, []))


@pytest.mark.parametrize(
    ("error", "verdict", "advice"),
    [(0.20, "overfits by more than", "regularisation is what"), (0.16, "no more than", "a larger network")],
)
def test_a_gap_is_compared_with_the_noise_of_the_pictures(
    error: float, verdict: str, advice: str, add_run: Add
) -> None:
    add_run("catsdogs", [0.1, error], settings=PLAIN)  # 15 %; of 2,000 pictures 16 % are 14.5 to 17.7
    runs = gather(LOGS, "real").alike("catsdogs")
    text = gap_in_words(runs)
    assert verdict in text
    assert f"a gap of {100 * (error - 0.15):+.2f} points" in text
    assert f"smallest after epoch 1, 0.2000, and {2 * error + 0.001:.4f} at the end" in text
    assert advice in words(further(gather(LOGS, "real"), runs[0], None, []))


def test_without_runs_nothing_is_concluded() -> None:
    assert gap_in_words([]) == "The last epoch was not validated."
    section = further(Gathered(LOGS), None, None, [])
    assert "Read off" not in words(section)
    assert "Not done" in words(section)


def test_an_ensemble_is_compared_with_the_noise(add_run: Add) -> None:
    members = [{"val/error": 0.05, "checkpoint": "a"}, {"val/error": 0.07, "checkpoint": "b"}]
    assert joint(gather(LOGS, "real")) is None
    for error, said, advice in (
        (0.049, "2 mistakes fewer, a difference inside the noise", "inside the noise"),
        (0.02, "60 mistakes fewer, more than noise", "could go on there"),
        (0.09, "80 mistakes more, more than noise", "it does not help"),
    ):
        add_run("catsdogs_ensemble", [error], members=members)
        found = gather(LOGS, "real")
        both = joint(found)
        assert both is not None
        assert said in joint_in_words(both)
        assert advice in words(further(found, None, None, []))
    add_run("catsdogs_ensemble", [0.01], members=[])
    assert joint(gather(LOGS, "real")) == both


def test_ideas_that_helped_and_are_not_used_are_named(add_run: Add) -> None:
    run = add_run("catsdogs", [0.04], settings={"model.transition": "max_pool"})
    row = {
        "finished": "2026-11-20 10:00", "config": "catsdogs_trial", "recipe": "r", "changes": "", "seed": "0",
        "epochs": "8", "parameters": "1", "seconds": "60", "machine": "m", "commit": "c", "val_pictures": "2000",
        "best_val_error": "0.1600", "last_val_error": "0.1600",
    }  # fmt: skip
    used, better, same = "transition=max_pool, lr=0.05", "widths=[48, 96, 192, 384]", "dropout=0.2"
    rows = [row, *(row | {"changes": name, "last_val_error": f"{error:.4f}"} for name, error in
                   ((used, 0.11), (better, 0.10), (same, 0.158)))]  # fmt: skip
    found = gather(LOGS, "real")
    text = words(further(found, found.newest("catsdogs"), None, rows))
    assert run.is_dir()
    assert "`widths=[48,96,192,384]` made the short recipe better by 6.00 points" in text
    assert "max_pool" not in text
    assert "dropout" not in text
    assert "made the short recipe better" not in words(further(found, None, None, rows))


def test_a_part_of_an_analysis_is_shown_and_its_lost_figure_told(add_run: Add) -> None:
    run = add_run("catsdogs", [0.1, 0.2])
    training = gather(LOGS, "real").newest("catsdogs")
    folder = run / "analysis"
    assert isinstance(looking(folder, training, "x", "catsdogs", "do it").blocks[-1], Missing)
    folder.mkdir()
    figures = [{"file": name, "caption": "C.", "shows_pictures": True} for name in ("there.png", "gone.png")]
    part = {"name": "kernels", "title": "Kernels", "words": ["W."], "numbers": {}, "figures": figures}
    part |= {"tables": ["t.csv"], "source": "S", "commit": "abc", "seconds": 2.0}
    (folder / "kernels.json").write_text(json.dumps(part))
    (folder / "mistakes.json").write_text("{")
    (folder / "there.png").write_bytes(b"")
    section = looking(folder, training, "x", "catsdogs", "do it")
    (kernels,) = section.sections
    assert (kernels.title, kernels.anchor) == ("Kernels", "x-kernels")
    assert [type(block) for block in kernels.blocks] == [Text, Figure, Missing, Text]
    assert "gone.png" in kernels.blocks[2].what  # type: ignore[union-attr]
    damaged, lacking = [block for block in section.blocks if isinstance(block, Missing)]
    assert "mistakes.json" in damaged.what
    assert "confusion, conditions" in lacking.what
    assert "kernels" not in lacking.what
    assert "with commit abc, in 2 s" in words(section)
    assert "that choice flatters" in words(section)  # of two epochs the first was better


def test_the_best_network_that_was_looked_into_is_shown(add_run: Add, tmp_path: Path) -> None:
    best, other = add_run("catsdogs_best", [0.1]), add_run("catsdogs", [0.2])
    part = {
        "name": "kernels",
        "title": "Kernels",
        "words": [],
        "numbers": {},
        "figures": [],
        "tables": [],
        "source": "S",
    }
    (other / "analysis").mkdir()
    (other / "analysis" / "kernels.json").write_text(json.dumps(part))

    def shown() -> Section:
        sections = problem3(gather(LOGS, "real"), tmp_path).sections
        return next(section for section in sections if section.anchor == "catsdogs-analysis")

    assert shown().title == "What the network of catsdogs sees"
    first = shown().blocks[0]
    assert isinstance(first, Missing)
    assert "catsdogs_best/version_0`, has not been looked into" in first.what
    (best / "analysis").mkdir()
    (best / "analysis" / "kernels.json").write_text(json.dumps(part))
    assert shown().title == "What the network of catsdogs_best sees"
    assert isinstance(shown().blocks[0], Text)


def test_what_a_run_lost_is_told(add_run: Add) -> None:
    run = add_run("catsdogs", [0.1])
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "best.ckpt").write_bytes(b"")
    (run / "test.json").write_text("{")
    weights, test = blocks.trained(gather(LOGS, "real"), "catsdogs")
    assert isinstance(weights, Missing)
    assert weights.what.endswith("has lost its weights: last in `checkpoints`.")
    assert isinstance(test, Missing)
    assert "test.json` is damaged" in test.what


def test_every_row_of_the_trials_names_its_run(add_run: Add, tmp_path: Path) -> None:
    add_run("catsdogs", [0.2], settings={"model.lr": 0.3})
    add_run("catsdogs", [0.2], settings={"model.class_path": "lit_a1.models.old.Net"})
    found = gather(LOGS, "real")
    trials = trials_of(found)
    assert trials.places[0] == "lightning_logs/catsdogs/version_0"
    assert set(trials.places[1:]) == {"docs/runs.csv"}
    assert trials.rows[0]["changes"] == "lr=0.3"
    assert "version_1` can't be compared" in trials.unknown[0]
    section = next(part for part in problem3(found, tmp_path).sections if part.anchor == "catsdogs-hyperparameters")
    (table,) = section.sections[-1].blocks
    assert isinstance(table, Table)
    assert len(table.rows) == len(trials.rows)
    add_run("catsdogs_trial-drawn", [0.2])
    assert [row["config"] for row in trials_of(gather(LOGS, "drawn")).rows] == ["catsdogs_trial"]


def test_anchors_are_unique_and_every_figure_and_table_names_its_source(add_run: Add, tmp_path: Path) -> None:
    for name in ("mlp", "mnist_plain", "mnist", "catsdogs", "catsdogs_best"):
        add_run(name, [0.3, 0.2])
    report = document(gather(LOGS, "real"), tmp_path)
    sections = list(every(report.sections))
    anchors = [section.anchor for section in sections]
    assert len(anchors) == len(set(anchors))
    for block in [block for section in sections for block in section.blocks] + report.summary:
        if isinstance(block, Figure | Table):
            assert block.source
            assert block.caption
        if isinstance(block, Table):
            assert all(len(row) == len(block.header) for row in block.rows)


def test_drawn_photos_are_not_audited(tmp_path: Path) -> None:
    assert problem3(Gathered(LOGS), tmp_path).sections[0].title == "The photos"
    assert problem3(Gathered(LOGS, True, True), tmp_path).sections[0].title == "Architecture"


def test_marks_of_markdown_are_not_read_aloud() -> None:
    assert blocks.plain("**b** `c`") == "b c"
