"""How networks were trained, what curves show, and the runs behind published weights."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_a1.report import published as published_module
from lit_a1.report.document import read_markdown
from lit_a1.report.gather import gather
from lit_a1.report.learning import gap, learning_curves
from lit_a1.report.problems import problem3
from lit_a1.report.published import is_published, published
from lit_a1.report.recipe_facts import training_facts
from lit_a1.report.recipes import changes, changes_only_machine, fingerprint, shipped_settings
from lit_a1.report.results import ensemble, layers, results
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import PRETRAINED
from tests.report.conftest import LOGS, Add


def only(name: str) -> Run:
    (run,) = gather(LOGS, "real").trainings(name)
    return run


def rows_of(run: Run, macro: Callable[..., str]) -> dict[str, str]:
    (block,) = read_markdown(macro("training", "training_table", training_facts(run)))[0]
    return {row[0]: row[1] for row in block.rows}


def test_a_recipe_is_told_by_what_is_in_use(add_run: Add, macro: Callable[..., str]) -> None:
    add_run("catsdogs_best", [0.1] * 260)
    rows = rows_of(only("catsdogs_best"), macro)
    assert "20 to 100 % of the area" in rows["augmentation"]
    assert "brightness from 0.6 to 1.4" in rows["augmentation"]
    assert "CutMix with alpha 1.0 and probability 0.8, up to epoch 234" in rows["augmentation"]
    sizes = "40x40 pixels in epochs 1 to 130, 56x56 pixels in epochs 131 to 260; measured on 72x72 pixels"
    assert rows["image sizes"].startswith(sizes)
    assert rows["mini-batches"] == "512 images; 260 epochs, 2,600 steps"
    assert "first 130 steps; then it falls linearly to 0 at" in rows["learning rate"]
    assert "2,000 training images" in rows["measured"]
    assert {"started from", "Dropout"}.isdisjoint(rows)

    off = {f"data.augment.{name}": 0 for name in ("brightness", "contrast", "saturation", "grayscale", "cutmix")}
    off |= {"data.augment.flip": "none", "data.augment.crop_scale": "(1.0, 1.0)", "model.label_smoothing": 0}
    off |= {"model.weight_decay": 0, "model.average_decay": 0, "model.precise_bn": 0, "data.measure_train": False}
    add_run("catsdogs", [0.1], settings=off)
    rows = rows_of(only("catsdogs"), macro)
    assert {"augmentation", "regularisation", "averaging"}.isdisjoint(rows)
    assert "2,000" not in rows["measured"]

    erased = {"data.augment.trivial": 0.5, "data.augment.cutout": 0.25, "data.augment.cutout_fill": "noise"}
    add_run("catsdogs_trial", [0.1], settings=off | erased)
    rows = rows_of(only("catsdogs_trial"), macro)
    assert "TrivialAugment, one random change of random strength, with probability 0.5" in rows["augmentation"]
    assert "a patch with 0.25 of the image's side is filled with noise" in rows["augmentation"]

    run = add_run("catsdogs_gpu", [0.1])  # by a version without TrivialAugment
    record = json.loads((run / "record.json").read_text())
    del record["settings"]["data.augment.trivial"]
    (run / "record.json").write_text(json.dumps(record))
    assert "of the area" in rows_of(only("catsdogs_gpu"), macro)["augmentation"]


def test_damaged_and_old_settings_are_left_out(add_run: Add, macro: Callable[..., str]) -> None:
    odd = {"data.augment.crop_scale": 7, "data.size": "small", "model.optimizer": "x", "model.lr": "much"}
    odd |= {"model.precise_bn": "some", "data.size_schedule.x": 3, "model.warmup": "long"}
    add_run("catsdogs", [0.1], settings=odd)
    rows = rows_of(only("catsdogs"), macro)
    assert "of the area" not in rows["augmentation"]
    run = add_run("mnist", [0.1])
    record = json.loads((run / "record.json").read_text())
    record["settings"] = {"model.class_path": "lit_a1.models.gone.Net", "model.lr": 0.3}
    (run / "record.json").write_text(json.dumps(record))
    rows = rows_of(only("mnist"), macro)
    assert rows["learning rate"].startswith("0.3 ")
    assert "augmentation" not in rows


def test_where_and_when_is_measured_makes_no_other_recipe() -> None:
    ours = shipped_settings("catsdogs")
    older = ours | {"data.measure_train": False, "trainer.check_val_every_n_epoch": 9}
    assert fingerprint(older) == fingerprint(ours) != fingerprint(ours | {"model.lr": 0.3})
    assert changes_only_machine(changes(older, ours))
    for name in ("catsdogs", "catsdogs_best", "catsdogs_gpu"):
        settings = shipped_settings(name)
        epochs, every = settings["trainer.max_epochs"], settings["trainer.check_val_every_n_epoch"]
        assert epochs % every == 0
        assert epochs // every >= 15
        assert settings["data.measure_train"] == 2000


def test_a_course_says_how_large_the_gap_is_and_where_loss_and_error_part(add_run: Add, tmp_path: Path) -> None:
    add_run("catsdogs", [0.2, 0.09, 0.07, 0.06], train=[0.2, 0.1, 0.04, 0.01], loss=[0.5, 0.3, 0.2, 0.4])
    found = learning_curves([only("catsdogs")])
    assert (found["points"], found["epochs"]) == (4, 4)
    assert found["valid"] == {"first": (1, 0.2), "best": (4, 0.06), "last": (4, 0.06)}
    assert found["train"]["last"] == (4, 0.01)
    low = found["lowest_loss"]
    assert (low["epoch"], low["is_last"], low["losses"], low["errors"]) == (3, False, [0.2, 0.4], [0.07, 0.06])
    measured = gap([only("catsdogs")])
    assert (measured["exact"], measured["images"], measured["overfits"]) == (True, 2000, True)  # a sample of 18,000


def test_a_small_sample_of_training_images_proves_no_gap(add_run: Add) -> None:
    for name, sample in (("catsdogs", 100), ("catsdogs_gpu", True)):
        add_run(name, [0.06], train=[0.04], settings={"data.measure_train": sample})
    few, all_ = (gap([only(name)]) for name in ("catsdogs", "catsdogs_gpu"))
    assert (few["images"], few["overfits"]) == (100, False)
    assert (all_["images"], all_["overfits"]) == (18_000, True)


def test_without_validation_there_are_no_curves() -> None:
    assert learning_curves([Run(Path("a/b"), Path(), {"settings": {}, "epochs": [{"epoch": 0, "step": 1}]})]) is None


def test_published_weights_have_the_curves_and_the_error_of_their_run() -> None:
    for name in ("catsdogs", "catsdogs_best"):
        run, note = published(name), json.loads((PRETRAINED / f"{name}.json").read_text())
        assert is_published(run)
        assert run.record["last"]["val/error"] == pytest.approx(note["val_error_full_precision"])
        assert (len(run.epochs), run.experiment, run.seed) == (note["epochs"], name, note["seed"])
        with run.folder.open() as file:
            lines = [line for line in csv.DictReader(file) if int(line["seed"]) == run.seed]
        assert [row["train/loss"] for row in run.epochs] == [float(line["train/loss"]) for line in lines]
        measured = gap([run])
        assert (measured["exact"], measured["images"]) == ((True, 2000) if name == "catsdogs" else (False, 17_920))
    assert published("mnist") is None


@pytest.mark.parametrize("damage", [{"seed": None}, {"epochs": "many"}, {"finished": "never"}, None])
def test_a_damaged_note_is_no_run(damage: dict | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = json.loads((PRETRAINED / "catsdogs.json").read_text())
    (tmp_path / "catsdogs.json").write_text("[]" if damage is None else json.dumps(note | damage))
    monkeypatch.setattr(published_module, "PRETRAINED", tmp_path)
    run = published("catsdogs")
    assert run is None or len(run.epochs) == 1  # without its seed, the curves are not known to be its own


def test_the_best_network_there_is_may_be_published(add_run: Add, tmp_path: Path) -> None:
    add_run("catsdogs", [0.5, 0.2])
    values = problem3(gather(LOGS, "real"), tmp_path)
    assert values["best_is_published"]
    assert values["best_result"]["learning_curves"]["points"] == 5
    assert "--ckpt_path pretrained" in values["analyze_best"] + values["analysis"]["command"]
    assert [each["name"] for each in values["results"]] == ["catsdogs"]
    add_run("catsdogs", [0.5, 0.02])
    values = problem3(gather(LOGS, "real"), tmp_path)
    assert not values["best_is_published"]
    assert values["best"].name == "version_1"
    assert values["results"] == []
    add_run("catsdogs-drawn", [0.3])
    assert not problem3(gather(LOGS, "drawn"), tmp_path)["best_is_published"]


def test_members_of_an_ensemble_are_what_their_checkpoints_are(add_run: Add) -> None:
    paths = ["runs/a/version_0/checkpoints/best.ckpt", "runs\\a\\version_1\\checkpoints\\last.ckpt"]
    paths += ["lit_a1/pretrained/catsdogs.ckpt", "elsewhere/best.ckpt"]
    add_run("catsdogs_ensemble", [0.1], members=[{"val/error": 0.1, "checkpoint": path} for path in paths])
    found = ensemble(gather(LOGS, "real"))
    assert found["weights"] == {"best": 1, "last": 1, "published": 1, "other": 1}


@pytest.mark.parametrize("name", ["catsdogs_best", "mnist", "mlp"])
def test_the_parts_of_a_network_add_up(name: str, tmp_path: Path) -> None:
    found = layers(None, name, tmp_path)
    for table in (found["table"], found["all"]):
        numbers = [[int(cell.replace(",", "")) for cell in row[-2:]] for row in table["rows"]]
        assert [sum(column) for column in zip(*numbers[:-1], strict=True)] == numbers[-1]
    assert found["diagram"].is_file()
    assert (found["facts"] is None) == (name == "mlp")


def test_a_network_in_numbers(tmp_path: Path, add_run: Add, macro: Callable[..., str]) -> None:
    best = layers(None, "catsdogs_best")["facts"]
    assert (best["depth"], best["convolutions"], best["projections"]) == (13, 12, 0)
    assert [halving["side"] for halving in best["halvings"]] == [28, 14, 7, 4]
    assert (best["channels"], best["blocks"]) == ([128, 192, 288], [1, 2, 1])
    assert best["by_hand"] == ["batch norm"]
    mnist = layers(None, "mnist")["facts"]
    assert (mnist["depth"], mnist["projections"], mnist["entry"]) == (8, 3, [])
    assert mnist["shortcut"] == ["average pooling 2x2", "convolution 1x1", "batch norm"]
    add_run("catsdogs", [0.2])
    run = only("catsdogs")
    assert results([run], tmp_path)["changes"] == ""
    nameless = layers(run, "catsdogs")  # by its YAML
    assert nameless["table"] is None
    path = "lightning_logs/catsdogs/version_0/config.yaml"
    assert f"The layers of `{path}` can't be listed: " in " ".join(macro("recipe", "layer_table", nameless).split())
