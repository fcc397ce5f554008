import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lit_a1.cli import main
from lit_a1.data.mnist import LabelledSplit, draw_mnist
from lit_a1.runs.records import read_record
from lit_a1.studies.comparison.changes import shifted
from lit_a1.studies.comparison.networks import load_network
from lit_a1.studies.comparison.runs import find_experiments
from tests.conftest import CNN, CONFIGS, Capture, Refusal, edit_record
from tests.studies.conftest import LOGS, Add, Splits, the_network

FIGURES = ("curves", "robustness", "disagreements")
TABLES = ("results", "curves", "robustness", "predictions")


@pytest.mark.usefixtures("full_size")
def test_leaves_words_tables_and_figures(add_run: Add, digits: Splits, capsys: Capture) -> None:
    add_run("mlp", 0)
    for seed in (0, 1):
        add_run("mnist_plain", seed)
        add_run("mnist", seed, data={"augment": {"shift": 2}})
    (add_run("mlp", 1) / "record.json").unlink()
    main(["compare", "--logs", str(LOGS.absolute())])
    folder = LOGS / "mnist-compare" / "version_0"
    names = {path.name for path in folder.iterdir()}
    assert names == {"comparison.md", "record.json"} | {f"{n}.png" for n in FIGURES} | {f"{n}.csv" for n in TABLES}
    text, said = (folder / "comparison.md").read_text(), capsys.readouterr().out
    assert text in said
    assert str(folder) in said
    assert said.startswith("Left out: mlp/version_1: no record.json")
    assert "on 60 test images, the digits of mnist/, with the weights of the last epoch" in text
    record = json.loads((folder / "record.json").read_text())
    assert record["experiments"] == {
        "mlp": ["version_0"], "mnist_plain": ["version_0", "version_1"], "mnist": ["version_0", "version_1"]
    }  # fmt: skip
    assert {"machine", "versions", "commit", "seconds", "finished", "left_out"} <= record.keys()
    kept = "".join(path.read_text() for path in folder.iterdir() if path.suffix in (".md", ".json", ".csv"))
    assert str(Path.cwd()) not in kept
    check_tables(folder, digits[1])
    for name in FIGURES:
        with Image.open(folder / f"{name}.png") as image:
            assert image.width > 1000
            assert image.height > 400


def check_tables(folder: Path, test: LabelledSplit) -> None:
    """The files hold what the networks predict and what the records say."""
    experiments, _ = find_experiments(["mlp", "mnist_plain", "mnist"], LOGS, drawn=False)
    runs = [(name, run, load_network(run)) for name, runs in experiments.items() for run in runs]
    images = torch.from_numpy(test.images)[:, None] / 255
    results, curves, changed, predictions = (
        pd.read_csv(folder / f"{name}.csv", keep_default_na=False) for name in TABLES
    )
    assert predictions["index"].tolist() == list(range(60))
    assert predictions.label.tolist() == test.labels.tolist()
    assert len(results) == 5
    assert len(changed) == 5 * 27
    for (name, run, network), row in zip(runs, results.itertuples(), strict=True):
        found, moved = network.predict(images), network.predict(shifted(images, 0, -3))
        assert predictions[f"{name}-{run.seed}"].tolist() == found.tolist()
        assert (row.experiment, row.seed, row.version) == (name, run.seed, run.name)
        assert row.test_error == pytest.approx(np.mean(found != test.labels), rel=1e-5)
        assert row.val_error == pytest.approx(run.epochs[-1]["val/error"], rel=1e-5)
        assert (row.epochs_to_98, row.epochs) == (2, 3)
        assert (row.seconds_per_epoch, row.training_seconds_per_epoch) == (10, 2)
        assert (row.parameters, row.multiply_adds) == (network.parameters, network.multiply_adds)
        own = changed[(changed.experiment == name) & (changed.seed == run.seed)]
        errors = own.set_index(["change", "level", "direction"]).error
        assert errors["none", 0, ""] == row.test_error
        assert errors["shift", 3, "left"] == pytest.approx(np.mean(moved != test.labels), rel=1e-5)
        lines = curves[(curves.experiment == name) & (curves.seed == run.seed)]
        for part in ("val", "train_eval"):
            expected = [epoch[f"{part}/error"] for epoch in run.epochs]
            assert lines[f"{part}_error"].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("few_drawn")
def test_drawn_digits_have_runs_and_a_folder_of_their_own(add_run: Add) -> None:
    images, labels = draw_mnist().valid
    for name in ("mlp-drawn", "mnist_plain-drawn"):
        folder = add_run(name, 0)
        epochs = read_record(folder)["epochs"]
        predictions = the_network(LOGS / name).predict(torch.from_numpy(images)[:, None] / 255)
        epochs[-1]["val/error"] = float(np.mean(predictions != labels))
        edit_record(folder, epochs=epochs)
    main(["compare", "--source", "drawn", "--name", "x"])
    text = (LOGS / "x-drawn" / "version_0" / "comparison.md").read_text()
    assert "drawn digits (NOT MNIST)" in text
    assert "- mnist-drawn: there is no finished run with its last weights." in text


@pytest.mark.usefixtures("digits")
def test_mistakes_end_in_a_sentence(add_run: Add, refusal: Refusal) -> None:
    assert "Train mlp, mnist_plain and mnist first" in refusal("compare")
    assert "needs two names at least; got mlp" in refusal("compare", "--experiments", "mlp", "mlp")
    add_run("mlp", 0)
    path = add_run("mnist", 0)
    (path / "checkpoints" / "last.ckpt").write_bytes(b"nothing")
    assert "can't be read as a checkpoint" in refusal("compare")
    assert not (LOGS / "mnist-compare").exists()


@pytest.mark.usefixtures("digits")
def test_runs_as_fit_leaves_them_are_compared() -> None:
    """What the commands write is what the comparison reads, of the shipped recipes with small networks."""
    length = ["--trainer.max_epochs", "2"]
    small = ["--model.hidden_dims", "[8]", "--model.parameter_range", "[1,9999]"]
    main(["mlp", "fit", "--config", str(CONFIGS / "mlp.yaml"), *length, *small])
    for name in ("mnist_plain", "mnist"):
        main(["fit", "--config", str(CONFIGS / f"{name}.yaml"), *length, *CNN])
    main(["compare", "--source", "real", "--test_images", "5"])
    text = Path(LOGS, "mnist-compare/version_0/comparison.md").read_text()
    assert "on 5 test images" in text
    assert "|  | MLP | CNN | augmented CNN |" in text
    assert "| decay of the averaged weights | none | 0.995 |" in text
    assert "a shift of up to 2 px and a rotation of up to 10°" in text
    assert "not recorded" not in text
