"""The first problem's numbers, and that its sections hold what the assignment asks for."""

from pathlib import Path
from typing import Any

import pytest

from lit_a1.mlp.network import NONLINEARITIES
from lit_a1.report.gather import Study, gather
from lit_a1.report.problem1 import gradcheck_run, network, problem1, trials
from tests.report.conftest import LOGS, Add, leave_study, sections_of, words

HEADER = (
    "trial,state,diverged,val_accuracy_best,best_epoch,val_accuracy_last,epochs,seconds,parameters,architecture,"
    "nonlinearity,lr,lr_decay,batch_size,momentum,nesterov,weight_decay,dropout,input_dropout\n"
)


def test_parameters_are_summed_layer_by_layer() -> None:
    found = network({"model.hidden_dims": "(700, 500)", "model.momentum": 0.9})
    assert (found["hidden"], found["parts"]) == ([700, 500], [549_500, 350_500, 5_010])
    assert found["parameters"] == sum(found["parts"]) == 905_010
    assert (found["momentum"], found["nesterov"], found["nonlinearity"]) == (0.9, False, "relu")
    assert network({"model.hidden_dims": "many"}) is network({}) is network({"model.hidden_dims": 5}) is None


@pytest.mark.parametrize(
    ("settings", "there", "absent"),
    [
        ({}, ["(784 + 1) \\cdot 700 + (700 + 1) \\cdot 500 + (500 + 1) \\cdot 10", "905,010", "dropout mask", "μ v"],
         ["**outside**", "two hidden layers"]),
        ({"model.hidden_dims": "(40,)", "model.momentum": 0.0, "model.dropout": 0.0, "model.input_dropout": 0.0,
          "model.nonlinearity": "relu"},
         ["**outside**", "two hidden layers", "w \\leftarrow w - η g"], ["dropout mask", "μ"]),
        ({"model.hidden_dims": "damaged"}, ["do not say what its hidden layers are"], ["Forward"]),
    ],
)  # fmt: skip
def test_the_model_is_written_out_as_it_was_set(
    settings: dict[str, Any], there: list[str], absent: list[str], add_run: Add, tmp_path: Path
) -> None:
    add_run("mlp", [0.05, 0.02], settings=settings)
    section = sections_of(problem1, gather(LOGS, "real"), tmp_path)["mlp-model"]
    text = words(section.blocks)
    for piece in there:
        assert piece in text
    for piece in absent:
        assert piece not in text
    table = next(block for block in section.blocks if block.anchor == "mlp-settings")
    cells = {name: value for row in table.rows for name, value in (row[:2], row[2:])}
    assert (cells["mini-batch size"], cells["initialization"], cells["epochs"]) == ("128", "glorot", "2")
    assert cells["images"] == "18,000 to train, 2,000 to validate"


def test_zero_and_one_in_the_settings_are_no_words(add_run: Add, tmp_path: Path) -> None:
    add_run("mlp", [0.05], settings={"model.dropout": 0, "model.nesterov": False})
    table = problem1(gather(LOGS, "real"), tmp_path)["settings"]
    cells = {name: value for row in table["rows"] for name, value in (row[:2], row[2:])}
    assert (cells["epochs"], cells["dropout of hidden units"], cells["Nesterov's form of it"]) == ("1", "0", "no")


def test_without_a_run_the_recipe_and_the_recorded_search_are_described(tmp_path: Path) -> None:
    found = gather(LOGS, "real")
    sections = sections_of(problem1, found, tmp_path)
    blocks = sections["mlp-model"].blocks
    assert "$h^1 = 700$ and $h^2 = 500$ hidden units" in words(blocks)
    assert "All settings of the recipe" in words(blocks)
    assert sections["mlp-layers"].blocks
    (derivatives,) = (block.markdown.splitlines()[2:] for block in blocks if block.anchor == "derivatives")
    assert [row.split("|")[1].strip(" \\*").replace(" ", "_") for row in derivatives] == [*NONLINEARITIES]
    (table,) = (block for block in sections["search"].blocks if block.anchor == "search-trials")
    assert len(table.rows) == sum(found.study("mlp-search").record["trials"].values())
    assert sum(row[0].endswith("*") for row in table.rows) == 1


SETUP = "784-700-500-10, gelu"


@pytest.mark.parametrize(
    ("changes", "same", "expected"),
    [
        ({}, True, ""),
        ({"epochs_done": 1}, False, "after 1 epoch, which is not the network of section 1.1"),
        ({"epochs_done": None}, False, "after an unknown number of epochs"),
        ({"run": "mlp/version_7"}, False, "`mlp/version_7`"),
        ({"setup": "784-512-512-10, relu"}, False, "which is not the network of section 1.1"),
        ({"run": None, "weights": "trained for this study, 2 epochs"}, False, ": trained for this study, 2 epochs."),
        ({"run": None, "weights": "the published weights"}, False, "another network than that of section 1.1"),
    ],
)
def test_gradients_of_another_network_are_said_to_be(
    changes: dict[str, Any], same: bool, expected: str, add_run: Add, tmp_path: Path
) -> None:
    add_run("mlp", [0.05, 0.02], setup=SETUP)
    record = {"setup": SETUP, "run": "mlp/version_0", "epochs_done": 2, "seed": 0} | changes
    leave_study("mlp-gradcheck", record, conclusion_md="# T\n\nThe answer.\n\nThe rest.\n")
    found = gather(LOGS, "real")
    assert gradcheck_run(found.study("mlp-gradcheck"), found.runs_with_newest_settings("mlp"))["same"] is same
    blocks = sections_of(problem1, found, tmp_path)["gradients"].blocks
    notes = [block for block in blocks if block.kind == "missing" and "checked" in block.text]
    assert bool(notes) is not same
    assert expected in words(notes)
    assert all(note.command.startswith("python main.py mlp gradcheck --ckpt_path last") for note in notes)
    assert [block.text.strip() for block in blocks if "answer" in block.text] == ["The answer."]


def test_every_trial_is_a_row_the_best_first_and_the_answer_marked(tmp_path: Path) -> None:
    rows = [
        "0,complete,no,0.97000,2,0.96000,2,1.0,669706,784-512-512-10,relu,0.1,constant,128,0.0,False,0.0,0.0,0.0",
        "1,pruned,yes,,,,1,1.0,619315,784-779-10,leaky_relu,9.0,cosine,32,0.5,False,0.0,0.0,0.0",
        "2,complete,no,0.98500,1,0.98000,2,1.0,722149,784-638-341-10,gelu,0.3,cosine,64,0.65,True,0.0,0.0,0.1",
    ]
    (tmp_path / "trials.csv").write_text(HEADER + "\n".join(rows) + "\n")
    found = trials(Study(tmp_path, {"best": {"trial": 2}}, recorded=False))
    assert found["count"] == 3
    shown = [dict(zip(found["table"]["header"], row, strict=True)) for row in found["table"]["rows"]]
    assert [row["trial"] for row in shown] == ["2 *", "0", "1"]
    assert [row["r(valid)"] for row in shown] == ["98.50 %", "97.00 %", "stopped"]
    assert [row["epoch"] for row in shown] == ["1/2", "2/2", ""]
    assert (shown[0]["hidden units"], shown[0]["momentum"], shown[2]["f"]) == ("638-341", "0.65 N", "leaky relu")
    for content in ("", "a,b\n1,2\n", HEADER):
        (tmp_path / "trials.csv").write_text(content)
        damaged = trials(Study(tmp_path, {"best": []}, recorded=False))
        assert damaged["table"] is None
    assert trials(None) is None
