"""What Problem 2 says follows from runs and studies, whatever there is of them."""

from pathlib import Path

import pytest

from lit_a1.report.document import Section
from lit_a1.report.gather import gather
from lit_a1.report.problems import problem2, side_by_side
from tests.report.conftest import LOGS, Add, leave_study, sections_of, words

RESULTS = """experiment,seed,parameters,multiply_adds,epochs,seconds_per_epoch,train_error,val_error,test_error
mlp_ablation,0,905010,903800,10,2.5,0.001,0.02,0.018
mlp_ablation,1,905010,903800,10,3.5,0.001,0.02,0.020
mnist_ablation,0,914922,24796896,10,40,,0.01,0.009
"""


def trained(add_run: Add, *errors: tuple[float, float], seed: int = 0) -> None:
    train, valid = zip(*errors, strict=True)
    add_run("mnist_plain", valid, seed=seed, train=train)


def sections(tmp_path: Path) -> dict[str, Section]:
    return sections_of(problem2, gather(LOGS, "real"), tmp_path)


def test_the_comment_is_on_the_errors_of_the_last_epoch_as_means_over_the_runs(add_run: Add, tmp_path: Path) -> None:
    trained(add_run, (0.02, 0.03), (0.0, 0.010))
    trained(add_run, (0.04, 0.05), (0.001, 0.012), seed=1)
    text = words(sections(tmp_path)["problem-2"].blocks)
    assert "All values are means over 2 runs. It is 4.00 % after epoch 1 and 1.10 % after epoch 2" in text
    assert "Their error falls from 3.00 % after epoch 1 to 0.05 % after epoch 2" in text
    assert "the training error is 0.05 % and the validation error 1.10 %, a gap of +1.05 points" in text
    assert "the network **overfits**" in text


def test_a_sample_of_the_training_images_is_not_called_all_of_them(add_run: Add, tmp_path: Path) -> None:
    add_run("mnist_plain", [0.03, 0.02], train=[0.02, 0.01], settings={"data.measure_train": 2000})
    text = words(sections(tmp_path)["problem-2"].blocks)
    assert "2,000 training images were also measured like the validation images" in text
    assert "all 18,000 training images" not in text


def test_without_training_errors_measured_alike_the_option_is_named(add_run: Add, tmp_path: Path) -> None:
    add_run("mnist_plain", [0.03, 0.02])
    text = words(sections(tmp_path)["problem-2"].blocks)
    assert "`--data.measure_train true` records it" in text
    assert "also measured like the validation images" not in text


def test_without_a_run_recorded_ones_answer(tmp_path: Path) -> None:
    found = sections(tmp_path)
    plot = [block.source for block in found["problem-2"].blocks if block.anchor == "cnn-curves"]
    assert [source.split(",")[0] for source in plot] == ["docs/studies/mnist-compare"]
    shown = [block.path for section in found.values() for block in section.blocks if block.kind == "figure"]
    assert len(shown) == len(set(shown))
    text = words(found["problem-2"].blocks)
    assert "trains for 10 epochs in mini-batches of 128 images. It uses the optimiser `sgd`" in text
    sizes = words(found["cnn-architecture"].blocks)
    assert "The CNN has 915,058 parameters and the MLP of Problem 1 has 905,010" in sizes


def test_what_is_missing_is_said_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_a1.report.gather.RECORDED", tmp_path / "none")
    monkeypatch.setattr("lit_a1.report.results.read_rows", list)
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
