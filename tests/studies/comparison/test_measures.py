from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from lit_a1.data.mnist import LabelledSplit
from lit_a1.runs.finished import Run
from lit_a1.runs.plotting import draw_line
from lit_a1.runs.records import CheckpointError
from lit_a1.studies.comparison import figures
from lit_a1.studies.comparison.changes import changes, ink_lost, noisy, rotated, shifted
from lit_a1.studies.comparison.conclusions import Disagreements, compare_pair, disagreements, like_for_like
from lit_a1.studies.comparison.figures import caption, draw_curves, heading
from lit_a1.studies.comparison.measures import Measurements, epochs_to, labels_of, measure, tabulate
from lit_a1.studies.comparison.networks import Network, load_network
from lit_a1.studies.comparison.runs import find_experiments
from tests.studies.conftest import LOGS, Add, Splits


def run(seed: int, suffix: str = ".ckpt", epochs: list[dict[str, float]] | None = None, **settings: Any) -> Run:
    record = {"seed": seed, "epochs": epochs or [{"val/error": 0.1}], "images": {"train": 200, "val": 100}}
    return Run(Path("mlp/version_0"), Path(f"last{suffix}"), record | {"settings": settings, "seconds": 90.0})


def table_of(*runs: list[Run], predictions: Sequence[Sequence[int]] | None = None, digit: int = 1) -> Measurements:
    """Experiments a, b, ... and what their runs take some images of one digit for."""
    count = sum(map(len, runs))
    networks = [Network(lambda x: np.zeros(len(x), np.int64), 1, 1)] * count
    found = np.array(predictions or [[digit]] * count)
    return tabulate(dict(zip("abcd", runs, strict=False)), networks, found, np.full(found.shape[1], digit), [])


def pair(first: list[list[int]], second: list[list[int]], first_seed: int = 0) -> Measurements:
    """An MLP and a CNN that are right (1), or give another prediction."""
    runs = [run(k, ".npz") for k in range(len(first))], [run(first_seed + k) for k in range(len(second))]
    return table_of(*runs, predictions=[*first, *second])


def test_a_shift_moves_whole_pixels_and_uncovers_black() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2], image[0, 0, 0, 4] = 0.7, 1
    moved = shifted(image, 1, -2)
    assert moved[0, 0, 3, 0] == pytest.approx(0.7)
    assert moved[0, 0, 1, 2] == 1
    assert moved.sum() == pytest.approx(1.7)
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 1, 14] = images[1, 14, 14] = 100  # up by two pixels loses the first
    assert ink_lost(images, 1) == 0
    assert ink_lost(images, 2) == pytest.approx(1 / 8)


def test_a_rotation_is_about_the_centre_and_uncovers_black() -> None:
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, 4, 20] = 1
    quarter = rotated(image, 90)  # counter-clockwise
    assert quarter[0, 0, 27 - 20, 4] == pytest.approx(1, abs=1e-4)
    assert rotated(torch.ones(1, 1, 28, 28), 45)[0, 0, 0, 0] == 0
    between = rotated(torch.rand(1, 1, 28, 28).round(), 10)
    assert ((between > 0.1) & (between < 0.9)).any()


def test_noise_has_its_strength_stays_in_range_and_is_the_same_each_time() -> None:
    grey = torch.full((200, 1, 28, 28), 0.5)
    changed = noisy(grey, 0.1)
    assert float((changed - grey).std()) == pytest.approx(0.1, rel=0.01)
    assert torch.equal(changed, noisy(grey, 0.1))
    assert noisy(grey, 1.0).aminmax() == (0, 1)
    assert torch.equal(grey, torch.full((200, 1, 28, 28), 0.5))


def test_every_change_does_what_it_says() -> None:
    images = torch.rand(2, 1, 28, 28)
    found = {key: change(images) for key, change in changes().items()}
    assert len(found) == 1 + 16 + 6 + 4
    assert torch.equal(found["none", 0, ""], images)
    assert torch.equal(found["shift", 3, "left"], shifted(images, 0, -3))
    assert torch.equal(found["shift", 4, "down"], shifted(images, 4, 0))
    assert torch.equal(found["rotation", 30, "clockwise"], rotated(images, -30))
    assert torch.equal(found["noise", 0.2, ""], noisy(images, 0.2))


def test_errors_are_those_of_the_networks_averaged_over_directions(add_run: Add, digits: Splits) -> None:
    for name, seed in (("mlp", 0), ("mnist", 0), ("mnist", 1)):
        add_run(name, seed)
    experiments, _ = find_experiments(["mlp", "mnist"], LOGS, drawn=False)
    measured = measure(experiments, *digits)
    test = torch.from_numpy(digits[1].images)[:, None] / 255
    network, errors = load_network(experiments["mnist"][1]), measured.errors_by_level()
    assert errors["CNN", "none", 0].tolist() == measured.rows("CNN").test_error.tolist()
    moved = [
        np.mean(network.predict(shifted(test, *by)) != digits[1].labels) for by in ((2, 0), (-2, 0), (0, 2), (0, -2))
    ]
    assert errors["CNN", "shift", 2][1] == pytest.approx(np.mean(moved))
    assert measured.experiments == ["MLP", "CNN"]
    images, labels = digits[0]  # of other digits runs are refused
    wrong = (load_network(experiments["mlp"][0]).predict(torch.from_numpy(images)[:, None] / 255) + 1) % 10
    for part in (LabelledSplit(images, wrong), LabelledSplit(images[:-1], labels[:-1])):
        with pytest.raises(CheckpointError, match="it was validated on other digits"):
            measure(experiments, part, digits[1])


def test_labels_say_what_was_trained_and_tell_experiments_apart() -> None:
    plain, moved = run(0), run(0, **{"data.augment.shift": 2})
    experiments = {"a": [run(0, ".npz")], "b": [plain], "c": [moved]}
    assert labels_of(experiments) == ["MLP", "CNN", "augmented CNN"]
    assert labels_of(experiments | {"d": [plain]}) == ["MLP", "CNN (b)", "augmented CNN", "CNN (d)"]


def test_two_experiments_are_compared_in_pairs_of_a_seed_or_else_a_place_whichever_is_better() -> None:
    (test,) = compare_pair(pair([[1, 1], [1, 0]], [[0, 1], [0, 0]], first_seed=1), "MLP", "CNN")["tests"]
    assert test[:4] == (1, 1, 1, 1)
    tests = compare_pair(pair([[1, 1], [1, 0]], [[0, 1], [0, 0], [1, 1]], first_seed=5), "MLP", "CNN")["tests"]
    assert [test[:3] for test in tests] == [(0, 5, 1), (1, 6, 1)]
    measured = pair([[1, 0, 0, 0], [1, 1, 0, 0]], [[1, 1, 1, 1], [1, 1, 1, 0]])
    for order in (("MLP", "CNN"), ("CNN", "MLP")):
        found = compare_pair(measured, *order)
        assert [found[name] for name in ("better", "worse", "low", "high")] == ["CNN", "MLP", 0.125, 0.625]
        assert found["interval"] is not None
        assert sum(found["interval"]) / 2 == pytest.approx(0.5)
    assert compare_pair(pair([[1, 0, 0, 0], [1, 1, 0, 0]], [[1, 1, 1, 1]]), "MLP", "CNN")["interval"] is None


def test_the_like_for_like_pair() -> None:
    mlp, cnn, moved = [run(0, ".npz")], [run(0)], [run(0, **{"data.augment.shift": 2})]
    for experiments, expected in (
        ((moved, cnn, mlp), ("MLP", "CNN")),
        ((cnn, moved, mlp), ("MLP", "CNN")),
        ((moved, cnn), ("augmented CNN", "CNN")),
        ((moved, mlp), ("MLP", "augmented CNN")),
    ):
        assert like_for_like(table_of(*experiments)) == expected


def test_disagreements_are_of_all_runs_or_of_most() -> None:
    wrong = [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    measured = pair([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [0, 1, 1, 0, 1]], wrong)
    found = disagreements(measured, "MLP", "CNN")
    assert (found.unanimous, found.majority) == ([1], [0, 2])
    assert disagreements(measured, "CNN", "MLP")[2:] == ([], [])
    halves = disagreements(pair([[1, 1], [0, 1]], [[0, 0], [0, 0]]), "MLP", "CNN")
    assert halves[2:] == ([1], [])  # half of the runs are not most


def test_captions_give_the_commonest_wrong_answer_and_headings_say_how_many_there_are() -> None:
    measured = pair([[1]] * 5, [[3], [1], [1], [7], [7]])
    found = disagreements(measured, "MLP", "CNN")
    for sides in ({"MLP": "first", "CNN": "second"}, {"CNN": "second", "MLP": "first"}):
        predictions = [f"{name}: {1 if name == 'first' else 7}" for name in sides.values()]
        assert caption(measured, found, 0, sides) == ["is 1", *predictions]
    found = Disagreements("x", "y", list(range(30)), [40, 41])
    assert heading(found, 24) == "x right, y wrong: 30 in all runs, 2 more in most runs of both (the clearest 24)"
    assert heading(found, 32).endswith("both")


def test_seconds_per_epoch_and_epochs_to_an_accuracy_which_is_counted_in_whole_images() -> None:
    errors = (0.03, float(np.float32(0.02)) + 1e-8, 0.01)
    trained = run(0, epochs=[{"val/error": error} for error in errors])
    assert [epochs_to(trained, goal) for goal in (0.98, 0.99, 0.995)] == [2, 3, None]
    epochs = [{"val/error": 0.1, "train/images_per_second": speed} for speed in (20.0, 40.0)]
    rows = table_of([run(0, epochs=epochs), run(1)]).runs
    assert rows.seconds_per_epoch.tolist() == [45, 90]
    assert rows.training_seconds_per_epoch[0] == 7.5
    assert np.isnan(rows.training_seconds_per_epoch[1])


def test_a_panel_is_without_the_experiments_that_did_not_record_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "draw_line", drawn := Mock(wraps=draw_line))
    epochs = [{"epoch": k, "val/error": 0.2, "train_eval/error": 0.1} for k in range(2)]
    cnn, mlp = run(0, epochs=epochs), run(0, ".npz", epochs=[{"epoch": 0, "val/error": 0.2}, epochs[1]])
    draw_curves(tmp_path / "x.png", table_of([cnn], [mlp]), "x")
    draw_curves(tmp_path / "x.png", table_of([mlp]), "x")  # with an empty panel
    lines = [(label, values.tolist()) for _, label, _, _, values in (call.args for call in drawn.call_args_list)]
    both = [("CNN", [[0.2, 0.2]]), ("MLP", [[0.2, 0.2]])]
    assert lines == [("CNN", [[0.1, 0.1]]), *both, both[1]]
