"""From a checkpoint to figures, tables and words, by the command line."""

import json
from importlib import import_module
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_a1.analysis import PARTS
from lit_a1.cli import main
from tests.conftest import CNN, CONFIGS, Capture, Refusal, read_csv, scalars

PHOTOS = [
    "--config", str(CONFIGS / "catsdogs.yaml"), *CNN, "--data.n_valid", "16", "--data.batch_size", "8",
    "--trainer.max_epochs", "1",
]  # fmt: skip
SOME = ["confusion", "kernels", "generalisation"]


def test_the_command_knows_every_analysis() -> None:
    for name in PARTS:
        module = import_module(f"lit_a1.analysis.{name}")
        assert module.TITLE
        assert callable(module.analyze)


def titles(folder: Path) -> set[str]:
    """The analyses whose figures TensorBoard shows."""
    return {tag.partition("/")[0] for tag in EventAccumulator(str(folder)).Reload().Tags()["images"]}


def test_looks_into_a_network_of_photos(photos: Path, capsys: Capture, refusal: Refusal) -> None:
    main(["fit", *PHOTOS])
    main(["analyze", *PHOTOS, "--parts", *SOME])
    run = Path("lightning_logs/catsdogs/version_0")
    folder = run / "analysis"
    assert str(folder) in capsys.readouterr().out
    index, record = (json.loads(path.read_text()) for path in (folder / "analysis.json", run / "record.json"))
    assert (index["parts"], index["images"]) == (SOME, 16)
    assert index["val/error"] == pytest.approx(record["best"]["val/error"])
    assert f"seed {record['seed']}; commit {record['commit']}" in index["source"]
    for name in SOME:
        part = json.loads((folder / f"{name}.json").read_text())
        assert part["words"]
        assert all((folder / figure["file"]).is_file() for figure in part["figures"])
        assert all(read_csv(folder / table) for table in part["tables"])
    assert titles(folder) == set(SOME)
    assert scalars(folder)["generalisation/val_error"] == [(0, pytest.approx(index["val/error"]))]

    main(["analyze", *PHOTOS, "--parts", "embedding"])  # the others stay, in TensorBoard too
    assert set(json.loads((folder / "analysis.json").read_text())["parts"]) == {*SOME, "embedding"}
    assert sorted(path.suffix == ".projector" for path in folder.glob("events.out.tfevents.*")) == [False, True]
    assert (folder / "projector_config.pbtxt").is_file()
    assert titles(folder) == {*SOME, "embedding"}

    main(["analyze", *PHOTOS, "--parts", "confusion", "--ckpt_path", "last"])  # those of the other checkpoint go
    assert json.loads((folder / "analysis.json").read_text())["parts"] == ["confusion"]
    assert all(path.name.startswith("confusion") for pattern in ("*.png", "*.csv") for path in folder.glob(pattern))
    assert not list(folder.glob("*.projector"))
    split = ["--data.split_seed", "1", "--parts", "confusion"]  # in which it was trained on some of them
    assert "another split" in refusal("analyze", *PHOTOS, *split)

    elsewhere = (run / "checkpoints" / "best.ckpt").rename("mine.ckpt")  # its folder is beside the runs
    main(["analyze", *PHOTOS, "--parts", "confusion", "--ckpt_path", str(elsewhere)])
    assert Path("lightning_logs/catsdogs/analysis-mine/confusion.json").is_file()
    main(["analyze", *PHOTOS, "--parts", "confusion", "--ckpt_path", str(elsewhere), "--out", "here"])
    assert Path("here/confusion.png").is_file()


def test_mistakes_are_told_in_a_sentence(photos: Path, refusal: Refusal) -> None:
    assert "There is no best.ckpt in any run" in refusal("analyze", *PHOTOS)
    assert "name a network" in refusal("analyze")
    assert "is of the numpy network" in refusal("analyze", "--config", str(CONFIGS / "mlp.yaml"))
    Path("broken.ckpt").write_text("no checkpoint")
    assert "can't be read as a checkpoint" in refusal("analyze", *PHOTOS, "--ckpt_path", "broken.ckpt")
