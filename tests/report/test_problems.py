"""What the sections say follows from the numbers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lit_a1.report import blocks
from lit_a1.report.build import document
from lit_a1.report.document import Figure, Missing, Section, Table, Text
from lit_a1.report.further import further
from lit_a1.report.gather import Gathered, gather
from lit_a1.report.looking import looking
from lit_a1.report.problem3 import best_run, gap, problem3

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
    expected = add_run("catsdogs_best", [0.10])
    add_run("catsdogs_gpu", [None])
    best = best_run(gather(LOGS, "real"), ("catsdogs", "catsdogs_best", "catsdogs_gpu"))
    assert best is not None
    assert best.folder == expected.absolute()
    assert best_run(gather(LOGS, "real"), ("mnist",)) is None


def test_several_seeds_are_a_mean_and_one_has_the_interval_of_its_pictures(add_run: Add) -> None:
    add_run("catsdogs", [0.10], seed=0)
    found = gather(LOGS, "real")
    one = blocks.errors_in_words(found.alike("catsdogs"), "photos")
    assert "**10.00 %**, an accuracy of 90.00 %; the choice of 2,000 photos leaves 8.76 % to 11.39 %" in one
    add_run("catsdogs", [0.14], seed=1)
    assert "**12.00 ± 2.83 %** (mean ± standard deviation over 2 seeds)" in blocks.errors_in_words(
        found.alike("catsdogs"), "photos"
    )


def test_the_gap_is_called_by_its_sign(add_run: Add) -> None:
    add_run("catsdogs", [0.4, 0.2])  # of the training pictures 15 % were wrong
    found = gather(LOGS, "real")
    text = gap(found.alike("catsdogs"))
    assert "15.00 % of the training pictures are wrong (as training ran, on augmented pictures)" in text
    assert "a gap of +5.00 points: the network makes fewer mistakes on pictures that it learnt from" in text
    assert "The validation loss is smallest in the last epoch" in text
    add_run("catsdogs", [0.1, 0.11], seed=0)
    text = gap(found.alike("catsdogs"))
    assert "a gap of -4.00 points: the network makes no fewer mistakes" in text
    assert "smallest after epoch 1, 0.2000, and 0.2210 at the end" in text
    assert gap(gather(LOGS, "drawn").alike("catsdogs")) == "The last epoch was not validated."


@pytest.mark.parametrize(("error", "expected"), [(0.30, "regularisation is what"), (0.16, "a larger network")])
def test_what_could_help_follows_from_the_gap(error: float, expected: str, add_run: Add) -> None:
    add_run("catsdogs", [0.4, error])
    found = gather(LOGS, "real")
    assert expected in words(further(found, best_run(found, ["catsdogs"]), []))


def test_an_ensemble_that_did_not_help_is_called_that(add_run: Add) -> None:
    members = [{"val/error": 0.05, "checkpoint": "a"}, {"val/error": 0.07, "checkpoint": "b"}]
    add_run("catsdogs_ensemble", [0.05], members=members)
    found = gather(LOGS, "real")
    assert "did not help: 5.00 % against 5.00 %" in words(further(found, None, []))
    add_run("catsdogs_ensemble", [0.04], members=members)
    assert "An ensemble of 2 has an error of 4.00 %, its best member 5.00 %" in words(further(found, None, []))


def test_ideas_that_helped_and_are_not_used_are_named(add_run: Add) -> None:
    run = add_run("catsdogs", [0.04], settings={"model.transition": "max_pool"})
    row = {
        "finished": "2026-11-20 10:00", "config": "catsdogs_trial", "recipe": "r", "changes": "", "seed": "0",
        "epochs": "8", "parameters": "1", "seconds": "60", "machine": "m", "commit": "c", "val_pictures": "2000",
        "best_val_error": "0.1600", "last_val_error": "0.1600",
    }  # fmt: skip
    used, better, same = "transition=max_pool", "widths=[48, 96, 192, 384]", "dropout=0.2"
    rows = [row, *(row | {"changes": name, "last_val_error": f"{error:.4f}"} for name, error in
                   ((used, 0.11), (better, 0.10), (same, 0.158)))]  # fmt: skip
    found = gather(LOGS, "real")
    text = words(further(found, best_run(found, ["catsdogs"]), rows))
    assert run.is_dir()
    assert "`widths=[48,96,192,384]` made the short recipe better by 6.00 points" in text
    assert "max_pool" not in text
    assert "dropout" not in text


def test_a_part_of_an_analysis_is_shown_and_its_lost_figure_told(add_run: Add) -> None:
    run = add_run("catsdogs", [0.1])
    found = gather(LOGS, "real")
    (training,) = found.alike("catsdogs")
    assert isinstance(looking(found, training, "x", "catsdogs").blocks[-1], Missing)
    folder = run / "analysis"
    folder.mkdir()
    figures = [{"file": name, "caption": "C.", "shows_pictures": True} for name in ("there.png", "gone.png")]
    part = {"title": "Kernels", "words": ["W."], "numbers": {}, "figures": figures, "tables": ["t.csv"], "source": "S"}
    (folder / "kernels.json").write_text(json.dumps(part))
    (folder / "there.png").write_bytes(b"")
    section = looking(found, training, "x", "catsdogs")
    (kernels,) = section.sections
    assert (kernels.title, kernels.anchor) == ("Kernels", "x-kernels")
    assert [type(block) for block in kernels.blocks] == [Text, Figure, Missing, Text]
    assert "gone.png" in kernels.blocks[2].what  # type: ignore[union-attr]
    (missing,) = [block for block in section.blocks if isinstance(block, Missing)]
    assert "confusion, mistakes" in missing.what
    assert "kernels" not in missing.what


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


def test_studies_that_come_with_the_project_are_said_to(tmp_path: Path) -> None:
    found = Gathered(LOGS, drawn=False)
    section = blocks.study_section(
        found.study("mlp-inits"), "T", "t", "comparison.md", [("losses.png", "L.")], "run", "Q"
    )
    assert section.blocks[1] == Missing(blocks.NOT_HERE, "run")
    assert [part.title for part in section.sections][:3] == ["Zero", "Standard normal", "Glorot"]
    (figure,) = [block for block in section.blocks if isinstance(block, Figure)]
    assert "commit" in figure.source
    assert problem3(Gathered(LOGS, drawn=True), tmp_path).sections[0].title == "Architecture"


def test_markdown_is_split_at_its_headings() -> None:
    text = "# Title\n\nTop [x](x.csv) and [y](https://y).\n\n## One *1*\n\na\n\n### Below\n\nb\n\n## Two\n"
    assert blocks.split_markdown(text) == (
        "Top x and [y](https://y).", [("One *1*", "a\n\n### Below\n\nb"), ("Two", "")]
    )  # fmt: skip
    assert blocks.slug("What's *new*, in 2?") == "what-s-new-in-2"
    assert blocks.plain("**b** `c`") == "b c"
