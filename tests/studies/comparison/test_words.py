from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from lit_a1.runs.finished import Run
from lit_a1.studies.comparison.changes import KINDS
from lit_a1.studies.comparison.conclusions import write
from lit_a1.studies.comparison.measures import tabulate
from lit_a1.studies.comparison.networks import Network

IMAGES = 1000


class Experiment(NamedTuple):
    name: str
    runs: list[Run]
    wrong: Sequence[int]
    costs: tuple[int, int]
    errors: dict[tuple[str, float], list[float]]


def experiment(
    name: str, wrong: Sequence[int], *, kind: str = "CNN", vals: Sequence[float] = (0.03, 0.015, 0.008),
    train: float | None = 0.5, costs: tuple[int, int] = (1000, 8000), added: float = 0.1, machine: str = "a machine",
    seconds: float = 30.0, **settings: Any,
) -> Experiment:  # fmt: skip
    """Runs that are wrong on the first images, so many."""
    epochs = [{"val/error": val} | ({} if train is None else {"train_eval/error": val * train}) for val in vals]
    about = {"seconds": seconds, "machine": machine, "settings": settings, "images": {"train": 5000, "val": IMAGES}}
    path = Path("last.npz" if kind == "MLP" else "last.ckpt")
    records = [about | {"seed": seed, "epochs": [dict(row) for row in epochs]} for seed in range(len(wrong))]
    runs = [Run(Path(name, f"version_{seed}"), path, record) for seed, record in enumerate(records)]
    errors = {
        (change, level): [count / IMAGES + added * level / max(levels) for count in wrong]
        for change, levels in KINDS.items()
        for level in levels
    }
    errors["none", 0] = [count / IMAGES for count in wrong]
    return Experiment(name, runs, wrong, costs, errors)


def words(*made: Experiment, left_out: Sequence[str] = ()) -> str:
    networks = [Network(lambda x: np.zeros(len(x), np.int64), *each.costs) for each in made for _ in each.runs]
    predictions = np.ones((len(networks), IMAGES), np.int64)
    for row, count in zip(predictions, (count for each in made for count in each.wrong), strict=True):
        row[:count] = 0
    errors, start = [], 0
    for each in made:
        errors += [(start + k, *key, "", own) for key, found in each.errors.items() for k, own in enumerate(found)]
        start += len(each.runs)
    experiments = {each.name: each.runs for each in made}
    measured = tabulate(experiments, networks, predictions, np.ones(IMAGES, np.int64), errors)
    text = write(measured, images="1,000 images", ink_lost=0.0123, left_out=left_out)
    assert "nan" not in text
    assert "\n\n\n" not in text
    return text


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def mlp(wrong: Sequence[int], **about: Any) -> Experiment:
    return experiment("mlp", wrong, kind="MLP", **about)


def cnn(wrong: Sequence[int], **about: Any) -> Experiment:
    return experiment("mnist_plain", wrong, **about)


MLP = mlp([20, 22, 18], vals=(0.05, 0.015, 0.018), train=0.1, costs=(1010, 1000), added=0.3)
CNN = cnn([5, 7, 6])
MOVED = experiment("mnist", [3, 4, 3], **{"data.augment.shift": 2, "data.augment.rotation": 8.0})


CASES = {  # of each: experiments; what the text holds, a line each; and what it does not hold
    "the CNN is better": (
        (MLP, CNN),
        """**The CNN makes fewer test errors than the MLP**: 0.60 % against 2.00 %.
        The MLP makes 3.3 times as many errors.
        The difference of 1.40 points is more than the noise of training (Welch's 95 % interval over seeds: 0.98 to 1.82
        In 3 of 3 pairs of runs the CNN is better by more than the choice of test images explains
        (McNemar's test, p < 0.001).
        The CNN is right and the MLP wrong on 11 test images in all runs of both, and on 3 more in most runs of both.
        The MLP is right and the CNN wrong on 0 test images in all runs of both
        5 images are misclassified in all runs of both.
        above the training error by 1.62 points for the MLP
        With Gaussian noise of standard deviation 0.3 (white is 1), the test error is 32.00 % for the MLP and
        the largest shift moves 1.23 % of the white
        no epoch was chosen on the validation images
        The CNN needs 8 times the multiply-adds of the MLP
        On average it uses each weight 8 times per image
        All times are from a machine.""",
        "better by more than that",
    ),
    "the MLP is better": (
        (mlp([5, 6, 7], added=0.01), cnn([25, 26, 27], added=0.2)),
        """**The MLP makes fewer test errors than the CNN**: 0.60 % against 2.60 %.
        The CNN makes 4.3 times as many errors.
        In 3 of 3 pairs of runs
        This is the opposite of what a CNN's prior knowledge suggests
        Every shift adds fewer errors to every run of the MLP than to any run of the CNN.""",
        "This is what",
    ),
    "inside the noise": (
        (mlp([5, 25, 9]), cnn([6, 8, 10])),
        """is within the noise of training (Welch's 95 % interval over seeds: -
        In 1 of 3 pairs of runs
        to every run of the CNN than to any run of the MLP at 0 of 4 levels, and the other way round at""",
        "prior knowledge",
    ),
    "pairs that contradict": (
        (mlp([20, 0, 25]), cnn([8, 12, 8])),
        "In 1 of 3 pairs the MLP is better by more than that.",
        "equally many",
    ),
    "a tie": (
        (mlp([6, 6]), cnn([6, 6])),
        """**The CNN and the MLP make equally many test errors**, 0.60 %.
        that needs at least two seeds of each network, and errors that are not all equal.
        In 0 of 2 pairs of runs the CNN is better by more""",
        "makes fewer test errors",
    ),
    "no errors at all": (
        (mlp([9, 9]), cnn([0, 0], vals=(0.0,), added=0.0)),
        """**The CNN makes fewer test errors than the MLP**: 0.00 % against 0.90 %.
        The MLP reaches 98 % validation accuracy after 2 epochs (20 s).
        The CNN reaches 98 % validation accuracy after 1 epoch (30 s).""",
        "times as many errors",
    ),
    "one seed": (
        (mlp([20]), cnn([5])),
        """The noise of training is unknown: that needs at least two seeds of each network
        | test error, last epoch | 2.00 % (one run) | 0.50 % (one run) |
        | of the test error, over seeds (t) | none | none |
        In 1 of 1 pair of runs""",
        "Welch",
    ),
    "three experiments": (
        (MLP, CNN, MOVED),
        """a shift of up to 2 px and a rotation of up to 8°
        **The augmented CNN makes fewer test errors than the CNN**
        | CNN | augmented CNN | 2, 2 |""",
        "Left out",
    ),
    "trained differently, so that nothing is explained": (
        (mlp([20, 22], added=0.5), MOVED),
        """Every shift adds fewer errors to every run of the augmented CNN than to any run of the MLP.
        | augmentation | none | shift 2, rotation 8 |""",
        "prior knowledge",
    ),
    "dropout of pixels": (
        (mlp([20, 22], **{"model.input_dropout": 0.2}), CNN),
        """The MLP was trained with 20 % of the pixels dropped
        | dropout of pixels | 0.2 | none |""",
        "| augmentation |",
    ),
    "no MLP": (
        (CNN, experiment("mnist", [9, 9, 9], costs=(1000, 9000))),
        "| parameters | 1,000 | 1,000 |",
        "an MLP uses it once",
    ),
    "different machines": (
        (MLP, cnn([5, 6], machine="another")),
        "from different machines (a machine; another): their times can't be compared.",
        "times as long",
    ),
    "times that were rounded to nothing": (
        (mlp([20, 22], seconds=0.0), CNN),
        "| seconds per epoch (median) | 0 | 10 |",
        "times as long",
    ),
    "times": ((MLP, cnn([5, 6], seconds=90.0)), "An epoch takes 3 times as long.", "different machines"),
}


@pytest.mark.parametrize(("experiments", "expected", "absent"), CASES.values(), ids=CASES)
def test_the_text_follows_from_the_numbers(experiments: Sequence[Experiment], expected: str, absent: str) -> None:
    text = words(*experiments)
    for line in expected.splitlines():
        assert line.strip() in text
    assert absent not in text


def test_the_tables() -> None:
    text = words(MLP, CNN)
    expected = {
        "parameters": ["1,010", "1,000 (-0.99 %)"],
        "multiply-adds per image": ["1,000", "8,000 (8 times)"],
        "seconds per epoch (median)": ["10", "10"],
        "seconds per epoch, without measuring (median)": ["not recorded"] * 2,
        "training error, last epoch": ["0.18 ± 0.00 %", "0.40 ± 0.00 %"],
        "validation error, last epoch": ["1.80 ± 0.00 %", "0.80 ± 0.00 %"],  # not the best epoch
        "test error, last epoch": ["2.00 ± 0.20 %", "0.60 ± 0.10 %"],
        "of the test error, over test images (Wilson)": ["1.30 to 3.07 %", "0.28 to 1.30 %"],
        "shift, 4 px": ["32.00 % (31.80 to 32.20 %)", "10.60 % (10.50 to 10.70 %)"],
        "none": ["2.00 % (1.80 to 2.20 %)", "0.60 % (0.50 to 0.70 %)"],
    }
    assert {name: row(text, name) for name in expected} == expected
    assert "| of the test error, over seeds (t) | 1.50 to 2.50 % | 0.35 to 0.85 % |" in text  # 4.303 s / sqrt(3)
    assert "| MLP | CNN | 0, 0 | 0 | 15 | below 0.001 |" in text
    assert row(text, "rotation, 45°")[1] == "10.60 % (10.50 to 10.70 %)"
    assert text.count("This is what a CNN's prior knowledge suggests") == 1


def test_what_was_not_recorded_is_said() -> None:
    text = words(mlp([20, 22, 18], train=None), CNN, left_out=["mlp/version_3: no record.json."])
    assert row(text, "training error, last epoch")[0] == "not recorded"
    assert "Overfitting" not in text
    assert "Left out:\n\n- mlp/version_3: no record.json.\n" in text


@pytest.mark.parametrize("wrong", [[20, 22, 18], [20]])
def test_some_runs_reach_a_goal(wrong: list[int]) -> None:
    some = cnn([5, 7, 6])
    for epoch in some.runs[0].epochs:
        epoch["val/error"] = 0.03
    text = words(mlp(wrong), some)
    assert "The CNN reaches 98 % validation accuracy after 2 epochs (20 s), in 2 of 3 runs." in text


@pytest.mark.parametrize(
    ("wide", "verdict"), [((0.01, 0.05, 0.03), "by no more than"), ((0.10, 0.14, 0.12), "by more than")]
)
def test_gaps_are_compared_with_their_noise(wide: Sequence[float], verdict: str) -> None:
    made = mlp([20, 22, 18]), cnn([5, 7, 6])
    for each, gaps in zip(made, (wide, (0.02, 0.04, 0.01)), strict=True):
        for run, gap in zip(each.runs, gaps, strict=True):
            run.epochs[-1].update({"train_eval/error": 0.001, "val/error": 0.001 + gap})
    text = words(*made)
    assert f"The two gaps differ {verdict} the noise of training." in text


def test_runs_that_overlap_are_not_called_more_tolerant() -> None:
    """One of three runs of the CNN loses more by shifts than any of the MLP, the others less."""
    made = mlp([20, 20, 20], added=0.3), cnn([5, 5, 5])
    for level in KINDS["shift"]:
        made[1].errors["shift", level][0] = 0.9
    text = words(*made)
    assert "to any run of the MLP at 0 of 4 levels, and the other way round at 0." in text
