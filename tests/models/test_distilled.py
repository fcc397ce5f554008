"""Learning from trained networks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_a1.data.augment import Augment
from lit_a1.data.batch import Batch
from lit_a1.data.errors import DataError
from lit_a1.data.module import ImageSet
from lit_a1.layers import cross_entropy
from lit_a1.models import CatsDogsCNN, DistilledCNN
from lit_a1.models.members import load_member
from lit_a1.runs.records import CheckpointError
from tests.models.conftest import SMALL, RandomImages, checkpoint, fit


@pytest.fixture
def teachers(tmp_path: Path) -> list[str]:
    return [checkpoint(tmp_path / f"{seed}.ckpt", seed) for seed in (1, 2)]


def fitted(teachers: list[str], data: RandomImages | None = None, **options: Any) -> DistilledCNN:
    torch.manual_seed(3)
    student = DistilledCNN(teachers=teachers, **SMALL | options)
    fit(student, data, max_epochs=1)
    return student


def mean_probabilities(teachers: list[str], images: Tensor) -> Tensor:
    members = [load_member(Path(teacher)).model.net.eval() for teacher in teachers]
    with torch.no_grad():
        return torch.stack([net(images).softmax(1) for net in members]).mean(0)


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.rand(6, 3, 16, 16, generator=generator), torch.arange(6) % 2, torch.arange(6))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])  # 1: the teachers, read again, say what they say after training
def test_targets_are_the_teachers_mean_and_the_label_by_their_shares(
    share: float, teachers: list[str], batch: Batch
) -> None:
    student = fitted(teachers, teacher_share=share, label_smoothing=0.2)
    hard = torch.eye(2)[batch.targets]
    expected = share * mean_probabilities(teachers, batch.images) + (1 - share) * hard
    torch.testing.assert_close(student.training_targets(batch), expected)
    soft = batch._replace(targets=hard.flip(1) * 0.7 + hard * 0.3)
    expected = share * mean_probabilities(teachers, batch.images) + (1 - share) * soft.targets
    torch.testing.assert_close(student.training_targets(soft), expected)
    logits = student.net(batch.images)  # the loss smooths the whole target
    smoothed = -((0.8 * expected + 0.1) * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(cross_entropy(logits, expected, student.label_smoothing), smoothed)


def test_training_follows_the_teachers_where_labels_say_nothing(teachers: list[str], batch: Batch) -> None:
    """Labels are drawn at random, yet the student comes to agree with its teachers."""
    data = RandomImages(count=64)
    generator = torch.Generator().manual_seed(5)
    part = data.sets["train"]
    data.sets["train"] = ImageSet(part.images, torch.randint(0, 2, (64,), generator=generator).numpy())
    val = data.sets["val"].__getitems__(range(20)).images / 255

    def gap(share: float) -> Tensor:
        torch.manual_seed(3)
        student = DistilledCNN(teachers=teachers, teacher_share=share, average_decay=0, views="one", **SMALL)
        fit(student, data, max_epochs=12, check_val_every_n_epoch=12)
        return (student.eval()(val).exp() - mean_probabilities(teachers, val)).abs().mean()

    assert gap(1.0) < 0.5 * gap(0.0)


def test_without_a_share_it_is_the_plain_network(teachers: list[str]) -> None:
    data = RandomImages(augment=Augment(cutmix=1.0))
    student = fitted(teachers, data, teacher_share=0.0)
    torch.manual_seed(3)
    plain = CatsDogsCNN(**SMALL)
    fit(plain, data, max_epochs=1)
    assert student.state_dict().keys() == plain.state_dict().keys(), "teachers' weights are no part of the student"
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(student.state_dict()[name], tensor)


def test_teachers_that_are_refused(teachers: list[str]) -> None:
    with pytest.raises(DataError, match=r"1\.ckpt: The checkpoint was trained with another split"):
        fitted(teachers, RandomImages(val=10))  # of which it has seen some
    with pytest.raises(CheckpointError, match="There is no finished training in nowhere"):
        fitted([*teachers, "nowhere"])
    with pytest.raises(CheckpointError, match=r"1\.ckpt is named twice in teachers"):
        fitted([*teachers, teachers[0]])


@pytest.mark.usefixtures("traced")
def test_it_trains_compiled_and_in_half_precision(teachers: list[str]) -> None:
    losses = []
    for options, precision in (({"compile_net": True}, "bf16-mixed"), ({}, "32-true")):
        torch.manual_seed(3)
        runner = fit(DistilledCNN(teachers=teachers, **options, **SMALL), max_epochs=1, precision=precision)
        losses.append(runner.callback_metrics["train/loss"].item())
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"teachers": []}, "teachers must name at least one checkpoint"),
        ({"teacher_share": 1.5}, "teacher_share must be between 0 and 1; got 1.5"),
    ],
)
def test_bad_values_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DistilledCNN(**{"teachers": ["x.ckpt"]} | options)
