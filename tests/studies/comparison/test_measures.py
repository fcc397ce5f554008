from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.data.mnist import Part
from lit_a1.runs.records import CheckpointError
from lit_a1.studies.comparison.changes import changes, lost, noisy, shifted, turned
from lit_a1.studies.comparison.measures import (
    Measured,
    all_versus,
    disagreements,
    epochs_to,
    labels_of,
    like_for_like,
    measure,
    mistake,
    passes,
    seconds_an_epoch,
    versus,
)
from lit_a1.studies.comparison.runs import Experiment, Run, find_experiments

Add = Callable[..., Path]


def run(seed: int, suffix: str = ".ckpt", epochs: list[dict[str, float]] | None = None, **settings: Any) -> Run:
    record = {"seed": seed, "epochs": epochs or [{"val/error": 0.1}], "pictures": {"train": 500, "val": 100}}
    return Run(Path("mlp/version_0"), Path(f"last{suffix}"), record | {"settings": settings, "seconds": 90.0})


def measured(name: str, right: list[list[int]], suffix: str = ".ckpt", first_seed: int = 0, label: int = 1) -> Measured:
    """Runs that are right (1), or give the answer 0 or less instead."""
    runs = [run(first_seed + k, suffix) for k in range(len(right))]
    rows = np.array(right)
    return Measured(Experiment(name, runs), name, rows == 1, np.where(rows == 1, label, -rows))


# the changes


def test_a_shift_moves_whole_pixels_and_uncovers_black() -> None:
    picture = torch.zeros(1, 1, 5, 5)
    picture[0, 0, 2, 2], picture[0, 0, 0, 4] = 0.7, 1
    moved = shifted(picture, 1, -2)
    assert moved[0, 0, 3, 0] == pytest.approx(0.7)
    assert moved[0, 0, 1, 2] == 1
    assert moved.sum() == pytest.approx(1.7)
    assert shifted(picture, -1, 0).sum() == pytest.approx(0.7)
    assert shifted(torch.ones(1, 1, 5, 5), 0, 2)[0, 0, 0].tolist() == [0, 0, 1, 1, 1]


def test_a_turn_is_about_the_centre_and_uncovers_black() -> None:
    picture = torch.zeros(1, 1, 28, 28)
    picture[0, 0, 4, 20] = 1
    quarter = turned(picture, 90)  # counter-clockwise
    assert quarter[0, 0, 27 - 20, 4] == pytest.approx(1, abs=1e-4)
    assert turned(torch.ones(1, 1, 28, 28), 45)[0, 0, 0, 0] == 0
    between = turned(torch.rand(1, 1, 28, 28).round(), 10)
    assert ((between > 0.1) & (between < 0.9)).any()


def test_noise_has_its_strength_stays_in_range_and_is_the_same_each_time() -> None:
    grey = torch.full((200, 1, 28, 28), 0.5)
    changed = noisy(grey, 0.1)
    assert float((changed - grey).std()) == pytest.approx(0.1, rel=0.01)
    assert torch.equal(changed, noisy(grey, 0.1))
    assert noisy(grey, 1.0).aminmax() == (0, 1)
    assert torch.equal(grey, torch.full((200, 1, 28, 28), 0.5))


def test_every_change_does_what_it_says() -> None:
    pictures = torch.rand(2, 1, 28, 28)
    found = {(each.kind, each.level, each.direction): each.apply(pictures) for each in changes()}
    assert len(found) == 16 + 6 + 4
    assert torch.equal(found["shift", 3, "left"], shifted(pictures, 0, -3))
    assert torch.equal(found["shift", 4, "down"], shifted(pictures, 4, 0))
    assert torch.equal(found["rotation", 30, "clockwise"], turned(pictures, -30))
    assert torch.equal(found["noise", 0.2, ""], noisy(pictures, 0.2))


def test_white_that_a_shift_moves_out() -> None:
    pictures = np.zeros((2, 28, 28), np.uint8)
    pictures[0, 1, 14] = pictures[1, 14, 14] = 100  # up by two pixels loses the first
    assert lost(pictures, 1) == 0
    assert lost(pictures, 2) == pytest.approx(1 / 8)


# measuring


def test_errors_are_those_of_the_networks_on_the_pictures(add_run: Add, digits: tuple[Part, Part]) -> None:
    logs = add_run("mlp", 0).parents[1]
    for seed in (0, 1):
        add_run("mnist", seed)
    experiments, _ = find_experiments(["mlp", "mnist"], logs, "last", drawn=False)
    calls: list[int] = []
    mlp, cnn = measure(experiments, *digits, lambda: calls.append(1))
    assert len(calls) == passes(experiments) == 3 * 28
    test = torch.from_numpy(digits[1].pictures)[:, None] / 255
    network = experiments[1].runs[1].network
    np.testing.assert_array_equal(cnn.answers[1], network.answers(test))
    assert cnn.errors[1] == np.mean(cnn.answers[1] != digits[1].labels)
    assert cnn.errors_at("shift", 0) == cnn.errors
    moved = [
        np.mean(network.answers(shifted(test, *by)) != digits[1].labels) for by in ((2, 0), (-2, 0), (0, 2), (0, -2))
    ]
    assert cnn.changed["shift", 2][1] == moved
    assert cnn.errors_at("shift", 2)[1] == pytest.approx(np.mean(moved))
    assert [len(row) for row in mlp.changed["rotation", 15]] == [2]
    assert (mlp.label, cnn.label) == ("MLP", "CNN")


def test_runs_of_other_digits_are_refused(add_run: Add, digits: tuple[Part, Part]) -> None:
    valid, test = digits
    logs = add_run("mlp", 0).parents[1]
    add_run("mnist", 0)
    experiments, _ = find_experiments(["mlp", "mnist"], logs, "last", drawn=False)
    other = Part(
        valid.pictures,
        (experiments[0].runs[0].network.answers(torch.from_numpy(valid.pictures)[:, None] / 255) + 1) % 10,
    )
    for part in (other, Part(valid.pictures[:-1], valid.labels[:-1])):
        with pytest.raises(CheckpointError, match="it was validated on other digits"):
            measure(experiments, part, test, lambda: None)


def test_the_best_weights_are_checked_against_the_best_epoch(add_run: Add, digits: tuple[Part, Part]) -> None:
    paths = [add_run(name, 0, errors=(), weights="best") for name in ("mlp", "mnist")]
    for path in paths:  # a worse epoch after the best one
        text = (path / "record.json").read_text()
        (path / "record.json").write_text(text.replace("100.0}]", '100.0}, {"epoch": 1, "val/error": 1.0}]'))
    experiments, _ = find_experiments(["mlp", "mnist"], paths[0].parents[1], "best", drawn=False)
    measure(experiments, *digits, lambda: None)


# what follows


def test_labels_say_what_was_trained_and_tell_experiments_apart() -> None:
    plain, moved = run(0), run(0, **{"data.augment.shift": 2})
    experiments = [Experiment("a", [run(0, ".npz")]), Experiment("b", [plain]), Experiment("c", [moved])]
    assert labels_of(experiments) == ["MLP", "CNN", "CNN, augmented"]
    assert labels_of([*experiments, Experiment("d", [plain])]) == ["MLP", "CNN (b)", "CNN, augmented", "CNN (d)"]


def test_pairs_have_the_same_seed_else_the_same_place() -> None:
    first, second = measured("a", [[1, 1], [1, 0]]), measured("b", [[0, 1], [0, 0]], first_seed=1)
    (pair,) = versus(first, second).pairs
    assert (pair.first.seed, pair.second.seed, pair.test[:2]) == (1, 1, (1, 1))
    second = measured("b", [[0, 1], [0, 0], [1, 1]], first_seed=5)
    assert [(p.first.seed, p.second.seed, p.test.b) for p in versus(first, second).pairs] == [(0, 5, 1), (1, 6, 1)]


def test_the_gain_is_that_of_the_second() -> None:
    first, second = measured("a", [[1, 0, 0, 0], [1, 1, 0, 0]]), measured("b", [[1, 1, 1, 1], [1, 1, 1, 0]])
    found = versus(first, second)
    assert found.gain == pytest.approx(0.625 - 0.125)
    assert found.interval is not None
    assert sum(found.interval) / 2 == pytest.approx(found.gain)
    assert versus(second, first).gain == pytest.approx(-0.5)
    assert versus(first, measured("b", [[1, 1, 1, 1]])).interval is None
    assert len(all_versus([first, second, first])) == 3


def test_the_like_for_like_pair() -> None:
    cnn, moved = measured("mnist_plain", [[1]]), measured("mnist", [[1]])
    moved.runs[0].record["settings"]["data.augment.shift"] = 2
    mlp = measured("mlp", [[1]], ".npz")
    assert like_for_like([moved, cnn, mlp]) == (mlp, cnn)
    assert like_for_like([cnn, moved, mlp]) == (mlp, cnn)
    assert like_for_like([moved, cnn]) == (moved, cnn)
    assert like_for_like([moved, mlp]) == (mlp, moved)


def test_disagreements_are_of_all_runs_or_of_most() -> None:
    right = measured("a", [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [0, 1, 1, 0, 1]])
    wrong = measured("b", [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    found = disagreements(right, wrong)
    assert (found.unanimous, found.most) == ([1], [0, 2])
    assert disagreements(wrong, right)[2:] == ([], [])
    halves = disagreements(measured("a", [[1, 1], [0, 1]]), measured("b", [[0, 0], [0, 0]]))
    assert halves[2:] == ([1], [])  # half of the runs are not most


def test_the_mistake_that_most_runs_make() -> None:
    wrong = measured("b", [[-3], [1], [1], [-7], [-7]])
    assert mistake(wrong, 0, 1) == 7


def test_epochs_to_an_accuracy_are_counted_in_whole_pictures() -> None:
    errors = (0.03, float(np.float32(0.02)) + 1e-8, 0.01)
    trained = run(0, epochs=[{"val/error": error} for error in errors])
    assert epochs_to(trained, 0.98) == 2
    assert epochs_to(trained, 0.99) == 3
    assert epochs_to(trained, 0.995) is None


def test_seconds_an_epoch() -> None:
    epochs = [{"val/error": 0.1, "train/pictures_per_second": speed} for speed in (50.0, 100.0)]
    assert seconds_an_epoch(run(0, epochs=epochs)) == (7.5, 45.0)
    assert seconds_an_epoch(run(0)) == (None, 90.0)
