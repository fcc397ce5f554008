"""The weights in lit_a1/pretrained/ are what their notes say."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_a1.cli import main
from lit_a1.mlp.options import parse as parse_mlp
from lit_a1.mlp.options import setup_of
from lit_a1.mlp.setup import load_weights
from lit_a1.models import Classifier
from lit_a1.runs.checkpoints import check_fits, read
from lit_a1.runs.folders import PRETRAINED, resolve
from lit_a1.runs.settings import build
from lit_a1.training import TrainingCLI, parse
from tests.conftest import CONFIGS, REPOSITORY

LIMIT = 16_000_000  # bytes
NAMES = sorted(path.stem for path in PRETRAINED.glob("*.json"))
OF_TORCH = [name for name in NAMES if name != "mlp"]
every_note = pytest.mark.parametrize("name", NAMES)


def note(name: str) -> dict[str, Any]:
    return json.loads((PRETRAINED / f"{name}.json").read_text())


def config_of(name: str) -> str:
    return str(CONFIGS / f"{name}.yaml")


@pytest.fixture
def all_cores() -> Iterator[None]:
    """Other tests are too small for more than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(threads)


def weights_of(name: str) -> Path:
    return PRETRAINED / f"{name}{'.npz' if name == 'mlp' else '.ckpt'}"


def test_the_folder_is_small_and_holds_pairs() -> None:
    files = list(PRETRAINED.iterdir())
    assert sum(path.stat().st_size for path in files) <= LIMIT
    pairs = {path.name for name in NAMES for path in (weights_of(name), PRETRAINED / f"{name}.json")}
    assert {path.name for path in files} == {"README.md"} | pairs


@every_note
def test_a_file_is_the_one_that_was_published(name: str) -> None:
    about, path = note(name), weights_of(name)
    content = path.read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (about["sha256"], about["bytes"])
    assert resolve("pretrained", Path("lightning_logs", name), suffix=path.suffix) == path
    assert about["config"] == f"configs/{name}.yaml"
    assert about.get("file", path.name) == path.name
    assert re.fullmatch(r"[0-9a-f]{7,40}", about["commit"])


def test_the_numpy_networks_file_fits_its_config() -> None:
    net = setup_of(parse_mlp(["test", "--config", config_of("mlp")]), "test").network()
    load_weights(net, weights_of("mlp"))
    assert (net.n_parameters, net.epoch) == (note("mlp")["parameters"], note("mlp")["epochs"])
    assert not net.velocity.any()


@pytest.mark.parametrize("name", OF_TORCH)
def test_a_checkpoint_fits_its_config(name: str) -> None:
    about, path = note(name), weights_of(name)
    command = parse(["fit", "--config", config_of(name)])
    assert command.trainer.logger.init_args.name == name
    model, checkpoint = build(Classifier, command.model), read(path)
    check_fits(checkpoint, model, path)
    model.load_state_dict(checkpoint["state_dict"])
    assert isinstance(model.net, torch.nn.Module)
    assert sum(parameter.numel() for parameter in model.net.parameters()) == about["parameters"]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in model.state_dict().values())


@every_note
def test_the_results_name_the_submission(name: str) -> None:
    if digest := note(name).get("submission_sha256"):
        assert digest in (REPOSITORY / "docs" / "results.md").read_text()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name != "catsdogs")) for name in OF_TORCH]
)
@pytest.mark.usefixtures("all_cores")
@pytest.mark.timeout(3600)  # 7,000 photos, each seen in several ways, in single precision
def test_the_weights_repeat_their_figures_and_their_submission(
    name: str, request: pytest.FixtureRequest, decoded_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = note(name)
    data = request.getfixturevalue("real_mnist" if name == "mnist" else "real_data")
    monkeypatch.setenv("LIT_A1_DATA", str(data))
    monkeypatch.setenv("LIT_A1_CACHE", str(decoded_photos))
    options = ["--config", config_of(name), "--ckpt_path", "pretrained", "--trainer.accelerator", "cpu"]
    options += ["--data.measure_train", "false"]
    cli = TrainingCLI(["validate", *options])
    assert len(cli.datamodule.sets["val"]) == about["val_images"]
    assert float(cli.trainer.callback_metrics["val/error"]) == pytest.approx(about["val_error"], abs=1e-6)
    if "test_error" in about:
        tested = TrainingCLI(["test", *options]).trainer.callback_metrics
        assert float(tested["test/error"]) == pytest.approx(about["test_error"], abs=1e-6)
    else:
        main(["predict", *options])
        assert hashlib.sha256(Path("submission.csv").read_bytes()).hexdigest() == about["submission_sha256"]


@pytest.mark.usefixtures("real_mnist")
def test_the_numpy_networks_weights_repeat_their_figures(capsys: pytest.CaptureFixture[str]) -> None:
    main(["mlp", "test", "--ckpt_path", "pretrained"])
    said, about = capsys.readouterr().out, note("mlp")
    assert "learning rate 0.2 (linear)" in said  # as the file has it: no YAML is named
    for part in ("val", "test"):
        assert f"{part}/error{'':{7 if part == 'val' else 6}} {about[f'{part}_error']:.4f}" in said
