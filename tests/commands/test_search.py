"""`python main.py search`, with real trainings, and what it refuses."""

import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from lit_a1.cli import main
from tests.conftest import CNN, CONFIGS, Capture, Refusal, read_csv, scalars

SMALL = [
    "--config", str(CONFIGS / "catsdogs_trial.yaml"), *CNN, "--trainer.max_epochs", "2", "--data.n_valid", "16",
    "--data.size", "16", "--trainer.check_val_every_n_epoch", "1",
]  # fmt: skip
SEARCH = ["search", *SMALL, "--space", "space.yaml"]
FOLDER = Path("lightning_logs/catsdogs_trial-search/version_0")


@pytest.fixture(autouse=True)
def space() -> Path:
    path = Path("space.yaml").absolute()
    path.write_text("model.lr: {low: 0.001, high: 0.3, log: true}\ndata.augment.crop_scale: [[0.5, 1.0], [1.0, 1.0]]\n")
    return path


@pytest.mark.usefixtures("full_size")
def test_a_search_leaves_everything_behind(photos: Path, capsys: Capture) -> None:
    main([*SEARCH, "--trials", "2", "--model.lr", "0.01", "--data.batch_size", "8"])
    said = capsys.readouterr()
    left = {"study.journal", "trials.csv", "search.png", "summary.md", "record.json", "trial_0", "trial_1"}
    assert {path.name for path in FOLDER.iterdir()} - {".locks"} == left
    rows = read_csv(FOLDER / "trials.csv")
    assert (rows[0]["lr"], rows[0]["augment.crop_scale"]) == ("0.01", "[0.5, 1.0]")
    for row in rows:
        run = FOLDER / f"trial_{row['trial']}"
        record = json.loads((run / "record.json").read_text())
        assert float(row["val_accuracy_last"]) == pytest.approx(1 - record["last"]["val/error"], abs=1e-5)
        assert int(row["parameters"]) == record["parameters"]
        assert record["settings"]["model.lr"] == float(row["lr"])
        assert [value for _, value in scalars(run)["val/error"]] == pytest.approx(
            [epoch["val/error"] for epoch in record["epochs"]]
        )
        assert (run / "config.yaml").is_file()
        assert not list(run.rglob("*.ckpt"))
    assert said.out.count("\ntrial ") == 2
    assert "Best epoch" not in said.out  # each training's own last words
    assert said.err.count("photos for training") + said.err.count("images for training") == 1
    summary = (FOLDER / "summary.md").read_text()
    assert summary in said.out
    with Image.open(FOLDER / "search.png") as image:
        assert image.width == 1680

    command = next(line.strip() for line in summary.splitlines() if line.startswith("    python main.py fit"))
    main(shlex.split(command)[2:])
    best = max(rows, key=lambda row: float(row["val_accuracy_last"]))
    record = json.loads(Path("lightning_logs/catsdogs_trial/version_0/record.json").read_text())
    assert 1 - record["last"]["val/error"] == pytest.approx(float(best["val_accuracy_last"]), abs=1e-5)


def test_a_search_in_a_database_brings_every_record_home(
    photos: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    flags = [*SMALL, "--space", str(space), "--storage", f"sqlite:///{tmp_path}/study.db", "--trials"]
    records = []
    for trials in (1, 2):
        machine = tmp_path / f"machine{trials}"
        machine.mkdir()
        monkeypatch.chdir(machine)
        main(["search", *flags, f"{trials}"])
        records.append(json.loads((FOLDER / "trial_0" / "record.json").read_text()))
    assert records[0] == records[1]
    assert [epoch["epoch"] for epoch in records[1]["epochs"]] == [0, 1]
    assert (FOLDER / "trial_1" / "config.yaml").is_file()
    assert "catsdogs_trial-search in sqlite:///" in capsys.readouterr().out


def test_a_network_that_diverges_ends_no_search(photos: Path, space: Path) -> None:
    space.write_text("model.lr: [1.0e+30, 0.01]\n")
    main([*SEARCH, "--trials", "1", "--model.norm", "none", "--model.lr", "1e30"])
    (row,) = read_csv(FOLDER / "trials.csv")
    assert (row["state"], row["diverged"], row["epochs"]) == ("pruned", "yes", "1")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["search"], "name a network, with --config configs/catsdogs_trial.yaml for example"),
        (["search", *SMALL], "name what is tried, with --space configs/spaces/catsdogs.yaml for example"),
        (["search", *SMALL, "--space", "missing.yaml"], "missing.yaml"),
        ([*SEARCH, "--trials", "0"], "trials must be 1 or above; got 0"),
        ([*SEARCH, "--study", "nowhere"], "nowhere has no study.journal"),
        ([*SEARCH, "--model.lr", "fast"], "lr: expected float, got fast"),
        ([*SEARCH, "--data.batch_size", "0"], "batch_size must be at least 1; got 0"),
        ([*SEARCH, "--trainer.max_epochs", "-1"], "max_epochs must be 1 or above in a search"),
        ([*SEARCH, "--trainer.logger", "false"], "logger must not be false in a search"),
        ([*SEARCH, "--ckpt_path", "last"], "a search is resumed with --study"),
        ([*SEARCH, "--trainer.max_steps", "9"], "trainer.max_steps must be left out in a search"),
        (["search", "-c", str(CONFIGS / "mlp.yaml"), "--space", "space.yaml"], "numpy network, whose search is"),
    ],
)
def test_what_is_refused(command: list[str], words: str, refusal: Refusal) -> None:
    assert words in refusal(*command)
    assert not Path("lightning_logs").exists()


def test_settings_that_are_refused_together_cost_their_trial_alone(photos: Path, space: Path, capsys: Capture) -> None:
    """Each value is fine beside the command's others: only SGD looks ahead along a momentum, and needs one for it."""
    space.write_text("model.optimizer: [adam, sgd]\nmodel.momentum: [0.0, 0.9]\n")
    adam = ["--model.optimizer", "adam", "--model.lr", "0.001"]
    main([*SEARCH, "--trials", "8", *adam, "--trainer.limit_train_batches", "1"])
    rows = read_csv(FOLDER / "trials.csv")
    assert len(rows) == 8
    for row in rows:
        together = (row["optimizer"], row["momentum"]) == ("sgd", "0.0")
        assert (row["state"] == "refused") == together
    assert any(row["state"] == "refused" for row in rows)
    assert "(optimizer sgd, momentum 0.0) was refused: " in (FOLDER / "summary.md").read_text()
    assert "nesterov" in capsys.readouterr().out


def test_a_limit_counts_batches_whatever_their_size(photos: Path, space: Path) -> None:
    space.write_text("data.batch_size: [2, 4]\n")
    main([*SEARCH, "--trials", "3", "--trainer.limit_train_batches", "1"])
    assert {row["batch_size"] for row in read_csv(FOLDER / "trials.csv")} == {"2", "4"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_search_that_is_stopped_says_how_to_go_on(
    photos: Path, signalled: Callable[..., None], number: int, code: int, capfd: Capture
) -> None:
    signalled("lit_a1.models:Classifier", "training_step", 10, number)  # in an epoch after the first
    with pytest.raises(SystemExit) as leaving:
        main([*SEARCH, "--trials", "2", "--trainer.max_epochs", "100000"])
    said = "".join(capfd.readouterr())
    assert f"Stopped. Go on with the same command and --study {FOLDER}" in said
    assert "Traceback" not in said
    assert leaving.value.code == code
    for path in (FOLDER / ".locks").iterdir():
        with FileLock(path, timeout=0):  # nobody holds it
            pass
