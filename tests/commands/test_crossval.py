"""`python main.py crossval`, with real trainings, and what it refuses."""

import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lit_a1.cli import main
from tests.conftest import CNN, CONFIGS, Capture, Refusal, read_csv

SMALL = [
    "--config", str(CONFIGS / "catsdogs.yaml"), *CNN, "--trainer.max_epochs", "2", "--data.size_schedule", "{0: 16}",
    "--data.batch_size", "8", "--trainer.check_val_every_n_epoch", "1", "--model.lr", "0.01",
    "--data.measure_train", "8",
]  # fmt: skip
FOLDER = Path("lightning_logs/catsdogs-crossval")


def test_every_photo_is_labelled_by_a_network_that_never_saw_it(
    photos: Path, capsys: Capture, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["crossval", *SMALL, "--folds", "2"])
    said = capsys.readouterr()
    assert "Best epoch" not in said.out  # each training's own last words
    assert said.err.count("40 images for training, 40 for validation") == 1
    rows = read_csv(FOLDER / "out_of_fold.csv")
    assert len({row["name"] for row in rows}) == 80
    for fold in ("1", "2"):
        record = json.loads((FOLDER / f"version_{fold}" / "record.json").read_text())
        of = [row for row in rows if row["fold"] == fold]
        wrong = sum(float(row[row["label"]]) < 0.5 for row in of)
        assert record["last"]["val/error"] == pytest.approx(wrong / len(of))
        assert record["images"] == {"train": 40, "val": 40}

    # a fold is the `fit` of its options
    main(["fit", *SMALL, "--data.folds", "2", "--data.fold", "2"])
    one, other = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (FOLDER / "version_2", Path("lightning_logs/catsdogs/version_0"))
    )
    assert all(torch.equal(one[name], other[name]) for name in one | other)
    path = f"{FOLDER}/version_2/checkpoints/last.ckpt"
    words = refusal("validate", *SMALL, "--data.folds", "2", "--data.fold", "1", "--ckpt_path", path)
    assert "another split of the images" in words

    # typed again, it trains nothing
    capsys.readouterr()
    main(["crossval", *SMALL, "--folds", "2"])
    said = capsys.readouterr().out
    assert "Fold 1" not in said
    assert (FOLDER / "summary.md").read_text() in said

    # the command that it prints labels the test photos; an ensemble of different splits is not validated
    monkeypatch.setattr("lit_a1.data.catsdogs.COURSE_TEST_IMAGES", 12)
    command = shlex.split(next(line for line in said.splitlines() if line.startswith("    python main.py predict")))
    command[command.index("--config") + 1] = str(CONFIGS / "catsdogs_ensemble.yaml")
    main([*command[2:], "--trainer.accelerator", "cpu"])
    assert len(Path("submission.csv").read_text().splitlines()) == 13
    assert "another split" in refusal("validate", *command[3:], "--data.n_valid", "16", "--trainer.accelerator", "cpu")


def test_killed_and_typed_again_it_ends_the_same(
    photos: Path, signalled: Callable[..., None], refusal: Refusal, capsys: Capture
) -> None:
    command = ["crossval", *SMALL, "--folds", "2"]
    main([*command, "--trainer.logger.init_args.name", "whole"])
    signalled("lit_a1.models:Classifier", "training_step", 18, signal.SIGTERM)  # fold 2, epoch 2
    with pytest.raises(SystemExit) as leaving:
        main(command)
    assert leaving.value.code == 128 + signal.SIGTERM
    said = "".join(capsys.readouterr())
    assert "Stopped. The same command resumes" in said
    assert "Traceback" not in said
    assert not (FOLDER / "out_of_fold.csv").exists()
    cut, aside = FOLDER / "version_2", FOLDER / "aside"
    (FOLDER / "version_1").rename(aside)
    cut.rename(FOLDER / "version_1")  # a checkpoint of other settings
    assert "version_1 was trained with data.fold 2; got 1: remove it" in refusal(*command)
    (FOLDER / "version_1").rename(cut)
    aside.rename(FOLDER / "version_1")
    main(command)
    assert f"Checkpoint: {FOLDER}/version_2/checkpoints/last.ckpt" in capsys.readouterr().out
    assert read_csv(FOLDER / "out_of_fold.csv") == read_csv("lightning_logs/whole-crossval/out_of_fold.csv")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "name a network, with --config configs/catsdogs.yaml for example"),
        (["-c", str(CONFIGS / "mlp.yaml")], "is of the numpy network"),
        (["-c", str(CONFIGS / "mnist.yaml")], "crossval divides photos of cats and dogs; MNISTDataModule has no folds"),
        ([*SMALL, "--folds", "1"], "folds must be 2 or above, one to hold out and one to train on; got 1"),
        ([*SMALL, "--folds", "41"], "41 folds need as many different photos of each class; there are 40 Cat, 40 Dog"),
        ([*SMALL, "--data.folds", "3", "--data.fold", "1"], "data.folds and data.fold are set by crossval"),
        ([*SMALL, "--trainer.limit_val_batches", "1"], "limit_val_batches must be left out in a crossval"),
        ([*SMALL, "--trainer.enable_checkpointing", "false"], "enable_checkpointing must be left out in a crossval"),
        ([*SMALL, "--seed_everything", "true"], "seed_everything must be a number in a crossval"),
        ([*SMALL, "--ckpt_path", "last"], "a crossval is resumed by typing the same command again"),
        ([*SMALL, "--trainer.devices", "2"], "a fold is trained on one device, not on 2"),
        ([*SMALL, "--model.momentum", "0"], "nesterov=True needs a momentum above 0"),
        ([*SMALL, "--fold", "3"], "did you mean --folds?"),
    ],
)
def test_what_is_refused_leaves_nothing(photos: Path, flags: list[str], words: str, refusal: Refusal) -> None:
    assert words in refusal("crossval", *flags)
    assert not Path("lightning_logs").exists()


def test_a_training_that_diverges_ends_it(photos: Path, refusal: Refusal) -> None:
    assert "The training diverged" in refusal("crossval", *SMALL, "--model.lr", "1e30", "--model.norm", "none")
    assert not Path("lightning_logs").exists()


@pytest.mark.parametrize(("folds", "fold"), [("3", "4"), ("3", "0"), ("1", "1")])
def test_a_fold_that_is_none_is_refused(folds: str, fold: str, refusal: Refusal) -> None:
    assert "must be" in refusal("fit", *SMALL, "--data.folds", folds, "--data.fold", fold)
    assert "neither without the other" in refusal("fit", *SMALL, "--data.fold", "1")
