"""Every flag that `fit --help` lists works, or is refused in a sentence that names it."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch.callbacks
import pytest
import torch
from jsonargparse import Namespace
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger
from lightning_utilities.core.imports import RequirementCache

from lit_a1.callbacks.best import BestCheckpoint, LastCheckpoint
from lit_a1.callbacks.continuation import Continuation
from lit_a1.callbacks.progress import ProgressLines
from lit_a1.callbacks.record import RunRecord
from lit_a1.cli import main
from lit_a1.flags import NO_CALLBACKS, check_flags, experiment_of, own_callbacks, run_loggers
from lit_a1.runs.settings import UsageError
from lit_a1.training import parse
from tests import hostile
from tests.conftest import Capture, Refusal, read_csv

TINY = [*hostile.TINY, "--model.precise_bn", "8", "--trainer.max_epochs", "1"]


def loggers(*names: str) -> str:
    return json.dumps([{"class_path": name, "init_args": {"save_dir": "logs", "name": "x"}} for name in names])


CALLBACKS: dict[str, dict[str, Any]] = {  # that work
    "DeviceStatsMonitor": {},
    "EarlyStopping": {"monitor": "val/error"},
    "LambdaCallback": {},
    "LearningRateMonitor": {},
    "ModelCheckpoint": {"monitor": "val/error"},
    "ModelSummary": {},
    "OnExceptionCheckpoint": {"dirpath": "broken"},
    "RichModelSummary": {},
    "RichProgressBar": {},
    "SpikeDetection": {"warmup": 3},  # steps; a seed that is drawn may have a spike
}
OTHER_CALLBACKS = {  # neither tried nor refused
    *("Callback", "Checkpoint", "BasePredictionWriter"),  # what others are made of, which do nothing
    *("TQDMProgressBar", "LitModelCheckpoint"),  # as RichProgressBar and ModelCheckpoint
    "ThroughputMonitor",  # needs a function, which a flag can't give
}
WORKS = {  # a value of each flag, all of them in one run
    **{"--trainer.accelerator": "cpu", "--trainer.strategy": "auto", "--trainer.devices": "1"},
    **{"--trainer.num_nodes": "1", "--trainer.precision": "32-true", "--trainer.plugins": "LightningEnvironment"},
    "--trainer.logger": loggers("TensorBoardLogger", "CSVLogger"),
    "--trainer.callbacks": json.dumps(
        [{"class_path": name, "init_args": options} for name, options in CALLBACKS.items()]
    ),
    **{"--trainer.fast_dev_run": "false", "--trainer.max_epochs": "1", "--trainer.min_epochs": "1"},
    **{"--trainer.max_steps": "2", "--trainer.min_steps": "1", "--trainer.max_time": "00:01:00:00"},
    **{f"--trainer.limit_{part}_batches": "2" for part in ("train", "val", "test", "predict")},
    **{"--trainer.overfit_batches": "0", "--trainer.val_check_interval": "null"},
    **{"--trainer.check_val_every_n_epoch": "1", "--trainer.num_sanity_val_steps": "1"},
    **{"--trainer.log_every_n_steps": "1", "--trainer.enable_checkpointing": "true"},
    **{"--trainer.enable_progress_bar": "true", "--trainer.enable_model_summary": "true"},
    **{"--trainer.accumulate_grad_batches": "1", "--trainer.gradient_clip_val": "null"},
    **{"--trainer.gradient_clip_algorithm": "null", "--trainer.deterministic": "true", "--trainer.benchmark": "false"},
    **{"--trainer.inference_mode": "false", "--trainer.use_distributed_sampler": "false"},
    **{"--trainer.profiler": "simple", "--trainer.detect_anomaly": "true", "--trainer.barebones": "false"},
    **{"--trainer.sync_batchnorm": "false", "--trainer.reload_dataloaders_every_n_epochs": "1"},
    **{"--trainer.default_root_dir": "root", "--trainer.enable_autolog_hparams": "false"},
    **{"--trainer.model_registry": "null", "--weights_only": "true", "--seed_everything": "true"},
}
ELSEWHERE = {"--config", "--print_config", "--help", "--trainer", "--model", "--data", "--ckpt_path"}


@pytest.fixture(scope="module")
def parsed() -> Namespace:
    """The settings of a `fit`."""
    return parse(["fit", *TINY])


@pytest.fixture
def command(parsed: Namespace) -> Namespace:
    """The same, to change."""
    return parsed.clone()


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Undoes what a run has set for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.autograd.set_detect_anomaly(False)


def test_every_flag_of_help(capsys: Capture, few_drawn: int, deterministic: None) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    listed = set(re.findall(r"^ +(?:-\w \w+, )?(--[\w.]+)", capsys.readouterr().out.partition("options:")[2], re.M))
    ours = {flag for flag in listed if flag.endswith(".help") or flag.startswith(("--model.", "--data."))}
    assert listed - ours - ELSEWHERE == WORKS.keys(), (
        "a flag is new: enter it here, and the values that can't work in lit_a1/flags.py"
    )

    profiler, reports = logging.getLogger("lightning.pytorch.profilers.profiler"), []
    handler = logging.Handler()
    handler.emit = reports.append  # type: ignore[method-assign]
    profiler.addHandler(handler)
    main(["fit", *TINY, *(word for pair in WORKS.items() for word in pair)])
    profiler.removeHandler(handler)
    assert "Profiler Report" in reports[0].getMessage()
    run = Path("root/logs/x-drawn/version_0")
    left = {path.name.partition(".tfevents")[0] for path in run.iterdir()}
    logged = {"events.out", "hparams.yaml", "metrics.csv"}
    assert left == {"checkpoints", "config.yaml", "record.json"} | logged
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {"best.ckpt", "last.ckpt", "epoch=0-step=2.ckpt"}
    record = json.loads((run / "record.json").read_text())
    assert record["settings"]["seed"] == record["seed"] > 0
    rows = read_csv(run / "metrics.csv")
    assert any(float(row["val/error"] or -1) == record["last"]["val/error"] for row in rows)


def test_callbacks(command: Namespace) -> None:
    of_lightning = set(lightning.pytorch.callbacks.__all__)
    known = CALLBACKS.keys() | NO_CALLBACKS.keys() | OTHER_CALLBACKS
    assert of_lightning <= known, "a callback is new: see whether it works, and enter it here or in NO_CALLBACKS"
    for name in [*NO_CALLBACKS, "lit_a1.callbacks.record.RunRecord"]:
        command.trainer.callbacks = [Namespace(class_path=name if "." in name else f"lightning.callbacks.{name}")]
        with pytest.raises(UsageError, match=f"trainer.callbacks can't have a {name.rpartition('.')[2]} here: "):
            check_flags(command, "fit")
    for monitor in ("val_loss", "train_eval/loss"):  # the latter without `measure_train`
        command.trainer.callbacks = [Namespace(class_path="x.EarlyStopping", init_args=Namespace(monitor=monitor))]
        with pytest.raises(UsageError, match=rf"EarlyStopping monitors {monitor}, which is not measured; .*val/loss"):
            check_flags(command, "fit")
        check_flags(command, "validate")
    command.data.init_args.measure_train = True
    check_flags(command, "fit")
    command.trainer.limit_val_batches = 0
    with pytest.raises(UsageError, match="not measured; train/loss, train/error, train/gradient_norm"):
        check_flags(command, "fit")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("accumulate_grad_batches", 2, "can't be 2 here: .*--model.accumulate"),
        ("gradient_clip_val", 1.0, "can't be 1.0 here: --model.clip_gradient"),
        ("gradient_clip_algorithm", "value", "can't be value here: --model.clip_gradient"),
        ("sync_batchnorm", True, "can't be true here: --model.sync_norm"),
        ("model_registry", "me/net", "can't be me/net here"),
        ("precision", "16-true", "can't be 16-true here: it must be 32-true"),
        ("profiler", "xla", "can't be xla here: it must be simple"),
        ("profiler", Namespace(class_path="lightning.pytorch.profilers.XLAProfiler"), "can't be xla here"),
        ("val_check_interval", 0.5, "can't be 0.5 here"),
        ("val_check_interval", 1, "can't be 1 here"),  # after each step; 1.0 is after each epoch
        ("log_every_n_steps", -1, "must be at least 0; got -1"),
        ("check_val_every_n_epoch", 0, "must be at least 1; got 0"),
        ("limit_train_batches", 0, "must be above 0; got 0"),
        ("limit_predict_batches", 0, "must be above 0; got 0"),
        ("strategy", "fsdp", "must be auto, or ddp for several devices; got fsdp"),
        ("strategy", Namespace(class_path="x.DeepSpeedStrategy"), "got DeepSpeedStrategy"),
        ("plugins", [Namespace(class_path="x.DoublePrecision")], "cluster environments alone; got DoublePrecision"),
    ],
)
def test_what_is_refused(name: str, value: Any, words: str, command: Namespace) -> None:
    check_flags(command, "fit")
    command.trainer[name] = value
    with pytest.raises(UsageError, match=f"^trainer.{name} .*{words}"):
        check_flags(command, "predict" if "predict" in name else "fit")


def test_a_gpu_gives_the_cpu_no_more_devices(command: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_a1.flags.machine", lambda: "a GPU")
    command.trainer.devices, command.trainer.accelerator = 10**6, "auto"
    check_flags(command, "fit")
    command.trainer.accelerator = "cpu"
    with pytest.raises(UsageError, match=r"^trainer.devices must be at most"):
        check_flags(command, "fit")


def test_a_logger_that_is_not_installed(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", RequirementCache("no-such-package"))
    for named in ("WandbLogger", loggers("TensorBoardLogger", "WandbLogger")):
        said = refusal("fit", *TINY, "--trainer.logger", named)
        assert re.fullmatch("error: Problem with given class_path '[a-z.]*WandbLogger': .*pip install.*package'`", said)


def test_slurm_says_what_it_lacks(refusal: Refusal, monkeypatch: pytest.MonkeyPatch, few_drawn: int) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert "--ntasks-per-node=2" in refusal("fit", *TINY)


@pytest.mark.parametrize(("logger", "folder"), [("false", "lightning_logs/unnamed"), (loggers("CSVLogger"), "logs/x")])
def test_every_run_has_a_folder_of_its_own(logger: str, folder: str, few_drawn: int, capsys: Capture) -> None:
    """And goes on there, whatever logs: nothing, or a CSV alone."""
    flags = ["--trainer.logger", logger, "--trainer.max_epochs", "2"]
    main(["fit", *TINY, *flags, "--trainer.max_steps", "2"])
    main(["fit", *TINY, *flags, "--ckpt_path", "last"])
    run = Path(f"{folder}-drawn", "version_0")
    assert list(run.parent.iterdir()) == [run]
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert [row["step"] for row in json.loads((run / "record.json").read_text())["epochs"]] == [2, 4]
    assert [path.name for path in Path().iterdir()] == [run.parts[0]]
    output = capsys.readouterr().out
    assert f"{run}/checkpoints/best.ckpt" in output
    assert "tensorboard" not in output
    if logger != "false":
        assert [row["step"] for row in read_csv(run / "metrics.csv") if row["train/loss"]] == ["1", "3"]


def test_a_service_logs_beside_tensorboard() -> None:
    service = DummyLogger()
    named = Namespace(class_path="lightning.pytorch.loggers.logger.DummyLogger")
    found = run_loggers(named, [service], {"save_dir": "logs", "name": "x", "version": 3}, None)
    assert found[1:] == [service]
    assert isinstance(found[0], TensorBoardLogger)
    assert found[0].log_dir == "logs/x/version_3"


def test_barebones_and_fast_dev_run_keep_nothing(few_drawn: int, capsys: Capture) -> None:
    main(["fit", *TINY, "--trainer.barebones", "true"])
    assert "nothing is shown, logged or kept" in capsys.readouterr().err
    main(["fit", *TINY, "--trainer.fast_dev_run", "true", "--trainer.logger", "false"])
    assert not list(Path().iterdir())


def test_bars_and_checkpoints_give_way() -> None:
    own = [Continuation(), RunRecord(), ProgressLines(), BestCheckpoint(), LastCheckpoint()]
    usual = {"barebones": False, "enable_progress_bar": None, "enable_checkpointing": None}
    assert own_callbacks(own, [], Namespace(usual)) == own
    assert own_callbacks(own, [RichProgressBar()], Namespace(usual)) == [*own[:2], *own[3:]]
    assert own_callbacks(own, [], Namespace(usual | {"enable_progress_bar": False})) == [*own[:2], *own[3:]]
    assert own_callbacks(own, [], Namespace(usual | {"enable_checkpointing": False})) == own[:3]
    assert own_callbacks(own, [], Namespace(usual | {"barebones": True})) == own[:1]


def test_where_runs_are(command: Namespace) -> None:
    command.trainer.default_root_dir = "root"
    assert experiment_of(command, drawn=True) == (Path("root/lightning_logs"), "catsdogs-drawn")
    service = Namespace(class_path="x.WandbLogger", init_args=Namespace(save_dir=".", name="mine"))
    command.trainer.logger = [service, command.trainer.logger]
    assert experiment_of(command, drawn=False) == (Path("root/lightning_logs"), "catsdogs")
    command.trainer.logger = service
    assert experiment_of(command, drawn=False) == (Path("root/lightning_logs"), "mine")
