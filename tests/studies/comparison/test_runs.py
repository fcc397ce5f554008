from pathlib import Path

import numpy as np
import pytest
import torch

from lit_a1.data.resample import resize
from lit_a1.models.mnist import MNISTCNN
from lit_a1.runs.finished import Run
from lit_a1.runs.records import CheckpointError, read_record
from lit_a1.runs.settings import UsageError, flat
from lit_a1.studies.comparison.runs import find_experiments
from tests.conftest import edit_record
from tests.studies.conftest import LOGS, Add, the_network


def test_runs_that_differ_in_their_seeds_alone_in_the_order_of_these(add_run: Add) -> None:
    for name, seed in (("mlp", 2), ("mlp", 0), ("mnist", 1)):
        add_run(name, seed)
    experiments, left_out = find_experiments(["mlp", "mnist"], LOGS, drawn=False)
    found = {name: [(run.seed, run.name) for run in runs] for name, runs in experiments.items()}
    assert found == {"mlp": [(0, "version_1"), (2, "version_0")], "mnist": [(1, "version_0")]}
    assert list(found) == ["mlp", "mnist"]
    assert [runs[0].kind for runs in experiments.values()] == ["MLP", "CNN"]
    assert left_out == []


def test_what_is_left_out_is_named_with_the_reason(add_run: Add) -> None:
    add_run("mlp", 0, dropout=0.5)  # 0: other settings than the newest
    add_run("mlp", 1)  # 1: a newer run has the same seed
    (add_run("mlp", 2) / "record.json").unlink()
    (add_run("mlp", 3) / "record.json").write_text("{")
    (add_run("mlp", 4) / "record.json").write_text('{"trials": {}}')
    add_run("mlp", 5, weights="best")
    add_run("mlp", 1)  # 6
    add_run("mlp", 6, record={"epochs": [{"epoch": 0}]})
    add_run("mlp", 7, record={"images": {"val": 5}})
    (LOGS / "mlp" / "version_x").mkdir()
    add_run("mnist", 0)
    experiments, left_out = find_experiments(["mlp", "mnist", "other"], LOGS, drawn=False)
    assert [run.name for run in experiments["mlp"]] == ["version_6"]
    assert left_out == [
        "mlp/version_0: trained with other settings than version_6 (model.dropout=0.5 instead of 0.0).",
        "mlp/version_1: version_6 is newer and has the same seed, 1.",
        "mlp/version_2: no record.json: its training has not ended.",
        "mlp/version_3: its record.json is damaged.",
        "mlp/version_4: its record.json is not that of a training, with settings, seed, epochs, images, seconds.",
        "mlp/version_5: no checkpoints/last.ckpt or .npz.",
        "mlp/version_7: it was not validated after each epoch.",
        "mlp/version_8: its record.json is not that of a training, with settings, seed, epochs, images, seconds.",
        "other: there is no finished run with its last weights.",
    ]


def test_the_newest_is_that_of_the_largest_number(add_run: Add) -> None:
    add_run("mlp", 0)
    add_run("mlp", 1, dropout=0.1).rename(LOGS / "mlp" / "version_10")
    (LOGS / "mlp" / "version_0").rename(LOGS / "mlp" / "version_9")
    add_run("mnist", 0)
    experiments, left_out = find_experiments(["mlp", "mnist"], LOGS, drawn=False)
    assert [run.name for run in experiments["mlp"]] == ["version_10"]
    assert len(left_out) == 1


def test_runs_on_drawn_digits_stay_among_themselves(add_run: Add) -> None:
    for name in ("mlp", "mnist-drawn", "mlp-drawn"):
        add_run(name, 0)
    experiments, _ = find_experiments(["mlp", "mnist"], LOGS, drawn=True)
    assert [run.folder.parent.name for runs in experiments.values() for run in runs] == ["mlp-drawn", "mnist-drawn"]
    with pytest.raises(UsageError, match=r"only mlp has any\. Train mnist first, with fit or"):
        find_experiments(["mlp", "mnist"], LOGS, drawn=False)
    with pytest.raises(UsageError, match="--experiments mnist --source drawn compares them"):
        find_experiments(["mlp", "mnist-drawn"], LOGS, drawn=False)


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(UsageError, match=r"there are none\. Train mlp and mnist_plain first, .*--data.source drawn\."):
        find_experiments(["mlp", "mnist_plain"], LOGS, drawn=True)


def test_networks_answer_as_they_were_saved(add_run: Add) -> None:
    add_run("mlp", 3, hidden_dims=(11,))
    path = add_run("mnist", 4)
    images = torch.rand(1203, 1, 28, 28)  # more than a batch
    model = MNISTCNN.load_from_checkpoint(path / "checkpoints" / "last.ckpt", map_location="cpu").eval()
    with torch.inference_mode():
        expected = model(images).argmax(1).numpy()
    found = the_network(LOGS / "mnist")
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(found.predict(images), expected)
    assert found.parameters == sum(p.numel() for p in model.net.parameters())
    assert found.multiply_adds == 14**2 * 4 * 9 + 7**2 * (6 * 4 * 9 + 6 * 6 * 9 + 6 * 4) + 6 * 10
    found = the_network(LOGS / "mlp")
    assert (found.parameters, found.multiply_adds) == (785 * 11 + 12 * 10, 784 * 11 + 11 * 10)
    assert found.predict(images).shape == (1203,)


@pytest.mark.parametrize("experiment", ["mlp", "mnist"])
def test_weights_of_another_epoch_than_the_record_are_refused(experiment: str, add_run: Add) -> None:
    """As a finished run leaves them that went on and was stopped."""
    folder = add_run(experiment, 0)
    edit_record(folder, epochs=read_record(folder)["epochs"][:-1])
    with pytest.raises(CheckpointError, match=f"{experiment}/.*holds the weights after epoch 3, .* ends with epoch 2"):
        the_network(LOGS / experiment)


def test_a_cnn_sees_images_of_the_size_that_it_was_validated_at(add_run: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run("mnist", 0, data={"size": 20}, size=14)
    network = the_network(LOGS / "mnist")
    stem = 7**2 * 4 * 9
    assert network.multiply_adds == stem + 4**2 * (6 * 4 * 9 + 6 * 6 * 9 + 6 * 4) + 6 * 10
    add_run("five_views", 0, data={"size": 20}, size=14, views="shift")
    assert the_network(LOGS / "five_views").multiply_adds == 5 * network.multiply_adds
    images, seen = torch.rand(5, 1, 28, 28), []
    monkeypatch.setattr(MNISTCNN, "forward", lambda self, x: seen.append(x) or torch.eye(5, 10))
    assert network.predict(images).tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(seen[0], resize(images, 14))


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        ({}, False),
        ({"shift": 0, "crop_scale": (1.0, 1.0), "flip": "none", "cutout_fill": "noise"}, False),
        ({"rotation": 10.0}, True),
        ({"crop_scale": (0.8, 1.0)}, True),
    ],
)
def test_augmentation_is_told_from_the_settings(augment: dict[str, object], expected: bool) -> None:
    settings = flat({"data": {"augment": augment} if augment else {}})
    assert Run(Path(), Path(), {"settings": settings}).augmented == expected


def test_checkpoints_that_cannot_be_used_are_refused(add_run: Add) -> None:
    cnn, mlp = (add_run(name, 0) / "checkpoints" for name in ("mnist", "mlp"))
    (mlp / "last.npz").write_bytes(b"PK nonsense")
    with pytest.raises(CheckpointError, match=r"last\.npz is not a \.npz file"):
        the_network(LOGS / "mlp")
    checkpoint = torch.load(cnn / "last.ckpt", weights_only=True)
    broken = {
        "is a checkpoint of CatsDogsCNN; MNISTCNN was expected": checkpoint | {"model_class": "CatsDogsCNN"},
        "is of another version of MNISTCNN": checkpoint | {"hyper_parameters": {"widths": [4, 8], "blocks": [1]}},
        "is not a checkpoint of this project": {"x": 1},
    }
    for words, content in broken.items():
        torch.save(content, cnn / "last.ckpt")
        with pytest.raises(CheckpointError, match=words):
            the_network(LOGS / "mnist")
    record = mlp.parent / "record.json"
    record.write_text(record.read_text().replace("model.hidden_dims", "model.width"))
    with pytest.raises(CheckpointError, match="does not say what network was trained"):
        the_network(LOGS / "mlp")
