"""Training that goes on from trained weights."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lit_a1.data.errors import DataError
from lit_a1.models import CatsDogsCNN, DistilledCNN, FineTunedCNN
from lit_a1.models.members import load_member
from lit_a1.runs.records import CheckpointError
from tests.models.conftest import SMALL, RandomImages, check_equal, checkpoint, fit, saving_after, weights


@pytest.fixture
def first(tmp_path: Path) -> str:
    return checkpoint(tmp_path / "first.ckpt")


def finished(experiment: str, number: int, weights: str) -> Path:
    """A run's folder as fit leaves it; returns its last.ckpt."""
    last = Path(experiment, f"version_{number}", "checkpoints", "last.ckpt")
    last.parent.mkdir(parents=True)
    last.write_bytes(Path(weights).read_bytes())
    (last.parents[1] / "record.json").write_text('{"settings": {}}')
    return last


def fitted(start: str, data: RandomImages | None = None, **options: Any) -> FineTunedCNN:
    torch.manual_seed(3)
    model = FineTunedCNN(start=start, **SMALL | options)
    fit(model, data, max_epochs=1)
    return model


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_training_starts_from_the_averaged_weights_and_statistics(average: float, first: str) -> None:
    class Stop(L.Callback):
        def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
            trainer.should_stop = True
            for net in (pl_module.net, pl_module.evaluated_net()):
                check_equal(net.state_dict(), load_member(Path(first)).model.net.state_dict())
            seen.append(1)

    seen: list[int] = []
    model = FineTunedCNN(start=first, average_decay=average, **SMALL)
    fit(model, max_epochs=1, callbacks=[Stop()])
    assert seen == [1]


@pytest.mark.parametrize("kind", [FineTunedCNN, DistilledCNN])
def test_dropout_norms_and_standardisation_make_no_other_network(kind: type[FineTunedCNN], first: str) -> None:
    torch.manual_seed(3)
    others: dict[str, Any] = {"teachers": [first]} if kind is DistilledCNN else {}
    others |= {"dropout": 0.3, "stochastic_depth": 0.2, "sync_norm": True, "mean": (0.1, 0.2, 0.3)}
    model = kind(start=first, **SMALL | {"lr": 0.0}, **others)
    fit(model, max_epochs=1)
    assert model.net[0].mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])  # a standardisation of its own
    expected = load_member(Path(first)).model.net
    for ours, theirs in zip(model.net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_without_a_start_it_is_the_plain_network() -> None:
    model = fitted("")
    torch.manual_seed(3)
    plain = CatsDogsCNN(**SMALL)
    fit(plain, max_epochs=1)
    check_equal(model.state_dict(), plain.state_dict())


@pytest.mark.parametrize("kind", [FineTunedCNN, DistilledCNN])
def test_a_run_that_is_resumed_does_not_start_again(
    kind: type[FineTunedCNN], first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on with the teachers that it began with, though there is a newer one by then."""
    monkeypatch.chdir(tmp_path)
    finished("runs", 0, first)

    def model() -> FineTunedCNN:
        torch.manual_seed(3)
        others = {"teachers": ["runs"], "teacher_share": 1.0} if kind is DistilledCNN else {}
        return kind(start="runs", schedule="constant", **SMALL, **others)

    data, uninterrupted, resumed = RandomImages(), model(), model()
    fit(uninterrupted, data, callbacks=[saving_after(0, tmp_path / "half.ckpt")])
    finished("runs", 1, first).write_bytes(b"damaged")
    fit(resumed, data, resume=tmp_path / "half.ckpt")
    check_equal(weights(resumed), weights(uninterrupted))


@pytest.mark.parametrize(("kind", "option"), [(FineTunedCNN, "start"), (DistilledCNN, "teachers")])
def test_a_checkpoint_is_used_without_those_it_was_trained_with(
    kind: type[FineTunedCNN], option: str, first: str, tmp_path: Path
) -> None:
    value = [first] if option == "teachers" else first
    model = kind(**{option: value}, **SMALL)
    fit(model, max_epochs=1).save_checkpoint(tmp_path / "second.ckpt")
    Path(first).unlink()
    loaded = kind.load_from_checkpoint(tmp_path / "second.ckpt", weights_only=True)
    images = torch.rand(4, 3, 16, 16)
    assert torch.equal(loaded.eval()(images), model.eval()(images))
    assert (loaded.hparams[option], loaded.hparams["widths"]) == (value, SMALL["widths"])
    assert isinstance(load_member(tmp_path / "second.ckpt").model, kind)


def test_weights_of_another_network_are_no_start(tmp_path: Path) -> None:
    runner = fit(CatsDogsCNN(widths=(8, 24), blocks=(1,)), max_epochs=1)
    runner.save_checkpoint(tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"can't start from .*other\.ckpt: it is of a network with other layers"):
        fitted(str(tmp_path / "other.ckpt"))
    with pytest.raises(CheckpointError, match="other layers"):  # before there is a trainer, too
        FineTunedCNN(start=str(tmp_path / "other.ckpt"), **SMALL).check_files(drawn=False)


def test_what_training_cannot_begin_with_is_refused_before(first: str, tmp_path: Path) -> None:
    FineTunedCNN(start=first, **SMALL).check_files(drawn=False)
    FineTunedCNN(**SMALL).check_files(drawn=False)
    (tmp_path / "torn.ckpt").write_bytes(Path(first).read_bytes()[:500])
    student = DistilledCNN(start=first, teachers=[str(tmp_path / "torn.ckpt")], **SMALL)
    with pytest.raises(CheckpointError, match=r"torn\.ckpt can't be read as a checkpoint"):
        student.check_files(drawn=False)
    grey = FineTunedCNN(start=first, **SMALL, mean=(0.5,), std=(0.5,))
    with pytest.raises(CheckpointError, match="takes images of 3 channels; these have 1"):
        grey.check_files(drawn=False)


def test_weights_that_are_missing_or_know_held_out_images(first: str) -> None:
    with pytest.raises(DataError, match=r"first\.ckpt: The checkpoint was trained with another split"):
        fitted(first, RandomImages(val=10))
    with pytest.raises(CheckpointError, match="There is no finished training in nowhere, which this one needs"):
        fitted("nowhere")
