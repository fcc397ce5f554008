"""What Problem 2 says follows from runs and studies, whatever there is of them."""

from pathlib import Path
from typing import Any

import pytest

from lit_a1.report.comparison import progress, side_by_side
from lit_a1.report.document import Section
from lit_a1.report.gather import gather
from lit_a1.report.problems import problem2
from tests.report.conftest import LOGS, Add, leave_study, sections_of, words

RESULTS = """experiment,seed,parameters,multiply_adds,epochs,seconds_an_epoch,train_error,val_error,test_error
mlp_ablation,0,905010,903800,10,2.5,0.001,0.02,0.018
mlp_ablation,1,905010,903800,10,3.5,0.001,0.02,0.020
mnist_ablation,0,914922,24796896,10,40,,0.01,0.009
"""


def trained(add_run: Add, *errors: tuple[float, float], seed: int = 0) -> None:
    train, valid = zip(*errors, strict=True)
    add_run("mnist_plain", valid, seed=seed, train=train)


def sections(tmp_path: Path) -> dict[str, Section]:
    return sections_of(problem2, gather(LOGS, "real"), tmp_path)


def test_errors_epoch_by_epoch_are_means_over_the_runs(add_run: Add) -> None:
    trained(add_run, (0.02, 0.03), (0.01, 0.012), (0.0, 0.010))
    trained(add_run, (0.04, 0.05), (0.01, 0.012), (0.001, 0.010), seed=1)
    found = progress(gather(LOGS, "real").runs_with_newest_settings("mnist_plain"))
    assert found["train"] == pytest.approx([0.03, 0.01, 0.0005])
    assert found["valid"] == pytest.approx([0.04, 0.012, 0.010])
    assert found["settled"] == 2  # of 2,000 images 1 % are 0.65 to 1.54 %
    assert found["noise"] == pytest.approx((0.0065, 0.0154), abs=1e-4)
    assert found["table"]["rows"][1] == ["validation error", "4.00 %", "1.20 %", "1.00 %"]


def test_without_training_errors_measured_alike_there_is_no_such_table(add_run: Add, tmp_path: Path) -> None:
    add_run("mnist_plain", [0.03, 0.02])
    assert progress(gather(LOGS, "real").runs_with_newest_settings("mnist_plain")) is None
    assert "`--data.measure_train true` records it" in words(sections(tmp_path)["problem-2"].blocks)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([(0.02, 0.05), (0.0, 0.012), (0.0, 0.010)], "the network overfits, but the validation error does not rise"),
        ([(0.02, 0.05), (0.0, 0.010), (0.0, 0.030)], "the validation error has risen since its minimum"),
        ([(0.02, 0.05), (0.01, 0.012), (0.01, 0.010)], "no sign of overfitting"),
        ([(0.02, 0.09), (0.01, 0.06), (0.01, 0.010)], "it is still falling, by more than"),
    ],
)
def test_the_comment_follows_from_the_errors(errors: Any, expected: str, add_run: Add, tmp_path: Path) -> None:
    trained(add_run, *errors)
    assert expected in words(sections(tmp_path)["problem-2"].blocks)


def test_what_is_missing_is_said_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_a1.report.gather.RECORDED", tmp_path / "none")
    found = sections(tmp_path)
    commands = {block.command for section in found.values() for block in section.blocks if block.kind == "missing"}
    assert "python main.py fit --config configs/mnist_plain.yaml" in commands
    assert "python main.py compare" in commands
    assert "python main.py compare --experiments mlp_ablation mnist_ablation --name mnist-ablation" in commands


def test_answers_open_with_the_verdict_and_the_rest_is_in_the_appendix(add_run: Add, tmp_path: Path) -> None:
    trained(add_run, (0.02, 0.03), (0.0, 0.01))
    shows = "## What the comparison shows"  # of the networks that were trained alike
    text = f"# C\n\nVerdict.\n\n## Side by side\n\nS.\n\n{shows}\n\nW.\n\n## Changed images\n\nC.\n"
    leave_study("mnist-compare", comparison_md=text + "\n## Intervals\n\nI.\n")
    leave_study(
        "mnist-ablation",
        comparison_md=f"# A\n\nAlike.\n\n## What else differs\n\nD.\n\n{shows}\n\nOf both.\n",
        results_csv=RESULTS,
    )
    found = sections(tmp_path)
    blocks = [block.text.strip() for block in found["mnist-comparison"].blocks]
    assert blocks[1] == "Verdict."
    assert {"Alike.", "D.", "Of both."} <= set(blocks)
    assert not {"W.", "C."} & set(blocks)
    assert "mnist-ablation-what-else-differs" not in found
    assert not any("own recipes differ" in text for text in blocks)  # which the comparison does not tell
    rest = ("side-by-side", "what-the-comparison-shows", "changed-images", "intervals")
    assert {f"mnist-comparison-{name}" for name in rest} <= found.keys()


def test_networks_of_studies_stand_side_by_side() -> None:
    first = leave_study("mnist-compare", results_csv="experiment,seed\nmlp,0\n")  # of a wrong shape
    assert side_by_side([None, first]) is None
    found = side_by_side([first, leave_study("mnist-ablation", results_csv=RESULTS)])
    rows = {row[0]: row[1:] for row in found["rows"]}
    assert found["header"] == ["", "MLP, alike", "CNN, alike"]
    assert rows["runs"] == ["2", "1"]
    assert rows["seconds per epoch"] == ["3", "40"]
    assert rows["test error"] == ["1.90 ± 0.14 %", "0.90 % (one run)"]
    assert rows["training error"] == ["0.10 ± 0.00 %", "not recorded"]
