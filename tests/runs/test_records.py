import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import parse_experiment_plugin_data

from lit_a1.runs import records
from lit_a1.runs.events import event_writer
from lit_a1.runs.records import SHOWN_COLUMNS, TrainingRecord, log_hparams


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"test/loss": 1}', '{"test/error": 0.1}', '{"checkpoint": "last.ckpt", "test/error": null}']
)
def test_a_damaged_test_is_none(text: str, tmp_path: Path) -> None:
    assert records.test_metrics(tmp_path) == {}
    (tmp_path / "test.json").write_text(text)
    assert records.test_metrics(tmp_path) == {}
    (tmp_path / "test.json").write_text('{"checkpoint": "last.ckpt", "test/error": 0.1}')
    assert records.test_metrics(tmp_path)["test/error"] == 0.1


def test_a_resumed_training_counts_what_went_before(tmp_path: Path) -> None:
    first = TrainingRecord({"model.lr": 0.1})
    first.start("a machine")
    first.epochs.append({"epoch": 0, "step": 4, "val/error": 0.2})
    carried = json.loads(json.dumps(first.state())) | {"seconds": 1000.0, "peak_memory_gb": 500.0}
    second = TrainingRecord({"model.lr": 0.1})
    second.restore(carried)
    second.start("another machine")
    second.epochs.append({"epoch": 1, "step": 8, "val/error": 0.1})
    record = second.finish(tmp_path, seed=3)
    assert record == json.loads((tmp_path / "record.json").read_text())
    assert record["seconds"] >= 1000
    assert second.seconds_per_epoch < 1000  # of this process alone
    assert record["peak_memory_gb"] == 500
    assert (record["best"]["epoch"], record["last"]["epoch"], len(record["epochs"])) == (1, 1, 2)
    assert record["machine"] == "a machine and another machine"


def test_columns_of_all_networks_meet(tmp_path: Path) -> None:
    """TensorBoard takes the columns of one run for those of all."""
    trainings = {
        "mlp": {"model.lr": 0.1, "model.lr_decay": "linear", "model.batch_size": 8, "model.hidden_dims": "[4]"},
        "cnn": {"model.lr": 0.1, "model.schedule": "linear", "data.batch_size": 8, "model.class_path": "a.b.TinyCNN"},
    }
    columns = {}
    for name, settings in trainings.items():
        ends = {"best": {"val/error": 0.25, "val/loss": 1.0}, "last": {"step": 6}}
        settings |= {"trainer.max_epochs": 3, "seed": 0}
        with event_writer(tmp_path / name) as writer:
            log_hparams(writer, {"settings": settings, "parameters": 7, "seconds": 2.5, **ends})
        events = EventAccumulator(str(tmp_path / name)).Reload()
        found = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
        columns[name] = {info.name: info.differs for info in parse_experiment_plugin_data(found).hparam_infos}
        results = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
        about = {"accuracy": 0.75, "loss": 1.0, "parameters": 7, "seconds": 2.5}
        assert results == {f"result/{name}": value for name, value in about.items()}
    assert columns["mlp"].keys() - columns["cnn"].keys() == {"model.hidden_dims"}
    assert columns["cnn"].keys() - columns["mlp"].keys() == {"model.class_path"}
    assert {name for name, first in columns["mlp"].items() if first} == set(SHOWN_COLUMNS)
