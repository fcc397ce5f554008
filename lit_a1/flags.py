"""Lightning's flags in this project: some are refused, others are adapted to the command and the machine."""

import csv
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from lit_a1.callbacks.continuation import Continuation
from lit_a1.environment import PROGRAM, best_precision, cpu, machine, why_not_compiled
from lit_a1.models.evaluated import STAGES
from lit_a1.runs.folders import DRAWN
from lit_a1.runs.settings import UsageError

HALVES = {"bf16-mixed": "bfloat16", "16-mixed": "float16"}
PRECISIONS = (None, "32", "32-true", 32, *HALVES)  # bf16-true rounds the weights
BATCH = "a step takes --data.batch_size images; --model.accumulate sets how many micro-batches they are divided into"
CLIP = "--model.clip_gradient limits the gradient's norm"
AVERAGE = "--model.average_decay averages the weights"
SEARCH = f"`{PROGRAM} search` tries learning rates and batch sizes"
OF_THE_MODEL = "the model decides which layers there are and which are trained"
ALLOWED: dict[str, tuple[tuple[Any, ...], str]] = {  # allowed values of a flag, and why there are no others
    "accumulate_grad_batches": ((None, 1), BATCH),
    "gradient_clip_val": ((None, 0), CLIP),
    "gradient_clip_algorithm": ((None,), CLIP),
    "sync_batchnorm": ((None, False), "--model.sync_norm true takes statistics over all devices"),
    "model_registry": ((None,), "checkpoints stay in the folder of their run"),
    "precision": (PRECISIONS, "it must be 32-true, bf16-mixed or 16-mixed"),
    "profiler": ((None, "simple", "advanced", "pytorch"), "it must be simple, advanced or pytorch"),
    "val_check_interval": ((None,), "checkpoints are validated at the end of an epoch"),
}
MINIMA = {
    "log_every_n_steps": 0,
    "check_val_every_n_epoch": 1,
    "num_sanity_val_steps": -1,
    "min_epochs": 0,
    "min_steps": 0,
}
NO_CALLBACKS = {
    "LearningRateFinder": SEARCH,
    "BatchSizeFinder": SEARCH,
    "GradientAccumulationScheduler": BATCH,
    "StochasticWeightAveraging": AVERAGE,
    "WeightAveraging": AVERAGE,
    "EMAWeightAveraging": AVERAGE,
    "BaseFinetuning": OF_THE_MODEL,
    "BackboneFinetuning": OF_THE_MODEL,
    "ModelPruning": OF_THE_MODEL,
    "Timer": "--trainer.max_time ends a run",
    "ProgressBar": "it shows nothing; RichProgressBar and TQDMProgressBar do",
}
MAX_SEED = 2**32 - 1
FOLDER_LOGGERS = ("TensorBoardLogger", "CSVLogger")  # the loggers that write to `save_dir/name/version_N`
TRAINING_METRICS = ("gradient_norm", "learning_rate", "images_per_second")  # in addition to loss and error

log = logging.getLogger(__name__)


def as_list(value: Any) -> list[Any]:
    """The values of a flag that accepts none, one or several, as a list."""
    return value if isinstance(value, list) else [] if value in (None, True, False) else [value]


def named_classes(value: Any) -> list[Namespace]:
    """The classes that a flag names, with their options."""
    return [entry for entry in as_list(value) if isinstance(entry, Namespace)]


def class_name(entry: Namespace) -> str:
    """The name of such a class."""
    return str(entry.get("class_path")).rpartition(".")[2]


def seed_of(command: Namespace) -> int:
    """The seed of a command, random for `true`; raises a UsageError if invalid, or random in several processes."""
    seed = command.seed_everything
    if seed is True:
        started = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1
        if max(int(started), command.trainer.num_nodes) > 1 and "PL_GLOBAL_SEED" not in os.environ:
            raise UsageError("seed_everything: true would be another seed in each process; name one for all")
        seed = int(os.environ.get("PL_GLOBAL_SEED", secrets.randbits(32)))  # set by the first of several devices
    if seed is False or not 0 <= seed <= MAX_SEED:
        words = f"seed_everything must be a number from 0 to {MAX_SEED}, or true for a random one; got {seed}"
        raise UsageError(words.replace("False", "false"))
    return seed


def check_flags(command: Namespace, subcommand: str) -> None:
    """Raises a UsageError for flags that can't work with this project's networks and loops."""
    trainer, is_fit = command.trainer, subcommand == "fit"
    for name, (values, why) in ALLOWED.items():
        if isinstance(value := trainer.get(name), Namespace):  # a profiler with options
            value = class_name(value).removesuffix("Profiler").lower()
        if value not in values:
            words = str(value).lower() if isinstance(value, bool) else value
            raise UsageError(f"trainer.{name} can't be {words} here: {why}")
    for name, minimum in MINIMA.items():
        if (value := trainer.get(name)) is not None and value < minimum:
            raise UsageError(f"trainer.{name} must be at least {minimum}; got {value}")
    cores, devices = max(2, os.cpu_count() or 1), str(trainer.devices)
    on_cpu = trainer.accelerator == "cpu" or (trainer.accelerator == "auto" and machine() == cpu())
    if on_cpu and devices.isdecimal() and int(devices) > cores:
        raise UsageError(f"trainer.devices must be at most {cores}, the cores of this machine; got {devices}")
    part = {"fit": "train", "validate": "val"}.get(subcommand, subcommand)
    limit = f"limit_{part}_batches"
    if trainer[limit] is not None and trainer[limit] <= 0:
        raise UsageError(f"trainer.{limit} must be above 0; got {trainer[limit]}")
    if trainer.barebones and not is_fit:
        raise UsageError(f"trainer.barebones times the loop of fit; {subcommand} would show nothing with it")
    strategy = trainer.strategy if isinstance(trainer.strategy, str) else class_name(trainer.strategy)
    if not strategy.lower().startswith(("auto", "ddp", "single")):
        raise UsageError(f"trainer.strategy must be auto, or ddp for several devices; got {strategy}")
    for entry in named_classes(trainer.get("plugins")):
        if not class_name(entry).endswith("Environment"):
            raise UsageError(f"trainer.plugins takes cluster environments alone; got {class_name(entry)}")
    for entry in named_classes(trainer.get("callbacks")):
        is_own = str(entry.class_path).startswith("lit_a1.")
        why = "the command adds it itself" if is_own else NO_CALLBACKS.get(class_name(entry), "")
        if why:
            raise UsageError(f"trainer.callbacks can't have a {class_name(entry)} here: {why}")
        monitor, measured = (entry.get("init_args") or Namespace()).get("monitor"), _measured(command)
        if is_fit and monitor not in (None, *measured) and str(command.model.class_path).startswith("lit_a1."):
            words = f"monitors {monitor}, which is not measured; {', '.join(measured)} are"
            raise UsageError(f"trainer.callbacks: {class_name(entry)} {words}")


def _measured(command: Namespace) -> list[str]:
    """The metrics of a `fit`, as TensorBoard's tags."""
    validates = command.trainer.limit_val_batches != 0 or command.trainer.overfit_batches
    active = {"train": True, "val": validates, "train_eval": validates and command.data.init_args.get("measure_train")}
    tags = [f"{stage}/{name}" for stage in STAGES if active.get(stage) for name in ("loss", "error")]
    return tags + [f"train/{name}" for name in TRAINING_METRICS]


def adapt_flags(command: Namespace, subcommand: str) -> None:
    """Turns off what is slower or fails on this machine, with a message; makes sure the last epoch is validated."""
    trainer, model = command.trainer, command.model.init_args
    if trainer.barebones:
        log.info("trainer.barebones is true: nothing is shown, logged or kept.")
        trainer.logger, trainer.log_every_n_steps = False, None
    if subcommand != "fit":
        if model.get("compile_net"):
            model.compile_net = False  # only training is compiled
        if trainer.precision in HALVES:
            trainer.precision = "32-true"  # only training is in half precision
        return
    on_cpu = trainer.accelerator == "cpu"
    requested, trainer.precision = trainer.precision, best_precision(trainer.precision, on_cpu)
    if trainer.precision != requested:
        log.info(
            "This machine has no fast %s arithmetic: trainer.precision is %s instead of %s.",
            *(HALVES[requested], trainer.precision, requested),
        )
    if model.get("compile_net") and (problem := why_not_compiled(on_cpu)):
        log.info("model.compile_net is false instead of true, which is slower: %s.", problem)
        model.compile_net = False
    interval, epochs = trainer.check_val_every_n_epoch, max(trainer.max_epochs or 0, 0)
    if (steps := trainer.max_steps or -1) > 0 and epochs:
        message = "trainer.max_steps=%d may end the run early; the learning rate schedule spans trainer.max_epochs=%d."
        log.info(message, steps, epochs)
    if steps >= 0 or trainer.max_time:
        epochs = 0  # the number is not known
    if interval is not None and interval > 1 and (not epochs or epochs % interval):
        interval = max(n for n in range(1, interval) if epochs % n == 0) if epochs else 1
        trainer.check_val_every_n_epoch = interval
        log.info("trainer.check_val_every_n_epoch is %d, so that the last whole epoch is measured.", interval)


def experiment_of(command: Namespace, drawn: bool) -> tuple[Path, str]:
    """The folder of a command's runs, `lightning_logs`, and the name of their experiment, `catsdogs[-drawn]`.

    They are from the first logger that writes to folders of runs, else from the first logger with a name.
    """
    loggers = sorted(named_classes(command.trainer.get("logger")), key=lambda e: class_name(e) not in FOLDER_LOGGERS)
    options = [(class_name(entry) in FOLDER_LOGGERS, entry.get("init_args") or Namespace()) for entry in loggers]
    name = next((args.name for _, args in options if args.get("name")), "unnamed")
    save_dir = next((args.save_dir for is_file, args in options if is_file and args.get("save_dir")), "lightning_logs")
    return Path(command.trainer.get("default_root_dir") or "", save_dir), name + DRAWN if drawn else name


def own_callbacks(callbacks: Sequence[Callback], users: Sequence[Callback], trainer: Namespace) -> list[Callback]:
    """The command's callbacks that are compatible with the user's callbacks and flags."""
    if trainer.barebones:
        return [callback for callback in callbacks if isinstance(callback, Continuation)]
    left_out: tuple[type[Callback], ...] = ()
    if trainer.enable_progress_bar is False or any(isinstance(callback, ProgressBar) for callback in users):
        left_out += (ProgressBar,)
    if trainer.enable_checkpointing is False:
        left_out += (ModelCheckpoint,)
    return [callback for callback in callbacks if not isinstance(callback, left_out)]


def run_loggers(flag: Any, built: Sequence[Logger], options: dict[str, Any], purge_step: int | None) -> list[Logger]:
    """The loggers that a flag names (`built`); the first writes to the run's folder, and is added if missing.

    `options` are `save_dir`, `name` and, if known, `version` of the folder. A resumed run logs again from `purge_step`.
    """
    files: dict[str, Logger] = {}
    others = []
    for entry, logger in zip(named_classes(flag), built, strict=True):
        args = (entry.get("init_args") or Namespace()).as_dict() | options
        if class_name(entry) in files or not isinstance(logger, TensorBoardLogger | CSVLogger):
            others.append(logger)
        elif isinstance(logger, TensorBoardLogger):
            files[class_name(entry)] = type(logger)(**args | {"default_hp_metric": False, "purge_step": purge_step})
        else:
            files[class_name(entry)] = csv_logger = type(logger)(**args)
            if purge_step is not None:
                _keep_rows(csv_logger, purge_step)
    if not files:
        files[FOLDER_LOGGERS[0]] = TensorBoardLogger(**options, default_hp_metric=False, purge_step=purge_step)
    return [*sorted(files.values(), key=lambda logger: isinstance(logger, CSVLogger)), *others]


def _keep_rows(logger: CSVLogger, end: int) -> None:
    """Keeps an earlier process's rows before step `end`; Lightning would remove all of them."""
    if not (path := Path(logger.log_dir, "metrics.csv")).exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["step"]) < end]
    logger.experiment.metrics = rows
    logger.save()
