from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_a1.studies.comparison.changes import KINDS
from lit_a1.studies.comparison.measures import Measured, disagreements, like_for_like
from lit_a1.studies.comparison.runs import Experiment, Network, Run
from lit_a1.studies.comparison.words import compare

PICTURES = 1000


def experiment(
    name: str,
    wrong: Sequence[int],
    *,
    kind: str = "CNN",
    label: str = "",
    vals: Sequence[float] = (0.03, 0.015, 0.008),
    train: float | None = 0.5,
    costs: tuple[int, int] = (1000, 8000),
    added: float = 0.1,
    first_wrong: int = 0,
    machine: str = "a machine",
    weights: str = "last",
    seconds: float = 30.0,
    **settings: Any,
) -> Measured:
    """Runs that are wrong on the first pictures, so many, from `first_wrong` on."""
    runs = []
    for seed in range(len(wrong)):
        epochs = [{"val/error": val} | ({} if train is None else {"train_eval/error": val * train}) for val in vals]
        record: dict[str, Any] = {"seed": seed, "epochs": epochs, "seconds": seconds, "machine": machine}
        record |= {"pictures": {"train": 5000, "val": PICTURES}, "settings": settings}
        run = Run(Path(name, f"version_{seed}"), Path(weights + (".npz" if kind == "MLP" else ".ckpt")), record)
        run.__dict__["network"] = Network(lambda x: np.zeros(len(x), np.int64), *costs)
        runs.append(run)
    right = np.ones((len(wrong), PICTURES), bool)
    for row, count in zip(right, wrong, strict=True):
        row[first_wrong : first_wrong + count] = False
    changed = {
        (change, level): [[count / PICTURES + added * level / max(levels)] for count in wrong]
        for change, levels in KINDS.items()
        for level in levels
    }
    return Measured(Experiment(name, runs), label or kind, right, right.astype(np.int64), changed)


def words(*measured: Measured, weights: Any = "last", left_out: Sequence[str] = ()) -> str:
    first, second = like_for_like(measured)
    kinds = [disagreements(second, first), disagreements(first, second)]
    text = compare(measured, kinds, weights, "1,000 pictures", 0.0123, left_out)
    assert "nan" not in text
    assert "\n\n\n" not in text
    return text


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


MLP = experiment(
    "mlp", [20, 22, 18], kind="MLP", vals=(0.05, 0.025, 0.018), train=0.1, costs=(1010, 1000), added=0.3,
)  # fmt: skip
CNN = experiment("mnist_plain", [5, 7, 6])


def test_the_cnn_is_better() -> None:
    text = words(MLP, CNN)
    assert "CNN makes fewer test errors than MLP: 0.60 % against 2.00 %, 3.33 times as many." in text
    assert "The difference, 1.40 points, is more than the noise of training (95 % interval over seeds 0.98 to" in text
    assert "0.98 to 1.82 points, Welch)" in text  # 2.94 degrees of freedom
    assert "(p below 0.05) in 3 of 3 pairs of runs; median p 6e-05." in text
    assert "better by more than that" not in text
    assert text.count("That is what a CNN's prior knowledge lets one expect") == 1
    assert "CNN right and MLP wrong: 11 test pictures in all runs of both, and 3 more in most runs of both." in text
    assert "MLP right and CNN wrong: 0 test pictures in all runs of both" in text
    assert "5 pictures are wrong in all runs of both." in text
    assert "MLP has the widest gap; that of CNN, the next, is narrower: the noise of training is not known" in text
    assert "a gap of 1.62 points" in text
    assert "The farthest shift moves 1.23 % of the white" in text
    assert "nothing was chosen on the validation pictures" in text


def test_the_tables() -> None:
    text = words(MLP, CNN)
    assert row(text, "parameters") == ["1,010", "1,000 (-0.99 %)"]
    assert row(text, "multiply-adds a picture") == ["1,000", "8,000 (8 times)"]
    assert row(text, "epochs to 98 % validation accuracy") == ["3", "2"]
    assert row(text, "epochs to 99 % validation accuracy") == ["not in 3", "3"]
    assert row(text, "seconds an epoch, whole run (median)") == ["10", "10"]
    assert row(text, "seconds an epoch, training alone (median)") == ["not recorded"] * 2
    assert row(text, "training error, last epoch") == ["0.18 ± 0.00 %", "0.40 ± 0.00 %"]
    assert row(text, "test error, last epoch") == ["2.00 ± 0.20 %", "0.60 ± 0.10 %"]
    assert "| its 95 % interval over seeds (t) | 1.50 to 2.50 % | 0.35 to 0.85 % |" in text  # 4.303 s / sqrt(3)
    assert row(text, "its 95 % interval over test pictures (Wilson)") == ["1.30 to 3.07 %", "0.28 to 1.30 %"]
    assert "| MLP | CNN | 0, 0 | 0 | 15 | 6e-05 |" in text
    assert row(text, "shift, 4 px") == ["32.00 % (31.80 to 32.20 %)", "10.60 % (10.50 to 10.70 %)"]
    assert row(text, "rotation, 45°")[1] == "10.60 % (10.50 to 10.70 %)"
    assert row(text, "none")[0] == "2.00 % (1.80 to 2.20 %)"
    assert "CNN takes 0.01 million for a picture, 8 times those of MLP: each parameter is used 8 times" in text


def test_the_mlp_is_better() -> None:
    mlp = experiment("mlp", [5, 6, 7], kind="MLP", added=0.01)
    cnn = experiment("mnist_plain", [25, 26, 27], added=0.2)
    text = words(mlp, cnn)
    assert "MLP makes fewer test errors than CNN: 0.60 % against 2.60 %, 4.33 times as many." in text
    assert "2.00 points, is more than the noise of training (95 % interval over seeds 1.7" in text
    assert "in 3 of 3 pairs of runs" in text
    assert "That is the opposite of what weight sharing" in text
    assert "is no help against noise" in text
    assert "lets one expect" not in text
    assert "At every level the change adds fewer errors to every run of MLP than to any of CNN." in text


def test_a_difference_inside_the_noise_is_called_that() -> None:
    text = words(experiment("mlp", [5, 25, 9], kind="MLP"), experiment("mnist_plain", [6, 8, 10]))
    assert "is within the noise of training (95 % interval over seeds -" in text
    assert "in 1 of 3 pairs of runs" in text
    assert "The change adds fewer errors to every run of CNN than to any of MLP at 0 of 4 levels" in text
    assert "elsewhere the runs overlap." in text
    assert "lets one expect" not in text
    text = words(experiment("mlp", [20, 0, 25], kind="MLP"), experiment("mnist_plain", [8, 12, 8]))
    assert "In 1 of 3 pairs of runs MLP is better by more than that." in text


def test_a_tie() -> None:
    text = words(experiment("mlp", [6, 6], kind="MLP"), experiment("mnist_plain", [6, 6]))
    assert "CNN and MLP make equally many test errors, 0.60 %." in text
    assert "The noise of training is not known from these runs: that takes two of each, not all alike." in text
    assert "in 0 of 2 pairs of runs; median p 1.000." in text


def test_no_errors_at_all() -> None:
    none = experiment("mnist_plain", [0, 0], vals=(0.0,), added=0.0)
    text = words(experiment("mlp", [9, 9], kind="MLP"), none)
    assert "CNN makes fewer test errors than MLP: 0.00 % against 0.90 %." in text
    assert "times as many errors as CNN" not in text
    assert "98 % of the validation pictures right: MLP after 2 epochs (0:20); CNN after 1 epoch (0:30)." in text


def test_one_seed() -> None:
    text = words(experiment("mlp", [20], kind="MLP"), experiment("mnist_plain", [5]))
    assert "The noise of training is not known from these runs: that takes two of each, not all alike." in text
    assert "| test error, last epoch | 2.00 % (one run) | 0.50 % (one run) |" in text
    assert "| its 95 % interval over seeds (t) | none | none |" in text
    assert "in 1 of 1 pair of runs" in text
    assert "is narrower: the noise of training is not known" in text[text.index("## Overfitting") :]


def test_three_experiments_and_an_augmented_one() -> None:
    moved = experiment(
        "mnist", [3, 4, 3], label="CNN, augmented", **{"data.augment.shift": 2, "data.augment.rotation": 8.0}
    )
    text = words(MLP, CNN, moved)
    assert len(text.split("## Test error")[1].split("##")[0].strip().split("\n\n")) == 3
    assert "3 runs of `mnist`, 3 epochs, trained on changed pictures (shift up to 2, rotation up to 8)." in text
    assert "was trained on digits that were changed (shift up to 2 px and rotation up to 8°)" in text
    assert "| CNN | CNN, augmented | 2, 2 |" in text
    text = words(experiment("mlp", [20, 22], kind="MLP", added=0.5), moved)  # no like for like: nothing is explained
    assert "fewer errors to every run of CNN, augmented than to any of MLP." in text
    assert "prior knowledge lets one expect" not in text


def test_pixels_left_out_in_training_are_practice_for_noise() -> None:
    mlp = experiment("mlp", [20, 22], kind="MLP", **{"model.input_dropout": 0.2})
    text = words(mlp, CNN)
    assert "MLP was trained with 20 % of the pixels left out" in text
    assert "MLP: 2 runs of `mlp`, 3 epochs, dropout of pixels 0.2." in text


def test_two_cnns_have_no_baseline() -> None:
    other = experiment("mnist", [9, 9, 9], label="CNN (mnist)", costs=(1000, 9000))
    text = words(CNN, other)
    assert row(text, "parameters") == ["1,000", "1,000"]
    assert "times those of" not in text
    assert "an MLP each weight once" not in text


def test_what_was_not_recorded_is_said() -> None:
    old = experiment("mlp", [20, 22, 18], kind="MLP", train=None)
    text = words(old, CNN, left_out=["mlp/version_3: no record.json."])
    assert row(text, "training error, last epoch")[0] == "not recorded"
    assert "MLP: the error on the training set, as it was after an epoch, is not recorded." in text
    assert "widest gap" not in text
    assert "Left out:\n\n- mlp/version_3: no record.json.\n" in text


def test_times_of_different_machines_are_not_compared() -> None:
    text = words(MLP, experiment("mnist_plain", [5, 6], machine="another"))
    assert "times as long" not in text
    assert "times as long" not in words(experiment("mlp", [20, 22], kind="MLP", seconds=0.0), CNN)
    assert "3 times as long as one of MLP" in words(MLP, experiment("mnist_plain", [5, 6], seconds=90.0))
    assert "from different machines (a machine; another): their times can't be compared." in text
    assert "All on a machine, where" in words(MLP, CNN)


def test_the_best_weights_are_of_the_best_epoch() -> None:
    vals = (0.03, 0.005, 0.02)
    best, last = (experiment("mnist_plain", [5, 7, 6], vals=vals, weights=weights) for weights in ("best", "last"))
    text = words(MLP, best, weights="best")
    assert "chosen on the validation pictures, whose error they therefore flatter" in text
    assert row(text, "validation error, best epoch")[1] == "0.50 ± 0.00 %"
    assert row(words(MLP, last), "validation error, last epoch")[1] == "2.00 ± 0.00 %"


@pytest.mark.parametrize("wrong", [[20, 22, 18], [20]])
def test_some_runs_reach_a_goal(wrong: list[int]) -> None:
    some = experiment("mnist_plain", [5, 7, 6])
    some.runs[0].epochs[2]["val/error"] = 0.02
    text = words(experiment("mlp", wrong, kind="MLP"), some)
    assert row(text, "epochs to 99 % validation accuracy")[1] == "3 (2 of 3 runs)"
    assert "CNN after 3 epochs (0:30) in 2 of 3 runs" in text


@pytest.mark.parametrize(
    ("wide", "verdict"), [((0.01, 0.05, 0.03), "but within"), ((0.10, 0.14, 0.12), "by more than")]
)
def test_gaps_are_compared_with_their_noise(wide: Sequence[float], verdict: str) -> None:
    mlp, cnn = experiment("mlp", [20, 22, 18], kind="MLP"), experiment("mnist_plain", [5, 7, 6])
    for each, gaps in ((mlp, wide), (cnn, (0.02, 0.04, 0.01))):
        for run, gap in zip(each.runs, gaps, strict=True):
            run.epochs[-1].update({"train_eval/error": 0.001, "val/error": 0.001 + gap})
    text = words(mlp, cnn)
    assert f"MLP has the widest gap; that of CNN, the next, is narrower: {verdict} the noise of training." in text


def test_runs_that_overlap_are_not_called_more_tolerant() -> None:
    """One of three runs of the CNN loses more by shifts than any of the MLP, the others less."""
    mlp, cnn = experiment("mlp", [20, 20, 20], kind="MLP", added=0.3), experiment("mnist_plain", [5, 5, 5])
    for level in KINDS["shift"]:
        cnn.changed["shift", level][0] = [0.9]
    text = words(mlp, cnn)
    assert "to any of MLP at 0 of 4 levels, the other way round at 0; elsewhere the runs overlap." in text
