"""What figures were measured on, and what a refused training leaves behind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from lit_a1.cli import main
from lit_a1.data.batch import ImageSet, UnrepeatedSampler, identity_collate
from tests.conftest import Capture, Refusal
from tests.test_training import SMALL

TINY = [*SMALL, "--data.size_schedule", "{0: 16}"]


def fit(*flags: str) -> dict[str, Any]:
    """One epoch of a small network; returns its record."""
    main(["fit", *TINY, "--trainer.max_epochs", "1", *flags])
    return json.loads((max(Path("lightning_logs/catsdogs").iterdir()) / "record.json").read_text())


def test_what_is_measured_in_part_is_not_kept(
    photos: Path, capsys: Capture, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit()
    path, part = Path("lightning_logs/catsdogs/version_0/validate.json"), ["--data.eval_batch_size", "9"]
    main(["validate", *TINY])
    before = path.read_text()
    assert json.loads(before)["images"] == 16
    for limit in (["--trainer.fast_dev_run", "true"], ["--trainer.limit_val_batches", "1"]):
        capsys.readouterr()
        main(["validate", *TINY, *part, *limit])
        assert "Measured on 9 of 16 images: nothing is written" in capsys.readouterr().out
        assert path.read_text() == before
    config = SMALL[1].replace("catsdogs", "catsdogs_ensemble")
    ensemble = ["--config", config, "--trainer.accelerator", "cpu", "--data.n_valid", "16"]
    ensemble += ["--model.members", "[lightning_logs/catsdogs]", *part]
    main(["validate", *ensemble, "--trainer.limit_val_batches", "1"])
    assert "Measured on 9 of 16" in capsys.readouterr().out
    assert not Path("lightning_logs/catsdogs_ensemble").exists()
    monkeypatch.setattr("lit_a1.data.catsdogs.COURSE_TEST_IMAGES", 12)
    output = refusal("predict", *TINY, *part, "--trainer.limit_predict_batches", "1")
    assert "Only 9 of 12 images were labelled" in output


@pytest.mark.parametrize(
    ("flags", "words", "images"),
    [
        (["--trainer.limit_val_batches", "0"], "Last epoch: 1 of 1; nothing was validated", 0),
        (["--trainer.max_steps", "7"], "Last epoch: 1 of 1; nothing was validated", 16),
        (["--trainer.limit_val_batches", "1", "--data.eval_batch_size", "9"], "Best epoch: 1 of 1", 9),
    ],
)
def test_what_was_not_measured_is_not_told(
    flags: list[str], words: str, images: int, photos: Path, capsys: Capture
) -> None:
    record, output = fit(*flags), capsys.readouterr().out
    assert words in output
    assert ("val loss" in output) == ("val/error" in record["best"]) == words.startswith("Best")
    assert record["images"]["val"] == images
    assert "best.ckpt" in output if words.startswith("Best") else "last.ckpt" in output


def test_an_epoch_that_time_cuts_short_is_measured(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights are validated, and kept as the best ones as no others are."""
    timer = "lightning.pytorch.callbacks.timer.Timer"
    monkeypatch.setattr(f"{timer}.time_elapsed", lambda self, *_: 1e9 if self._offset else 0)
    monkeypatch.setattr(f"{timer}.on_train_batch_start", lambda self, *_: setattr(self, "_offset", 1), raising=False)
    record = fit("--trainer.max_time", "00:01:00:00")
    assert record["last"]["step"] == 1
    assert 0 <= record["last"]["val/error"] <= 1
    main(["validate", *TINY])
    validated = json.loads(Path("lightning_logs/catsdogs/version_0/validate.json").read_text())
    assert validated["val/loss"] == pytest.approx(record["best"]["val/loss"], rel=1e-5)


@pytest.mark.parametrize("count", [41, 40, 33, 10, 1])
@pytest.mark.parametrize("devices", [2, 3])
def test_several_devices_get_each_image_once(count: int, devices: int) -> None:
    """In the batches that one device has, and all devices as many."""
    images = ImageSet(np.zeros((count, 4, 4, 3), np.uint8), np.ones(count, np.int64))
    loaders = [
        DataLoader(images, 10, sampler=UnrepeatedSampler(count, 10, devices, rank), collate_fn=identity_collate)
        for rank in range(devices)
    ]
    assert len(set(map(len, loaders))) == 1
    batches = [batch.indices.tolist() for turn in zip(*loaders, strict=True) for batch in turn]
    expected = [list(range(start, min(start + 10, count))) for start in range(0, count, 10)]
    assert [batch for batch in batches if batch != [-1]] == expected


def test_a_refused_run_leaves_nothing(photos: Path, refusal: Refusal) -> None:
    archive = photos / "catsdogs" / "trainset.zip"
    archive.write_bytes(archive.read_bytes()[:5000])
    assert "trainset.zip" in refusal("fit", *TINY)
    assert not Path("lightning_logs").exists()


def test_a_refused_run_is_not_the_newest(photos: Path, refusal: Refusal) -> None:
    fit()
    refusal("fit", *TINY, "--trainer.max_epochs", "1", "--trainer.gradient_clip_val", "1")
    Path("lightning_logs/catsdogs/version_1").mkdir()  # as of a run that was killed while it started
    assert "is of a run that is over" in refusal("fit", *TINY, "--trainer.max_epochs", "1", "--ckpt_path", "last")
