"""From the command line to the files it leaves behind, on small images."""

import json
import re
import signal
import sys
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tqdm import tqdm

from lit_a1.cli import main
from tests.conftest import CNN, CONFIGS, Capture, Refusal, read_csv, scalars

SMALL = [
    "--config", str(CONFIGS / "catsdogs.yaml"), *CNN, "--model.widths", "[8,16]", "--data.batch_size", "8",
    "--data.n_valid", "16", "--data.size_schedule", "{0: 16, 1: 32}", "--data.eval_scale", "1.0",
    "--trainer.log_every_n_steps", "1", "--trainer.check_val_every_n_epoch", "1",
]  # fmt: skip
STEP = ("lit_a1.models:Classifier", "training_step")


def fit(*flags: str, epochs: int = 2) -> Path:
    main(["fit", *SMALL, "--trainer.max_epochs", str(epochs), *flags])
    return max(Path("lightning_logs/catsdogs").iterdir())


def weights(path: Path) -> torch.Tensor:
    state = torch.load(path, weights_only=True)["state_dict"]
    return torch.cat([state[name].flatten().double() for name in state if name.startswith(("net", "average"))])


def test_fit_leaves_what_it_promises(photos: Path, capsys: Capture) -> None:
    run = fit()
    assert run.name == "version_0"
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]["widths"] == [8, 16]

    logged = scalars(run)
    steps = 64 // 8
    measured = [f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "error")]
    for tag in (*measured, "train/gradient_norm", "train/images_per_second"):
        assert [step for step, _ in logged[tag]] == [steps - 1, 2 * steps - 1], tag
    assert len(logged["train/learning_rate"]) == 2 * steps
    assert "hp_metric" not in logged

    record = json.loads((run / "record.json").read_text())
    for tag in measured:
        assert [row[tag] for row in record["epochs"]] == pytest.approx([value for _, value in logged[tag]], rel=1e-6)
    best = min(record["epochs"], key=lambda row: row["val/error"])
    assert record["best"] == best
    assert logged["result/accuracy"][0][1] == pytest.approx(1 - best["val/error"])
    assert (record["seed"], bool(record["machine"]), record["seconds"] > 0) == (0, True, True)

    events = EventAccumulator(str(run)).Reload()
    assert {"images/first batch", "images/closest calls"} <= set(events.Tags()["images"])
    assert "custom_scalars__config__" in events.Tags()["tensors"]
    assert events.Tags()["graph"]
    output = capsys.readouterr().out
    accuracy, command = f"{best['val/error']:.2%}", "python main.py predict --config"
    for words in (accuracy, "checkpoints/best.ckpt", command, "tensorboard --logdir lightning_logs"):
        assert words in output


def test_an_untrained_network_in_the_sanity_check_shows_no_mistakes(photos: Path) -> None:
    run = fit("--trainer.num_sanity_val_steps", "1", "--trainer.max_steps", "3", epochs=1)
    assert EventAccumulator(str(run)).Reload().Tags()["images"] == ["images/first batch"]


def test_commands_that_use_a_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        patch.setattr(tqdm, "__init__", partialmethod(tqdm.__init__, mininterval=0))  # an epoch may take no time
        run = fit("--model.lr", "0.001")  # little is learnt, so that neither epoch is perfect
    assert re.search(r"epoch 1/2 .*\d+/8, loss 0\.\d+  error +\d+\.\d%  left", capfd.readouterr().out)  # a bar

    # at the size that the epoch was trained at, with the averaged weights: both travel in the checkpoint
    record = json.loads((run / "record.json").read_text())
    for name in ("best", "last"):
        main(["validate", *SMALL, "--ckpt_path", name])
        metrics = json.loads((run / "validate.json").read_text())
        for tag in ("val/loss", "val/error"):
            assert metrics[tag] == pytest.approx(record[name][tag], rel=1e-5), (name, tag)
    assert "right)" in capfd.readouterr().out
    assert not Path("config.yaml").exists()
    assert {path.name for path in Path("lightning_logs/catsdogs").iterdir()} == {"version_0"}

    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(3):
            image = Image.fromarray(np.full((64, 64, 3), 60 * label + number, np.uint8))
            image.save(tmp_path / f"mine/{name}/{number}.png")
    main(["test", *SMALL, "--data.test_dir", str(tmp_path / "mine"), "--ckpt_path", "last"])
    metrics = json.loads((run / "test.json").read_text())
    assert scalars(run)["test/error"] == [(16, pytest.approx(metrics["test/error"]))]

    folder = tmp_path / "holiday"
    folder.mkdir()
    Image.new("RGB", (200, 90), "red").save(folder / "rex.jpg")
    (folder / "torn.jpg").write_bytes((folder / "rex.jpg").read_bytes()[:200])
    main(["predict", *SMALL, "--data.predict_dir", str(folder)])
    assert [row["id"] for row in read_csv("submission.csv")] == ["rex.jpg"]
    assert "torn.jpg" in caplog.text


def test_predict_writes_a_submission_in_numeric_order(
    photos: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    fit("--model.lr", "0.02", epochs=6)
    assert "needs 4999 rows, one per test image; there are 12" in refusal("predict", *SMALL)
    assert not Path("submission.csv").exists()
    monkeypatch.setattr("lit_a1.data.catsdogs.COURSE_TEST_IMAGES", 12)
    main(["predict", *SMALL])
    rows, probabilities = read_csv("submission.csv"), read_csv("submission_probabilities.csv")
    assert (list(rows[0]), list(probabilities[0])) == (["id", "label"], ["id", "Cat", "Dog"])
    assert [row["id"] for row in rows] == [str(number) for number in range(1, 13)]
    # the images' own labels, not those of the validation set: odd numbers are dogs (and easy)
    assert [row["label"] for row in rows] == ["Dog" if number % 2 else "Cat" for number in range(1, 13)]
    for both, row in zip(probabilities, rows, strict=True):
        assert float(both["Cat"]) + float(both["Dog"]) == pytest.approx(1, abs=2e-6)
        assert (float(both["Dog"]) > 0.5) == (row["label"] == "Dog")
    main(["predict", *SMALL, "--submission", "again.csv"])
    assert Path("again.csv").read_bytes() == Path("submission.csv").read_bytes()


@pytest.mark.usefixtures("no_network")
def test_without_photos_everything_goes_on_with_drawn_ones(few_drawn: int) -> None:
    main(["fit", *SMALL, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"])
    assert [path.name for path in Path("lightning_logs").iterdir()] == ["catsdogs-drawn"]
    main(["validate", *SMALL])
    main(["test", *SMALL])
    main(["predict", *SMALL])
    assert not Path("submission.csv").exists()
    assert len(read_csv("submission-drawn.csv")) == few_drawn


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
def test_a_run_that_was_stopped_says_how_to_go_on(
    photos: Path, signalled: Callable[..., None], number: int, status: int, capfd: Capture
) -> None:
    signalled(*STEP, 13, number)
    with pytest.raises(SystemExit) as leaving:
        main(["fit", *SMALL, "--trainer.max_epochs", "100000"])
    output = "".join(capfd.readouterr())
    assert "Stopped. Go on with: python main.py fit --config" in output
    assert leaving.value.code == status
    assert "Traceback" not in output


# what is refused, in one sentence


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model.learning_rate", "0.1"], "learning_rate"),
        (["--model.lr", "fast"], "lr"),
        (["--model.lr", "-1"], r"lr must be in \[0, inf\), got -1"),
        (["--model.optimizer", "lion"], "optimizer.*lion"),
        (["--data.batch_size", "0"], "batch_size must be at least 1; got 0"),
        (["--data.augment.flip", "sideways"], "flip"),
        (["--trainer.max_epoch", "3"], "max_epoch"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--data.n_valid", "2000"], r"n_valid must .* training images of each class \(40 Cat, 40 Dog\)"),
        (["--data.augment.shift", "99"], "augment.shift must be at most decode_size"),
        (["--data.decode_size", "0"], "decode_size must be between 8 and 1024"),
        (["--trainer.max_epochs", "-1"], "needs an end"),
        (["--trainer.gradient_clip_val", "1"], "gradient_clip_val can't be 1 here: --model.clip_gradient"),
        (["--trainer.val_check_interval", "0.5"], "val_check_interval can't be 0.5 here"),
        (["--seed_everything", "-1"], "seed_everything must be a number from 0 to 4294967295, .*; got -1"),
        (["--seed_everything", "false"], "seed_everything must be .*; got false"),
        (["--ckpt_path", "last"], "There is no last.ckpt in any run under lightning_logs/catsdogs"),
    ],
)
def test_wrong_settings(flags: list[str], words: str, photos: Path, refusal: Refusal) -> None:
    assert re.search(words, refusal("fit", *SMALL, *flags))
    assert not Path("lightning_logs").exists()


@pytest.mark.parametrize("text", ["null", "3", "[]"])
def test_a_trainer_that_is_no_settings_is_refused_beside_its_flags(text: str, photos: Path, refusal: Refusal) -> None:
    Path("odd.yaml").write_text(f"trainer: {text}\n")
    odd = ["--config", "odd.yaml"]
    for command in (["fit", *SMALL, *odd], ["fit", *odd, *SMALL], ["mlp", "fit", *odd]):
        assert "trainer: settings by name are needed" in refusal(*command, "--trainer.max_epochs", "1")


@pytest.mark.parametrize("command", ["validate", "predict"])
def test_untrained_weights_are_never_measured(command: str, photos: Path, refusal: Refusal) -> None:
    assert "There is no best.ckpt" in refusal(command, *SMALL)


def test_a_run_is_used_only_as_it_was_trained(photos: Path, refusal: Refusal) -> None:
    run = fit("--model.lr", "0.01", epochs=1)
    before = (run / "config.yaml").read_text()
    resume = ["fit", *SMALL, "--ckpt_path", "last", "--trainer.max_epochs"]
    assert "started with model.lr=0.01, not " in refusal(*resume, "2")
    assert "over: 1 epochs are done" in refusal(*resume, "1", "--model.lr", "0.01")
    assert (run / "config.yaml").read_text() == before
    for flags, words in {
        "--model.widths [8,24]": "other hyperparameters",
        "--model.dropout 0.5": "other layers",
        "--data.split_seed 1": "another split",
    }.items():
        assert words in refusal("validate", *SMALL, *flags.split())
    (run / "checkpoints" / "best.ckpt").write_bytes(b"torn")
    assert "can't be read as a checkpoint" in refusal("validate", *SMALL)
