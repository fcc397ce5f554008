"""Trained weights from a run to lit_a1/pretrained/, and from there to a submission, on small images."""

import hashlib
import io
import json
import shlex
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lit_a1.analysis.familiarity import Familiarity
from lit_a1.cli import main
from lit_a1.runs.checkpoints import read
from lit_a1.runs.folders import resolve
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.settings import recipe_of
from lit_a1.training import parse
from tests.conftest import CONFIGS, Capture, Refusal, edit_record, encoded, read_csv


@pytest.fixture
def publish(script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """docs/publish.py, with folders of its own for configs and weights."""
    module = script("publish")
    monkeypatch.setattr("lit_a1.runs.folders.PRETRAINED", tmp_path / "pretrained")
    monkeypatch.setattr(module, "CONFIGS", tmp_path / "configs")
    monkeypatch.setattr("lit_a1.data.catsdogs.COURSE_TEST_IMAGES", 12)
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "configs").mkdir()
    settings = yaml.safe_load((CONFIGS / "catsdogs.yaml").read_text())
    settings["trainer"] |= {"accelerator": "cpu", "max_epochs": 2, "precision": "32-true", "check_val_every_n_epoch": 1}
    settings["trainer"]["logger"]["init_args"]["name"] = "tiny"
    settings["model"]["init_args"] |= {"widths": [16, 64], "blocks": [1], "lr": 0.001, "compile_net": False}
    sizes = {"size_schedule": {0: 16, 1: 32}, "eval_scale": 1.0}
    settings["data"]["init_args"] |= {"batch_size": 8, "n_valid": 16, **sizes}
    config_of(tmp_path).write_text(yaml.safe_dump(settings))
    return module


def mislabel(archive: Path, count: int = 12) -> None:
    """Adds dogs to the cats, a little brighter: images that a network has wrong."""
    with zipfile.ZipFile(archive, "a") as photos:
        for number in range(1, count + 1):
            with Image.open(io.BytesIO(photos.read(f"trainset/Dog/{number}.Dog.jpg"))) as dog:
                brighter = dog.point(lambda value: min(255, value + 9))
            photos.writestr(f"trainset/Cat/{1000 + number}.Cat.jpg", encoded(brighter, "JPEG"))


def config_of(folder: Path) -> Path:
    return folder / "configs" / "tiny.yaml"


def fit(folder: Path, *flags: str) -> Path:
    """Trains the tiny network; its record then tells of a commit that is clean, whatever this checkout is."""
    main(["fit", "--config", str(config_of(folder)), *flags])
    run = max(Path("lightning_logs").glob("tiny*/version_*"))
    edit_record(run, commit="0123456789")
    return run


def evaluated(path: Path) -> dict[str, torch.Tensor]:
    """The averaged network's tensors."""
    state = read(path)["state_dict"]
    return {name: tensor for name, tensor in state.items() if name.startswith("average.net.")}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_from_a_run_to_the_submission_of_its_published_weights(
    publish: ModuleType, course_photos: Callable[..., Path], tmp_path: Path, refusal: Refusal,
    capsys: Capture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    mislabel(course_photos() / "catsdogs" / "trainset.zip")
    schedule = "{0: 24}"
    run = fit(tmp_path, "--model.weight_decay", "0.001", "--data.size_schedule", schedule, "--seed_everything", "3")
    monkeypatch.setattr(sys, "argv", ["publish.py", str(run)])
    publish.main()
    ckpt, about = tmp_path / "pretrained" / "tiny.ckpt", json.loads((tmp_path / "pretrained" / "tiny.json").read_text())
    assert set(contents(ckpt.parent)) == {"tiny.ckpt", "tiny.json"}

    # what the note says
    record = json.loads((run / "record.json").read_text())
    for key in ("parameters", "seconds", "peak_memory_gb", "machine", "versions", "commit", "finished"):
        assert about[key] == record[key]
    assert (about["config"], about["seed"], about["epochs"]) == ("configs/tiny.yaml", 3, 2)
    assert 0.05 <= about["temperature"] <= 20
    assert Familiarity.from_note(about["familiarity"]).means.shape == (2, 64)
    assert (about["val_images"], about["test_images"]) == (16, 12)
    assert about["val_error_full_precision"] == pytest.approx(record["last"]["val/error"])
    assert about["val_error"] > 0
    assert (about["sha256"], about["bytes"]) == (hashlib.sha256(ckpt.read_bytes()).hexdigest(), ckpt.stat().st_size)
    command = shlex.split(about["command"])[2:]
    assert command[:3] == ["fit", "--config", "configs/tiny.yaml"]
    again = parse([*command[:2], str(config_of(tmp_path)), *command[3:]])
    assert recipe_of(again) | {"seed": again.seed_everything} == record["settings"]
    assert len(command) == 3 + 2 * 3, "a flag for a setting that was not changed"

    # the file: each weight once, in half precision; statistics and counters as they were
    whole, half = evaluated(run / "checkpoints" / "last.ckpt"), evaluated(ckpt)
    assert whole.keys() == half.keys()
    statistics = [name for name in whole if name.endswith(("mean", "std", "running_var", "num_batches_tracked"))]
    assert len(statistics) > 8
    for name, tensor in half.items():
        assert torch.equal(tensor, whole[name] if name in statistics else whole[name].half()), name
        assert tensor.dtype == (whole[name].dtype if name in statistics else torch.float16), name
    state = read(ckpt)["state_dict"]
    for name in half:
        assert state[name].data_ptr() == state[name.removeprefix("average.")].data_ptr(), name
    assert about["parameters"] > 40_000
    assert 2 * about["parameters"] < about["bytes"] < 2.6 * about["parameters"]
    assert not {"optimizer_states", "callbacks", "loops", "lr_schedulers"} & read(ckpt).keys()

    # used from another folder
    monkeypatch.chdir(tmp_path)
    options = ["--config", str(config_of(tmp_path)), "--ckpt_path", "pretrained"]
    capsys.readouterr()
    main(["validate", *options])
    output = capsys.readouterr().out
    assert f"Checkpoint: {ckpt}" in output
    assert f"val/error        {about['val_error']:.4f}" in output
    main(["predict", *options])
    assert hashlib.sha256(Path("submission.csv").read_bytes()).hexdigest() == about["submission_sha256"]
    distances = [abs(float(row["Dog"]) - 0.5) for row in read_csv("submission_probabilities.csv")]
    assert about["smallest_margin"] == pytest.approx(min(distances), abs=2e-6)
    assert not {"lightning_logs", "validate.json"} & {path.name for path in tmp_path.iterdir()}
    main(["predict", *options, "--data.source", "drawn"])
    assert Path("submission-drawn.csv").exists()

    # never resumed, by name or as a file
    for path in ("pretrained", str(ckpt)):
        output = refusal("fit", *options[:2], "--ckpt_path", path)
        assert "holds weights and not a run that fit could go on with" in output

    # nothing else is taken for it
    ckpt.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "is not the file that was published" in refusal("predict", *options)


def test_from_a_run_of_the_numpy_network_to_its_published_weights(
    publish: ModuleType, mnist_files: Callable[..., Path], tmp_path: Path, refusal: Refusal, capsys: Capture
) -> None:
    mnist_files(Path("data"), train=240, test=30)
    model = {"hidden_dims": [16, 12], "parameter_range": [1, 99999], "momentum": 0.9, "lr": 0.1}
    (tmp_path / "configs" / "mlp.yaml").write_text(yaml.safe_dump({"model": model, "trainer": {"max_epochs": 2}}))
    options = ["--config", str(tmp_path / "configs" / "mlp.yaml")]
    main(["mlp", "fit", *options, "--model.lr", "0.2"])
    run = Path("lightning_logs/mlp/version_0")
    edit_record(run, commit="0123456789")
    about = publish.publish(run)
    assert about == json.loads((tmp_path / "pretrained" / "mlp.json").read_text())
    assert about["command"].endswith("mlp fit --config configs/mlp.yaml --seed_everything 0 --model.lr 0.2")
    assert (about["file"], about["checkpoint"], about["checkpoint_epoch"]) == ("mlp.npz", "last.npz", 2)
    assert (about["val_images"], about["test_images"]) == (40, 30)
    with np.load(run / "checkpoints" / "last.npz") as whole, np.load(tmp_path / "pretrained" / "mlp.npz") as half:
        assert np.array_equal(half["w1"], whole["w1"].astype(np.float16))
        assert half["velocity"].size == whole["velocity"].size
        assert not half["velocity"].any()
    capsys.readouterr()
    main(["mlp", "test", *options, "--ckpt_path", "pretrained"])
    output = capsys.readouterr().out
    assert "learning rate 0.2" in output  # as it was trained
    assert f"test/error       {about['test_error']:.4f}" in output
    assert "holds weights and not a run" in refusal("mlp", "fit", *options, "--ckpt_path", "pretrained")
    np.savez("large.npz", w1=np.array([1e5], np.float32), velocity=np.zeros(1))
    with pytest.raises(CheckpointError, match="not finite in half precision"):
        publish.arrays_to_half_precision(Path("large.npz"))
    (tmp_path / "configs" / "mlp.yaml").write_text(yaml.safe_dump({"model": model | {"hidden_dims": [16, 11]}}))
    with pytest.raises(CheckpointError, match=r"holds a network 784-16-12-10 .* 784-16-11-10 .* was expected"):
        publish.publish(run)


def test_weights_that_fail_to_be_measured_leave_what_was_there(
    publish: ModuleType, course_photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course_photos()
    run, folder = fit(tmp_path, "--trainer.max_epochs", "1"), tmp_path / "pretrained"
    (folder / "tiny.ckpt").write_bytes(b"of an earlier run")

    def fail(config: Path) -> dict[str, Any]:
        assert read(folder / "tiny.ckpt")
        raise CheckpointError("no test images")

    monkeypatch.setattr(publish, "submission", fail)
    with pytest.raises(CheckpointError, match="no test images"):
        publish.publish(run)
    assert contents(folder) == {"tiny.ckpt": b"of an earlier run"}

    # refused before anything is measured
    monkeypatch.setattr(publish, "evaluate", lambda *arguments: pytest.fail("measured"))
    (folder / "other.ckpt").write_bytes(bytes(publish.LIMIT - publish.ROOM_FOR_JSON - 60_000))
    with pytest.raises(CheckpointError, match=r"would take 0\.\d MB beside 15\.9 MB of others: .* may hold 16 MB"):
        publish.publish(run)
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*nowhere\.ckpt"):
        publish.publish(run, "nowhere")
    config_of(tmp_path).write_text(config_of(tmp_path).read_text().replace("- 64", "- 32"))
    with pytest.raises(CheckpointError, match="of a CatsDogsCNN with other hyperparameters"):
        publish.publish(run)
    config_of(tmp_path).unlink()
    with pytest.raises(CheckpointError, match=r"no .*tiny\.yaml: tiny is not an experiment"):
        publish.publish(run)


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("tiny-drawn", {}, "on drawn images"),
        ("tiny", {"settings": {"data.source": "drawn"}}, "on drawn images"),
        ("tiny", {"commit": "0123456789+"}, "with changes that are in no commit"),
        ("tiny", {"commit": "0123456789 and 9876543210"}, "was trained at 0123456789 and 9876543210: train it again"),
        ("tiny", {"commit": ""}, "outside a checkout"),
        ("tiny", None, r"version_0 has no record\.json: name the folder of a run that has ended"),
    ],
)
def test_runs_that_are_not_published(
    name: str, changed: dict[str, object] | None, words: str, publish: ModuleType, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = tmp_path / name / "version_0"
    run.mkdir(parents=True)
    if changed is not None:
        (run / "record.json").write_text(json.dumps({"settings": {}, "commit": "0123456789"}))
        edit_record(run, **changed)
    monkeypatch.setattr(sys, "argv", ["publish.py", str(run)])
    with pytest.raises(SystemExit, match=f"error: .*{words}"):
        publish.main()


def checkpoint(weight: float, averaged: bool) -> dict[str, Any]:
    net = {"linear.weight": torch.full((2, 2), weight), "norm.running_var": torch.full((2,), 1e6)}
    state = {f"net.{name}": tensor + 1 for name, tensor in net.items()}
    state |= {f"average.net.{name}": tensor for name, tensor in net.items()} if averaged else {}
    return {"epoch": 1, "callbacks": {}, "state_dict": state}


@pytest.mark.parametrize("averaged", [True, False])
def test_weights_that_are_evaluated_are_kept_if_half_precision_holds_them(averaged: bool, publish: ModuleType) -> None:
    half = publish.to_half_precision(checkpoint(0.5, averaged), {"linear.weight"})
    assert half["state_dict"].keys() == checkpoint(0.5, averaged)["state_dict"].keys()
    assert half["epoch"] == 1
    assert "callbacks" not in half
    weight = half["state_dict"]["net.linear.weight"]
    assert torch.equal(weight, torch.full((2, 2), 0.5 if averaged else 1.5, dtype=torch.float16))
    for held in (7e4, float("nan"), float("-inf")):
        with pytest.raises(CheckpointError, match=r"linear\.weight is not finite in half precision"):
            publish.to_half_precision(checkpoint(held, averaged), {"linear.weight"})


def test_what_pretrained_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_a1.runs.folders.PRETRAINED", tmp_path)
    runs = Path("lightning_logs", "mine-drawn")
    with pytest.raises(CheckpointError, match="no pretrained weights for mine: none are published yet"):
        resolve("pretrained", runs)
    note = tmp_path / "mine.json"
    note.write_text(json.dumps({"sha256": hashlib.sha256(b"weights").hexdigest()}))
    with pytest.raises(CheckpointError, match=r"no pretrained weights for theirs: there are some for mine\."):
        resolve("pretrained", Path("lightning_logs", "theirs"))
    with pytest.raises(CheckpointError, match=r"mine\.ckpt is missing, although mine\.json"):
        resolve("pretrained", runs)
    (tmp_path / "mine.ckpt").write_bytes(b"weights")
    assert resolve("pretrained", runs) == tmp_path / "mine.ckpt"
    with pytest.raises(CheckpointError, match="pretrained holds weights and not a run"):
        resolve("pretrained", runs, resume=True)
    for damaged in ("", "[]", "{}"):
        note.write_text(damaged)
        with pytest.raises(CheckpointError, match=r"mine\.json can't be read"):
            resolve("pretrained", runs)
