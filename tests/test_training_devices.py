"""One command on several devices: processes that Lightning or torchrun starts, here two on the processor."""

import json
import signal
import socket
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_a1.cli import main
from lit_a1.environment import is_first
from tests.conftest import Background, Refusal
from tests.test_training import SMALL, STEP, fit, weights

TWO = ["--trainer.devices", "2"]
FEW = ["--data.eval_batch_size", "5"]
DROPS = ["--model.dropout", "0.3", "--data.augment.cutmix", "1", "--trainer.max_epochs", "2"]


def output_of(process: subprocess.Popen[str], status: int = 0) -> str:
    """The output of a process, once it has ended with this status."""
    output = process.communicate(timeout=300)[0]
    assert process.returncode == status, output
    return output


def test_two_devices_label_as_one_does(photos: Path, in_background: Background) -> None:
    """To the byte, in order, and the files are told of once."""
    zipfile.ZipFile(photos / "catsdogs" / "testset.zip").extractall("mine")
    fit(epochs=1)
    main(["predict", "mine", *SMALL, *FEW, "--submission", "one.csv"])
    output = output_of(in_background("predict", "mine", *SMALL, *FEW, *TWO, "--submission", "two.csv"))
    assert output.count("Labels: two.csv") == output.count("Checkpoint: ") == 1
    for name in ("{}.csv", "{}_probabilities.csv"):
        assert Path(name.format("two")).read_bytes() == Path(name.format("one")).read_bytes()


@pytest.mark.parametrize(
    ("variables", "first", "of_machine"),
    [
        ({}, True, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True, True),
        ({"RANK": "3", "LOCAL_RANK": "1"}, False, False),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False, True),
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, False, True),
        ({"SLURM_PROCID": "2", "SLURM_LOCALID": "0"}, False, True),
    ],
)
def test_which_process_speaks(
    variables: dict[str, str], first: bool, of_machine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (is_first(), is_first(of_machine=True)) == (first, of_machine)


def test_a_random_seed_of_several_machines_is_refused(
    photos: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "would be another seed in each process" in refusal("fit", *SMALL, "--seed_everything", "true")


def test_only_one_process_of_a_machine_refuses(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    for wrong in ("--model.lrr", "--trainer.log_every_n_steps=-1"):
        with pytest.raises(SystemExit) as leaving:
            main(["fit", *SMALL, wrong])
        assert leaving.value.code == 2
    assert "error" not in capfd.readouterr().err


def tasks() -> list[dict[str, str]]:
    """The variables that torchrun gives to each of two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "x"}
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]


@pytest.fixture
def start_two(in_background: Background, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[subprocess.Popen[str]]]:
    """Starts the processes of a command; one of them is killed at a step."""

    def start(*arguments: str, killed: int | None = None) -> list[subprocess.Popen[str]]:
        started = []
        for rank, variables in enumerate(tasks()):
            with monkeypatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                place = {"killed_at": (*STEP, 13)} if rank == killed else {}
                started.append(in_background(*arguments, *TWO, **place))
        return started

    return start


@pytest.mark.long
def test_tasks_of_a_cluster_train_and_measure(photos: Path, start_two: Callable[..., Any]) -> None:
    """One run, told of by the first, with the weights of one device."""
    named, few = ["--trainer.logger.init_args.name", "whole"], ["--trainer.limit_train_batches", "2"]
    main(["fit", *SMALL, *DROPS, *few, *named])
    first, second = start_two("fit", *SMALL, *DROPS, *few)
    output, silent = output_of(first), output_of(second)
    assert output.count("Best epoch") == output.count("epoch 1/2") == 1
    assert not silent
    (run,) = Path("lightning_logs/catsdogs").iterdir()
    (single,) = Path("lightning_logs/whole").iterdir()
    last = "checkpoints/last.ckpt"
    torch.testing.assert_close(weights(run / last), weights(single / last), rtol=1e-3, atol=1e-5)
    records = [json.loads((each / "record.json").read_text()) for each in (run, single)]
    assert records[0]["images"] == records[1]["images"] == {"train": 16, "val": 16}
    for name in ("step", "train/loss", "val/loss", "train/gradient_norm"):
        assert records[0]["last"][name] == pytest.approx(records[1]["last"][name], rel=1e-3), name
    main(["validate", *SMALL, *DROPS, *named])
    first, second = start_two("validate", *SMALL, *DROPS)
    assert output_of(first).count("\nval/error") == 1
    assert not output_of(second)
    figures = [json.loads((each / "validate.json").read_text()) for each in (run, single)]
    for name in ("images", "val/loss", "val/error", "train_eval/loss"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-3), name


@pytest.mark.long
@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_is_killed_ends_the_other_and_the_run_goes_on(
    killed: int, photos: Path, start_two: Callable[..., Any]
) -> None:
    """On one device, here."""
    flags = [*SMALL, *DROPS, "--model.lr", "0.01"]
    main(["fit", *flags, "--trainer.logger.init_args.name", "whole"])
    started = start_two("fit", *flags, killed=killed)
    output_of(started[killed], -signal.SIGKILL)
    output = output_of(started[1 - killed], 1)
    assert output.count("error: ") == killed  # of the first; torchrun says itself that the first was killed
    assert ("Start the same command again with --ckpt_path last." in output) == bool(killed)
    assert "Traceback" not in output
    main(["fit", *flags, "--ckpt_path", "last"])
    paths = [Path("lightning_logs", name, "version_0/checkpoints/last.ckpt") for name in ("catsdogs", "whole")]
    torch.testing.assert_close(*map(weights, paths), rtol=1e-3, atol=1e-5)


@pytest.mark.long
def test_a_signal_to_stop_ends_all(photos: Path, in_background: Background) -> None:
    run = in_background("fit", *SMALL, *TWO, "--trainer.max_epochs", "100000", "--trainer.enable_progress_bar", "false")
    last = Path("lightning_logs/catsdogs/version_0/checkpoints/last.ckpt")
    while not last.exists():
        assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    assert output_of(run, 143).count("Stopped. Go on with: ") == 1
