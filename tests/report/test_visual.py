"""What the answers show of an analysis, and how validation compares with test."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lit_a1.report.document import Section, read_markdown
from lit_a1.report.outputs import analysis_values
from tests.report.conftest import leave_part

Sections = Callable[..., list[Section]]
FOLDER = Path("analysis")
TEST = {"val_error": 0.05, "test_error_low": 0.04, "test_error_high": 0.06}


def part(name: str, words: list[str], figures: tuple[str, ...] = (), **numbers: Any) -> None:
    """A part of an analysis as `analyze` leaves it."""
    shown = [{"file": file, "caption": f"C {file}."} for file in figures]
    leave_part(FOLDER, name, words=words, numbers=numbers, figures=shown)
    for file in figures:
        (FOLDER / file).write_bytes(b"")


@pytest.fixture
def sections(macro: Callable[..., str]) -> Sections:
    """What a macro of `analysis.md.j2` makes of the folder."""

    def call(name: str, *values: Any, **given: Any) -> list[Section]:
        return read_markdown(macro("analysis", name, analysis_values(FOLDER, None, "do it"), *values, **given))[1]

    return call


def texts(section: Section, kind: str = "text") -> str:
    return " ".join(" ".join(block.text.split()) for block in section.blocks if block.kind == kind)


def test_answers_show_labelled_paragraphs_and_some_figures_and_the_appendix_the_rest(sections: Sections) -> None:
    part("mistakes", ["**The most confident mistakes.** Three.", "Else."], ("mistakes_surest.png", "more.png"))
    part("conditions", ["**Misclassified.** Off.", "| a |\n| --- |\n| 1 |"])
    part("changes", ["**In short.** Green.", "Details."], ("changes.png",))
    (answers,) = sections("visual_analysis")
    assert "**(a) Clearly misclassified.** [](#surest) shows the most confident mistakes. Three. Off." in texts(answers)
    assert "Green." in texts(answers)
    assert "| 1 |" in texts(answers)
    assert not {"Details.", "Else."} & set(texts(answers).split())
    shown = [Path(block.path).name for block in answers.blocks if block.kind == "figure"]
    assert shown == ["mistakes_surest.png", "changes.png"]
    assert texts(answers, "missing").count("Your own observation") == 2
    _, mistakes, *_ = sections("analysis_section", "x", "catsdogs", "", "", ["mistakes_surest.png"])
    assert [Path(block.path).name for block in mistakes.blocks if block.kind == "figure"] == ["more.png"]
    assert "Else." in texts(mistakes)


def test_what_an_earlier_version_left_is_said_to_be_missing(sections: Sections) -> None:
    (answers,) = sections("visual_analysis")
    assert [(block.kind, block.command) for block in answers.blocks if block.kind != "text"] == [("missing", "do it")]
    part("conditions", ["No labels."])
    (FOLDER / "changes.json").write_text("[]")
    (answers,) = sections("visual_analysis")
    assert "has not been tested" in texts(answers, "missing")


@pytest.mark.parametrize(("kaggle", "verdict"), [(0.945, "within"), (0.97, "beyond"), (0.93, "beyond")])
def test_a_kaggle_score_is_compared_with_the_sampling_error(kaggle: float, verdict: str, sections: Sections) -> None:
    part("generalisation", ["**Test error, estimated.** Perhaps."], **TEST)
    about = SimpleNamespace(kaggle=kaggle, kaggle_board="public")
    best = SimpleNamespace(record={"last": {"val/error": 0.05}})
    (section,) = sections("against_test", 40, best, (0.04, 0.06), about=about)
    assert f"**{100 * kaggle:.2f} %** on Kaggle's public leaderboard" in texts(section)
    assert f"a gap of {95 - 100 * kaggle:+.2f} points" in texts(section)
    assert f"the gap is {verdict} sampling error" in texts(section)
    assert "40 recorded runs" in texts(section)
    assert not texts(section, "missing")
    assert "Perhaps." not in texts(section)  # no estimate where it is known


def test_without_a_kaggle_score_there_is_an_estimate(sections: Sections) -> None:
    part("generalisation", ["**Test error, estimated.** Perhaps.", "Else."], **TEST)
    (section,) = sections("against_test", 0)
    assert "`--kaggle ACCURACY`" in texts(section, "missing")
    assert "Perhaps." in texts(section)
    assert "leaderboard" not in texts(section)
    (section,) = sections("against_test", 0, None, None, "another", "analyze it")
    assert "about the network of `another`" in texts(section, "missing")
    part("generalisation", ["**Test error, measured.** Known."], test_error=0.05, **TEST)
    (section,) = sections("against_test", 0)
    assert not texts(section, "missing")


@pytest.mark.parametrize("numbers", [{}, TEST | {"val_error": "much"}, TEST | {"test_error_low": 7}])
def test_numbers_of_a_wrong_shape_are_left_out(numbers: dict[str, Any], sections: Sections) -> None:
    part("generalisation", [], **numbers)
    (section,) = sections("against_test", 0, about=SimpleNamespace(kaggle=0.9, kaggle_board="private"))
    assert "**90.00 %**" in texts(section)
    (section,) = sections("against_test", 0)
    assert "have not been analysed" in texts(section, "missing")
