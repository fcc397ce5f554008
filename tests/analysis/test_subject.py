from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_a1.analysis.subject import Subject, captured, load_subject
from lit_a1.cli import main
from lit_a1.data.catsdogs import CatsDogsDataModule
from lit_a1.models import classifier

SubjectOf = Callable[..., Subject]


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_says_what_its_model_says(kind: str, subject_of: SubjectOf, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(kind, 12)
    monkeypatch.setattr(classifier, "CACHED", 5 * subject.size**2)  # the model takes five pictures at a time
    pictures = subject.prepared(slice(None))
    assert pictures.shape == (12, 3 if kind == "photos" else 1, subject.size, subject.size)
    assert 0 <= float(pictures.min()) <= float(pictures.max()) <= 1
    with torch.inference_mode():
        expected = subject.model(pictures).numpy()
        logits = subject.net(subject.standardize(pictures))
    np.testing.assert_allclose(subject.log_probabilities, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(subject.probabilities.sum(1), 1, rtol=1e-5)
    again = torch.from_numpy(subject.features) @ subject.net.linear.weight.T + subject.net.linear.bias
    torch.testing.assert_close(again, logits, rtol=1e-4, atol=1e-4)  # the features are of the picture as it is
    np.testing.assert_allclose(subject.log_probabilities_of(subject.pictures[3:5]), expected[3:5], rtol=1e-4, atol=1e-5)


def test_errors_and_margins_are_those_of_its_answers(subject_of: SubjectOf) -> None:
    subject = subject_of("digits", 4)
    probabilities = np.full((4, 10), 0.05)
    for row, (label, share) in enumerate(((0, 0.55), (2, 0.55), (2, 0.55), (3, 0.55))):
        probabilities[row, label] = share
    subject.__dict__["_answers"] = (np.log(probabilities), np.zeros((4, 8)))
    assert subject.labels.tolist() == [0, 1, 2, 3]
    assert subject.right.tolist() == [True, False, True, True]
    assert subject.error == 0.25
    gap = np.log(0.55 / 0.05)
    np.testing.assert_allclose(subject.margins(), [gap, -gap, gap, gap])


def test_what_passes_a_layer_is_captured_until_the_end(subject_of: SubjectOf) -> None:
    subject = subject_of("photos", 4)
    with torch.inference_mode(), captured(subject.net.stem) as seen:
        subject.net(subject.standardize(subject.prepared([0, 1])))
        assert [tuple(maps.shape) for maps in seen] == [(2, 4, 16, 16)]
        subject.net(subject.standardize(subject.prepared([0])))
    subject.model(subject.prepared([0]))
    assert len(seen) == 2


def test_a_checkpoint_is_read_with_the_pictures_that_it_did_not_learn(course_photos: Callable[..., Path]) -> None:
    course_photos()
    config = str(Path(__file__).resolve().parents[2] / "configs" / "catsdogs.yaml")
    small = ["--model.widths", "[4,8]", "--model.blocks", "[1]", "--trainer.precision", "32-true"]
    small += [
        "--data.size_schedule",
        "{0: 48}",
        "--trainer.max_epochs",
        "1",
        "--model.compile_net",
        "false",
        "--data.n_valid",
        "16",
    ]
    main(["fit", "--config", config, *small, "--data.batch_size", "8", "--trainer.accelerator", "cpu"])
    path = Path("lightning_logs/catsdogs/version_0/checkpoints/best.ckpt")
    data = CatsDogsDataModule(n_valid=16)
    subject = load_subject("catsdogs", path, data)
    assert subject.indices.tolist() == data.sets["val"].index.tolist()
    assert not set(subject.indices) & set(data.sets["train"].index)
    np.testing.assert_array_equal(subject.pictures[0], data.sets["val"].pictures[subject.indices[0]])
    assert (subject.size, subject.classes, subject.drawn) == (64, ("Cat", "Dog"), False)
    assert subject.test_pictures is not None
    assert (len(subject.test_pictures), subject.test_labels) == (12, None)
    assert str(subject.origin).startswith("lightning_logs/catsdogs/version_0, best.ckpt (epoch 1); seed 0; commit ")
