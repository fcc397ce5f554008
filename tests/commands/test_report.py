"""From recorded runs to the report, by the command line."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_a1.cli import main
from lit_a1.report import gather
from lit_a1.runs.wording import percent
from tests.conftest import CNN, CONFIGS, Capture, Refusal, read_csv, scalars

Photos = Callable[..., Path]
REPORT = Path("report/report.html")
SMALL_MLP = ["--model.hidden_dims", "[8,8]", "--model.parameter_range", "[1,1000000]"]
PHOTOS = ["--config", str(CONFIGS / "catsdogs.yaml"), *CNN, "--data.batch_size", "8", "--data.n_valid", "16"]


def text() -> str:
    """What is read in the report, without tags, images and style."""
    page = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", REPORT.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def events(run: Path) -> dict[str, list[float]]:
    return {tag: [value for _, value in points] for tag, points in scalars(run).items()}


def test_nothing_has_been_run(capsys: Capture) -> None:
    main(["report"])
    said = text()
    assert "Nothing has been trained yet in" in said
    for command in (
        "python main.py mlp fit --config configs/mlp.yaml",
        "python main.py mlp inits",
        "python main.py fit --config configs/mnist_plain.yaml",
        "python main.py compare",
        "python main.py fit --config configs/catsdogs.yaml",
        "python main.py report --run missing",
    ):
        assert command in said
    assert Path("report/report.pdf").read_bytes().startswith(b"%PDF")
    assert "report/report.html" in capsys.readouterr().out


def test_every_number_is_that_of_the_event_file_or_csv(
    mnist_files: Callable[..., Path], course_photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "RECORDED", tmp_path)  # their figures would only take time
    root = course_photos()
    mnist_files(root / "mnist", train=240, test=60)
    logs = Path("lightning_logs")
    main(["mlp", "fit", "--config", str(CONFIGS / "mlp.yaml"), *SMALL_MLP, "--trainer.max_epochs", "3"])
    main(["mlp", "test", "--config", str(CONFIGS / "mlp.yaml"), *SMALL_MLP, "--ckpt_path", "last"])
    main(["mlp", "inits", *SMALL_MLP, "--trainer.max_epochs", "2"])
    main(["fit", *PHOTOS, "--trainer.max_epochs", "2", "--trainer.check_val_every_n_epoch", "1"])
    main(["report"])
    said = text()

    for run in (logs / "mlp" / "version_0", logs / "catsdogs" / "version_0"):
        measured, record = events(run), json.loads((run / "record.json").read_text())
        known = measured.get("train_eval/error", measured["train/error"])
        cells = [f"{run.parent.name}/{run.name}", str(record["seed"]), str(len(measured["val/error"]))]
        cells += [percent(known[-1]), percent(measured["val/error"][-1])]
        best = min(measured["val/error"])
        cells.append(f"{percent(best)} ({measured['val/error'].index(best) + 1})")
        assert " ".join(cells) in said
        assert f"{run}, seed 0, commit {record['commit']}, {record['machine']}" in said
    test = json.loads((logs / "mlp" / "version_0" / "test.json").read_text())["test/error"]
    assert test == pytest.approx(events(logs / "mlp" / "version_0")["test/error"][-1])
    assert f"{percent(test)} (last)" in said
    rows = read_csv(logs / "mlp-inits" / "version_0" / "losses.csv")
    losses = {(row["initialization"], int(row["epoch"])): row for row in rows}
    for initialization in ("zero", "normal", "glorot"):
        row = losses[initialization, 2]
        assert all(words in said for words in (f"{float(row['train_loss']):.4f}", percent(float(row["train_error"]))))
    assert "Changed from configs/catsdogs.yaml" in said
    assert str(tmp_path) not in said


def test_a_plan_is_printed_and_nothing_is_run_and_mistakes_are_told(
    capsys: Capture, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["report", "--run", "missing", "--plan"])
    said = capsys.readouterr().out
    assert "  1. " in said
    assert "python main.py mlp fit --config" in said
    assert not Path("report").exists()
    monkeypatch.setattr("lit_a1.report.plan.missing", lambda _: [])
    main(["report", "--run", "missing", "--plan"])
    assert "Nothing is missing." in capsys.readouterr().out
    assert not Path("report").exists()
    assert "--plan needs --run" in refusal("report", "--plan")
    assert "there is no folder nowhere" in refusal("report", "--logs", "nowhere")
