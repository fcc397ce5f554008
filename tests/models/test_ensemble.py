"""An ensemble: the mean of its members, rebuilt from their checkpoints alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor

from lit_a1.callbacks import ensemble as ensembles
from lit_a1.callbacks.ensemble import EnsembleRecord
from lit_a1.data.errors import DataError
from lit_a1.data.resample import resize
from lit_a1.models import MNISTCNN, CatsDogsCNN, Classifier, Ensemble, evaluated
from lit_a1.runs.records import CheckpointError
from tests.models.conftest import TINY, RandomImages, Save, trainer

OTHER: dict[str, Any] = {
    "widths": (6, 8, 8), "blocks": (1, 2), "norm": "group", "stem_stride": 1, "average_decay": 0, "views": "shift",
    "channels_last": False, "compile_net": True,
}  # fmt: skip


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 3, 16, 16).contiguous(memory_format=torch.channels_last)  # as data modules hand them over


def probabilities(model: Classifier, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.eval()(images).exp()


def test_one_member_says_exactly_what_it_says_alone(save: Save, images: Tensor) -> None:
    for number, settings in enumerate((TINY, OTHER)):
        alone = CatsDogsCNN(**settings | {"compile_net": False})
        ensemble = Ensemble(members=[str(save(alone, f"{number}.ckpt"))])
        with torch.inference_mode():
            assert torch.equal(ensemble(images), alone.eval()(images))
        assert not ensemble.training


def test_the_mean_is_that_of_probabilities(save: Save, images: Tensor) -> None:
    """Of networks of two architectures, each with its own views and at its own size."""
    first, second = CatsDogsCNN(**TINY), CatsDogsCNN(**OTHER | {"compile_net": False})
    paths = [str(save(first, "a.ckpt")), str(save(second, "b.ckpt", size=12))]
    by_hand = (probabilities(first, images) + probabilities(second, resize(images, 12))) / 2
    found = probabilities(Ensemble(members=paths), images)
    torch.testing.assert_close(found, by_hand)
    logits = torch.stack([first(images), second(resize(images, 12))]).mean(0)
    assert not torch.allclose(found, logits.softmax(1), atol=1e-3)  # what averaging logits would give
    assert not torch.allclose(
        found, (probabilities(first, images) + probabilities(second, images)) / 2, atol=1e-4
    )  # and one size for all


def test_a_member_of_one_channel(save: Save) -> None:
    digits = MNISTCNN(widths=(4, 6), blocks=(1,))
    path = str(save(digits, size=28, classes=[str(digit) for digit in range(10)]))
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(probabilities(Ensemble(members=[path]), images), probabilities(digits, images))


def test_members_that_do_not_fit_are_refused(save: Save, tmp_path: Path) -> None:
    cats, dogs = (str(save(CatsDogsCNN(**TINY), f"{name}.ckpt")) for name in ("cats", "dogs"))
    save(CatsDogsCNN(**TINY), "dogs.ckpt", classes=["Dog", "Cat"])
    with pytest.raises(ValueError, match="at least one checkpoint; got none"):
        Ensemble(members=[])
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.ckpt").write_bytes(Path(cats).read_bytes()[:500])
    for other, words in (
        ("nowhere.ckpt", r"There is no checkpoint nowhere.ckpt\. A member is a checkpoint, or"),
        (str(tmp_path / "empty"), r"no best.ckpt in .*empty or in a run below"),
        (str(tmp_path / "empty" / ".." / "cats.ckpt"), "named twice"),
        (dogs, r"dogs.ckpt knows Dog and Cat; .*cats.ckpt knows Cat and Dog"),
        (str(tmp_path / "torn.ckpt"), r"torn.ckpt can't be read as a checkpoint"),
    ):
        with pytest.raises(CheckpointError, match=words):
            Ensemble(members=[cats, other])


# with a trainer


def test_validate_measures_the_mean_and_each_member(
    save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensembles, "machine", lambda on_cpu: "a CPU" if on_cpu else "a GPU")
    models = [CatsDogsCNN(**TINY), CatsDogsCNN(**TINY)]
    paths = [save(model, f"{n}/checkpoints/best.ckpt") for n, model in enumerate(models)]
    record = {"epochs": [{}] * 7, "seconds": 4.5, "peak_memory_gb": 1000.0, "settings": {"seed": 3}}
    (tmp_path / "1" / "record.json").write_text(json.dumps(record))
    ensemble = Ensemble(members=list(map(str, paths)))
    data = RandomImages(measure_train=True)  # these are no part of a member's figures
    callback = EnsembleRecord({"model.members": "two"}, tmp_path / "runs")
    trainer(callbacks=[callback]).validate(ensemble, data, verbose=False)

    batch = data.sets["val"].__getitems__(range(20))
    each = [probabilities(model, batch.images / 255) for model in models]
    errors = [(p.argmax(1) != batch.targets).float().mean().item() for p in [*each, sum(each) / 2]]
    found = json.loads((tmp_path / "runs/version_0/record.json").read_text())
    assert [member["val/error"] for member in found["members"]] == pytest.approx(errors[:2])
    assert len(set(errors)) > 1
    loss = -(sum(each) / 2)[range(20), batch.targets].log().mean()
    assert found["best"] == found["last"] == found["epochs"][0]
    tags = {f"{stage}/{name}" for stage in ("val", "train_eval") for name in ("loss", "error")}
    assert found["last"].keys() == {"epoch", "step", *tags}
    assert (found["last"]["epoch"], found["last"]["step"]) == (3 + 7 - 1, 24)
    assert found["last"]["val/loss"] == pytest.approx(float(loss))
    assert found["last"]["val/error"] == pytest.approx(errors[2])
    assert [member["seed"] for member in found["members"]] == found["seed"] == [None, 3]
    assert {member["model_class"] for member in found["members"]} == {"CatsDogsCNN"}
    assert found["machine"] == "a CPU"
    assert found["parameters"] == 2 * sum(parameter.numel() for parameter in models[0].net.parameters())
    assert (found["seconds"], found["peak_memory_gb"], found["images"]["val"]) == (4.5, 1000.0, 20)
    output = capsys.readouterr().out
    assert f"Not counted in seconds, for lack of a record.json: {paths[0]}." in output
    for name, error in zip([*map(str, paths), "mean of 2 members"], errors, strict=True):
        assert any(line.startswith(name) and f"val/error {error:.4f}" in line for line in output.splitlines()), name


def test_members_follow_the_data_they_were_trained_on(save: Save) -> None:
    path = save(CatsDogsCNN(**TINY))
    ensemble = Ensemble(members=[str(path), str(save(CatsDogsCNN(**TINY), "b.ckpt", size=12))])
    with pytest.raises(DataError, match=r"best.ckpt: The checkpoint was trained with another split"):
        trainer().validate(ensemble, RandomImages(val=10), verbose=False)
    data = RandomImages()
    data.classes = ("Hen", "Fox")
    for measure in (trainer().validate, trainer().test):
        with pytest.raises(DataError, match="knows Cat and Dog; the data are Hen and Fox"):
            measure(ensemble, data, verbose=False)
    data = RandomImages(size=12)
    with pytest.raises(DataError, match=r"best.ckpt is evaluated on images of 16 .*must be 16, .*got 12"):
        trainer().validate(ensemble, data, verbose=False)
    ensemble = Ensemble(members=[str(save(CatsDogsCNN(**TINY), "b.ckpt", size=12))])
    trainer().validate(ensemble, data, verbose=False)  # all at one size: the data module may do it


def test_predict_takes_the_classes_of_the_members(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluated, "computes_bfloat16", lambda on_cpu: False)
    model = CatsDogsCNN(**TINY)
    ensemble, data = Ensemble(members=[str(save(model, classes=["Hen", "Fox"]))]), RandomImages()
    del data.sets["val"], data.sets["test"]
    predictions = trainer().predict(ensemble, data)
    assert data.classes == ("Hen", "Fox")
    expected = probabilities(model, data.sets["predict"].__getitems__(range(20)).images / 255)
    torch.testing.assert_close(torch.cat([batch.probabilities for batch in predictions]), expected)


def test_an_ensemble_is_not_trained(save: Save) -> None:
    ensemble = Ensemble(members=[str(save(CatsDogsCNN(**TINY)))])
    with pytest.raises(MisconfigurationException, match="is not trained"):
        trainer().fit(ensemble, RandomImages())
    assert not any(parameter.requires_grad for parameter in ensemble.parameters())
