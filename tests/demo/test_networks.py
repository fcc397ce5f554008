import json
from pathlib import Path

import pytest

from lit_a1.demo.networks import Networks
from lit_a1.mlp.network import NN
from lit_a1.runs.folders import PRETRAINED
from lit_a1.runs.settings import UsageError


def run(name: str, suffix: str, data: str) -> Path:
    """The folder of a finished run with an empty checkpoint."""
    folder = Path("logs", name, "version_0")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / f"best{suffix}").touch()
    (folder / "record.json").write_text(json.dumps({"settings": {"data.class_path": data}}))
    return folder


def test_published_weights_come_first_and_runs_follow_by_kind() -> None:
    run("idea", ".ckpt", "lit_a1.data.catsdogs.CatsDogsDataModule")
    run("mnist_idea", ".ckpt", "lit_a1.data.mnist_module.MNISTDataModule")
    run("mlp", ".npz", "")
    Path("logs", "empty").mkdir()
    networks = Networks(Path("logs"))
    assert networks.labels("photos") == ["catsdogs_best (published)", "catsdogs (published)", "idea, version_0"]
    assert networks.labels("digits")[-1] == "mnist_idea, version_0"
    assert networks.labels("perceptrons")[-1] == "mlp, version_0"
    assert networks.path("photos", "catsdogs (published)") == PRETRAINED / "catsdogs.ckpt"
    assert networks.note("photos", "catsdogs (published)")["familiarity"]
    assert networks.note("photos", "idea, version_0") == {}


@pytest.mark.parametrize("label", [None, "other"])
def test_what_is_not_there_is_refused(label: str | None) -> None:
    with pytest.raises(UsageError, match="There is no CNN of digits"):
        Networks(Path("logs")).cnn("digits", label)


def test_a_run_of_the_numpy_network_is_read_once() -> None:
    path = run("mlp", ".npz", "") / "checkpoints" / "best.npz"
    net = NN()
    net.save(str(path))
    networks = Networks(Path("logs"))
    found = networks.perceptron("mlp, version_0")
    assert (found.parameters == net.parameters).all()
    assert networks.perceptron("mlp, version_0") is found
