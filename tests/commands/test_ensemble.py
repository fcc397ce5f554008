"""An ensemble from the command line: what it prints, what it leaves, what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_a1.cli import main
from lit_a1.models.members import load_member
from tests.conftest import read_csv

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ENSEMBLE = [
    "--config", str(CONFIGS / "catsdogs_ensemble.yaml"), "--trainer.accelerator", "cpu", "--data.n_valid", "16",
    "--model.members", "[lightning_logs/catsdogs]",
]  # fmt: skip
Capture = pytest.CaptureFixture[str]
Refusal = Callable[..., str]


def fit(*flags: str) -> None:
    """Two epochs of a small network, badly trained, so that networks differ."""
    main([
        "fit", "--config", str(CONFIGS / "catsdogs.yaml"), "--trainer.accelerator", "cpu", "--trainer.max_epochs", "2",
        "--model.widths", "[4,8]", "--model.blocks", "[1]", "--model.lr", "0.001", "--data.batch_size", "8",
        "--data.n_valid", "16", "--data.size_schedule", "{0: 16, 1: 32}", "--data.eval_scale", "1.25",
        "--trainer.precision", "32-true", "--trainer.check_val_every_n_epoch", "1", "--model.compile_net", "false",
        *flags,
    ])  # fmt: skip


def probabilities(name: str) -> dict[str, float]:
    return {row["id"]: float(row["Dog"]) for row in read_csv(name)}


def test_two_runs_of_two_sizes_and_layers(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, refusal: Refusal
) -> None:
    """Validated: the figures of each are those of its run. Predicted: the mean of what each predicts alone."""
    monkeypatch.setattr("lit_a1.data.catsdogs.COURSE_TEST_IMAGES", 12)
    fit()
    other = ["--model.widths", "[8,8,8]", "--model.blocks", "[1,1]", "--data.size_schedule", "{0: 24}"]
    fit(*other, "--seed_everything", "5", "--model.views", "one")
    runs = [Path(f"lightning_logs/catsdogs/version_{number}") for number in (0, 1)]
    records = [json.loads((run / "record.json").read_text()) for run in runs]

    capsys.readouterr()
    main(["validate", *ENSEMBLE])
    said = capsys.readouterr().out.splitlines()
    assert [path.name for path in Path("lightning_logs/catsdogs_ensemble").iterdir()] == ["version_0"]
    record = json.loads(Path("lightning_logs/catsdogs_ensemble/version_0/record.json").read_text())
    for member, run, own in zip(record["members"], runs, records, strict=True):
        assert member == {
            "checkpoint": str(run / "checkpoints/best.ckpt"), "model_class": "CatsDogsCNN", "seed": own["seed"],
            "val/error": pytest.approx(own["best"]["val/error"]),
        }  # fmt: skip
        error = f"val/error {member['val/error']:.4f}"
        assert any(line.startswith(member["checkpoint"]) and error in line for line in said)
    assert any(f"val/error {record['last']['val/error']:.4f}" in line for line in said if line.startswith("mean of 2"))
    assert not any("val_epoch" in line or "─" in line for line in said)  # Lightning's own table
    assert record.keys() == records[0].keys() | {"members"}
    assert (record["seed"], record["last"]["epoch"]) == ([0, 5], 3)
    for name in ("seconds", "parameters"):
        assert record[name] == pytest.approx(sum(own[name] for own in records))
    assert record["images"] == records[0]["images"]
    assert record["settings"]["model.members"] == "['lightning_logs/catsdogs']"

    main(["predict", *ENSEMBLE, "--submission", "mean.csv"])
    for number, run in enumerate(runs):
        main(["predict", *ENSEMBLE, "--submission", f"{number}.csv", "--model.members", f"[{run}]"])
    found, *each = (probabilities(f"{name}_probabilities.csv") for name in ("mean", "0", "1"))
    assert found == {name: pytest.approx((each[0][name] + each[1][name]) / 2, abs=2e-6) for name in found}
    assert each[0] != each[1]
    assert len(Path("mean.csv").read_text().splitlines()) == 13

    said = refusal("validate", *ENSEMBLE, "--data.split_seed", "1")
    assert "version_0/checkpoints/best.ckpt: The checkpoint was trained with another split" in said
    (runs[0] / "record.json").write_text("{")
    assert "version_0/record.json is damaged" in refusal("validate", *ENSEMBLE)
    (runs[0] / "record.json").unlink()  # as of a run that was stopped
    member = load_member(runs[0] / "checkpoints" / "best.ckpt")
    assert (member.seed, len(member.training["epochs"])) == (0, member.epoch)


@pytest.mark.usefixtures("few_drawn")
def test_drawn_images_and_test(capsys: Capture) -> None:
    drawn = ["--data.source", "drawn"]
    fit(*drawn)
    ensemble = [*ENSEMBLE, *drawn, "--model.members", "[lightning_logs/catsdogs-drawn]"]
    main(["validate", *ensemble, "--trainer.logger", "false"])
    assert [path.name for path in Path("lightning_logs").iterdir()] == ["catsdogs-drawn"]
    capsys.readouterr()
    main(["test", *ensemble])
    figures = json.loads(Path("lightning_logs/catsdogs_ensemble-drawn/version_0/test.json").read_text())
    assert figures["test/error"] == figures["members"][0]["test/error"]
    assert f"test/error {figures['test/error']:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "flags", "words"),
    [
        ("fit", [], "An ensemble is not trained: train its members with fit and their own YAML"),
        ("validate", ["--ckpt_path", "best"], "takes its checkpoints from --model.members, not from --ckpt_path"),
        ("test", ["--ckpt_path", "x.ckpt"], "takes its checkpoints from --model.members"),
        ("predict", ["--ckpt_path", "x.ckpt"], "takes its checkpoints from --model.members"),
        ("validate", [], "There is no checkpoint lightning_logs/catsdogs. A member is a checkpoint, or the folder"),
        ("predict", ["--model.members", "[]"], "members must name at least one checkpoint"),
        ("predict", ["--model.members", "best.ckpt"], "members"),
    ],
)
def test_what_is_refused(command: str, flags: list[str], words: str, photos: Path, refusal: Refusal) -> None:
    assert words in refusal(command, *ENSEMBLE, *flags)
    assert not Path("lightning_logs").exists()
