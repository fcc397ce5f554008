"""The first page: every network's errors, and an answer to each question."""

from pathlib import Path

import pytest

from lit_a1.report.about import About
from lit_a1.report.build import document
from lit_a1.report.gather import gather
from lit_a1.report.summary import network_errors, summary
from tests.report.conftest import LOGS, Add, leave_study

ABOUT = About(kaggle=0.95)


def answers(tmp_path: Path) -> dict[str, str]:
    """The table of questions: answers by the number of the section."""
    report = document(gather(LOGS, "auto"), tmp_path, ABOUT)
    (text,) = (block.text for block in report.summary if "| question |" in block.text)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()[2:]]
    numbers = {f"[{section.number}](#{section.anchor})" for section in report.sections}
    assert all(len(row) == 3 and row[0] and row[1] and row[2] in numbers for row in cells)
    return {row[2][1:4]: row[1] for row in cells}


def test_every_question_has_an_answer_from_records(add_run: Add, tmp_path: Path) -> None:
    add_run("mlp", [0.02], parameters=905_010, setup="784-700-500-10 (905,010 parameters), gelu")
    add_run("mnist_plain", [0.01], parameters=914_060)
    add_run("catsdogs", [0.02], parameters=1_234_567)
    studies = {
        "inits": {"trials": {"glorot": {"epochs": [{"train/loss": 2.0}, {"train/loss": 0.125}]}}},
        "search": {"trials": {"complete": 3, "pruned": 2}, "best": {"val/error": 0.0147}},
        "gradcheck": {"smallest": 2.5e-12, "best_n": 5000},
    }
    for name, record in studies.items():
        leave_study(f"mlp-{name}", record)
    answer_by_section = answers(tmp_path)
    expected = {
        "1.1": "905,010 parameters: 784-700-500-10", "1.2": "glorot 0.125",
        "1.3": "98.53 % with two hidden layers (5 trials)",
        "1.4": "2.5e-12, at N = 5,000", "2.1": "914,060 parameters, +1.0 %", "3.1": "1,234,567 parameters",
        "3.3": "2.00 % of 2,000 images (95 % interval 1.47 to 2.71 %)",
    }  # fmt: skip
    assert all(words in answer_by_section[number] for number, words in expected.items())
    assert any(answer == "1.00 % against 2.00 %" for answer in answer_by_section.values())
    assert any(answer == "98.00 %; Kaggle: 95.00 %" for answer in answer_by_section.values())


def test_without_runs_and_with_drawn_ones(add_run: Add, tmp_path: Path) -> None:
    answer_by_section = answers(tmp_path)
    assert answer_by_section["1.1"] == "905,010 parameters (recorded runs)"
    assert answer_by_section["2.1"] == "915,058 parameters, +1.1 % (recorded runs)"
    assert "(recorded run)" in answer_by_section["1.2"]
    values = summary(gather(LOGS, "real"), ABOUT, 0)
    assert not values["trained"]
    assert values["best"]["origin"] == "published weights"
    assert {row[1].partition(", ")[2] for row in values["table"]["rows"]} == {"recorded runs", "published weights"}
    assert network_errors(gather(LOGS, "drawn"), "catsdogs_best") is None
    add_run("catsdogs-drawn", [0.5])
    values = summary(gather(LOGS, "drawn"), ABOUT, 0)
    assert (values["trained"], values["best"]["mean"]) == (True, 0.5)
    assert values["inits"] is None


@pytest.mark.parametrize("error", [0.01, 0.2])
def test_the_best_network_is_the_run_or_the_published_one(error: float, add_run: Add) -> None:
    add_run("catsdogs", [error], seed=1)
    add_run("catsdogs", [error], seed=2)
    values = summary(gather(LOGS, "real"), ABOUT, 3)
    assert values["best"]["origin"] == ("published weights" if error > 0.05 else "runs")
    assert values["table"]["rows"][-1][3] == ("1" if error > 0.05 else "2")
