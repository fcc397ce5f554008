"""What studies, analyses and an audit left, as sections."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lit_a1.report.document import Section, read_markdown, write_section
from lit_a1.report.gather import RecordedRuns, Study, gather
from lit_a1.report.outputs import analysis_values, read_audit, study_values
from tests.report.conftest import LOGS, Add, leave_part

HEAD = "problem,group,name,part,label,detail\n"
Macro = Callable[..., list[Section]]


def kinds(section: Section) -> list[str]:
    return [block.kind for block in section.blocks]


@pytest.fixture
def study_sections(macro: Callable[..., str]) -> Macro:
    def sections(left: Study | None) -> list[Section]:
        values, figures = study_values(left, "comparison.md", "run it"), {"losses.png": "L.", "gone.png": "G."}
        section = macro("study", "study_section", values, "t", "T", "Q?", "R [](#t-figure).", figures)
        return read_markdown(section + macro("study", "study_details", values, "t", "T"))[1]

    return sections


def test_a_study_that_comes_with_the_project_is_said_to(study_sections: Macro) -> None:
    section, details, *parts = study_sections(RecordedRuns(LOGS).study("mlp-inits"))
    assert (details.title, details.anchor, details.blocks) == ("T", "t-details", [])
    assert (section.title, section.anchor, section.depth) == ("T", "t", 2)
    question, answer, reading, figure, gone, text, losses, more = section.blocks
    assert question.text.strip().startswith("*Q?*\n\n")
    assert "the recorded run that comes with the project; `run it` repeats it" in question.text
    assert {block.kind for block in (answer, text, more)} == {"text"}
    assert losses.text == "Training loss at the end of each epoch (0: before training)."
    assert losses.source == figure.source
    assert "smallest" in answer.text  # the first paragraph of the study's own words
    assert (figure.kind, figure.text, figure.alt) == ("figure", "L.", "L.")
    assert "commit" in figure.source
    assert (reading.text.strip(), figure.anchor, losses.anchor) == ("R [](#t-figure).", "t-figure", "t-table-1")
    assert (gone.kind, gone.command) == ("missing", "run it")
    assert "gone.png` is gone" in gone.text
    assert ("Layer by layer", "t-layer-by-layer", 3) in [(part.title, part.anchor, part.depth) for part in parts]


def test_a_study_without_its_text_or_without_anything(tmp_path: Path, study_sections: Macro) -> None:
    (section,) = study_sections(Study(tmp_path, {}, recorded=False))
    assert kinds(section) == ["text", "missing", "text", "missing", "missing"]
    assert "comparison.md` is gone" in section.blocks[1].text
    (section,) = study_sections(None)
    assert [block.text.strip() for block in section.blocks] == ["*Q?*", "This study has not been run."]


def test_a_part_of_an_analysis_is_shown_and_its_lost_figure_told(add_run: Add, macro: Callable[..., str]) -> None:
    folder = add_run("catsdogs", [0.1, 0.2]) / "analysis"
    training = gather(LOGS, "real").newest("catsdogs")

    def sections() -> list[Section]:
        values = analysis_values(folder, training, "do it"), "x", "catsdogs"
        return read_markdown(macro("analysis", "analysis_section", *values))[1]

    (section,) = sections()
    assert [(block.kind, block.command) for block in section.blocks] == [("missing", "do it")]
    figures = [{"file": name, "caption": "C."} for name in ("there.png", "gone.png")]
    about = {"commit": "abc", "seconds": 2.0, "source": "r, best.ckpt (epoch 1)"}
    leave_part(folder, "kernels", words=["W."], figures=figures, tables=["t.csv"], **about)
    (folder / "mistakes.json").write_text("{")
    (folder / "there.png").write_bytes(b"")
    section, kernels = sections()
    assert (kernels.title, kernels.anchor) == ("Kernels", "x-kernels")
    assert kinds(kernels) == ["text", "figure", "missing", "text"]
    assert "gone.png" in kernels.blocks[2].text
    assert "`kernels.json` and `t.csv` in" in kernels.blocks[3].text
    start, damaged, lacking = section.blocks
    assert "mistakes.json" in damaged.text
    assert "confusion, conditions" in lacking.text
    assert "kernels" not in lacking.text
    words = " ".join(start.text.split())
    assert "with commit abc, in 2 s. The weights in best.ckpt" in words  # of two epochs the first was better
    leave_part(folder, "kernels", words=["W."], source="r, last.ckpt (epoch 2)")
    assert "best.ckpt" not in sections()[0].blocks[0].text


def photo_blocks(path: Path) -> list:
    _, (section,) = read_markdown(write_section("photos", photos=read_audit(path)))
    return section.blocks


def test_photos_are_counted_by_problem_and_part(tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    rows = ["greyscale,0,a,train,Cat,", "greyscale,0,b,train,Dog,", "greyscale,0,c,test,,"]
    rows += [f"copies in train,{group},{name},train,Cat," for group, name in ((3, "d"), (3, "e"), (4, "f"), (4, "g"))]
    path.write_text(HEAD + "\n".join(rows) + "\n")
    _, table, words = photo_blocks(path)
    counted = [(row[0], *row[2:]) for row in table.rows]
    assert counted == [("copies in train", "4", "0", "2"), ("greyscale", "2", "1", "")]
    assert words.text.strip().startswith("The audit found 2 groups of exact copies")


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (None, "missing", "have not been audited"),
        ("problem,group\ngreyscale,0\n", "missing", "is damaged"),
        (HEAD + "greyscale,0\n", "missing", "is damaged"),
        ("", "missing", "is damaged"),
        (HEAD + "x" * 200_000, "missing", "is damaged"),
        (HEAD, "text", "nothing wrong"),
    ],
)
def test_an_audit_that_is_missing_damaged_or_empty(content: str | None, kind: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    if content is not None:
        path.write_text(content)
    last = photo_blocks(path)[-1]
    assert last.kind == kind
    assert words in last.text
