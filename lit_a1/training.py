"""Lightning's command line, with this project's defaults around it: what `fit` and the commands like it run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer import Trainer

from lit_a1.callbacks import (
    BestCheckpoint,
    Continuation,
    EnsembleRecord,
    PredictionFiles,
    ProgressLines,
    RunRecord,
    TensorBoardExtras,
)
from lit_a1.callbacks.continuation import slurm_job
from lit_a1.callbacks.record import measured_images
from lit_a1.data.module import ImageDataModule
from lit_a1.environment import best_precision, why_not_compiled
from lit_a1.models import Classifier, Ensemble, FineTunedCNN
from lit_a1.models.ensemble import NOT_TRAINED
from lit_a1.runs.checkpoints import WholeCheckpoints, check_devices, check_fits, check_resumable, read
from lit_a1.runs.folders import DRAWN, WEIGHTS_ALONE, new_version, remove_version, resolve, run_of
from lit_a1.runs.records import CheckpointError, keep_metrics, version_of
from lit_a1.runs.settings import Parser, recipe_of, without_checkpoint
from lit_a1.runs.wording import typed

HALVES = {"bf16-mixed": "bfloat16", "16-mixed": "float16"}
PRECISIONS = (None, "32", "32-true", 32, *HALVES)  # bf16-true rounds the weights

log = logging.getLogger(__name__)


class TrainingParser(Parser, LightningArgumentParser):
    """Lightning's parser, with one sentence for a mistake."""


class TrainingCLI(LightningCLI):
    """`LightningCLI` in subclass mode, which finds checkpoints, refuses wrong ones, and keeps runs in their folders."""

    def __init__(self, args: Sequence[str]) -> None:
        self.checkpoint: Path | None = None
        self._new_folder: Path | None = None
        self.arguments = list(args)
        super().__init__(
            Classifier,
            ImageDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"enable_model_summary": False, "num_sanity_val_steps": 0},
            parser_class=TrainingParser,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=list(args),
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # a static method, which Lightning calls so
        """The command that was called, with the arguments to skip: parsers of the others would only take time."""
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name == self.arguments[0]}

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            parser.add_argument(
                "--submission", default="submission.csv", help="where the labels go; probabilities beside it"
            )
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses `args`, also where the process has arguments of its own (Lightning warns of that)."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Keeps Lightning from taking hyperparameters from the checkpoint: the YAML and the flags decide what runs."""

    @property
    def command(self) -> Namespace:
        """The settings of the command that was called."""
        return self.config[self.subcommand]

    def _adapt_to_machine(self) -> None:
        """Turns off what is slower or fails on this machine, with a message; has the last epoch measured."""
        trainer, model = self.command.trainer, self.command.model.init_args
        if self.subcommand != "fit":
            if model.get("compile_net"):
                model.compile_net = False  # only training is compiled
            if trainer.precision in HALVES:
                trainer.precision = "32-true"  # only training is in half precision
            return
        on_cpu = trainer.accelerator == "cpu"
        wanted, trainer.precision = trainer.precision, best_precision(trainer.precision, on_cpu)
        if trainer.precision != wanted:
            log.info(
                "This machine has no fast %s arithmetic: trainer.precision is %s instead of %s.",
                *(HALVES[wanted], trainer.precision, wanted),
            )
        if model.get("compile_net") and (lacking := why_not_compiled(on_cpu)):
            log.info("model.compile_net is false instead of true, which is slower: %s.", lacking)
            model.compile_net = False
        every, epochs = trainer.check_val_every_n_epoch, max(trainer.max_epochs or 0, 0)
        if (steps := trainer.max_steps or -1) > 0 and epochs:
            words = "trainer.max_steps=%d cuts the run, whose learning rate is laid out over trainer.max_epochs=%d."
            log.info(words, steps, epochs)
        if steps >= 0 or trainer.max_time:
            epochs = 0  # how many there will be is not known
        if every is not None and every > 1 and (not epochs or epochs % every):
            every = max(n for n in range(1, every) if epochs % n == 0) if epochs else 1
            trainer.check_val_every_n_epoch = every
            log.info("trainer.check_val_every_n_epoch is %d, so that the last whole epoch is measured.", every)
        if epochs:
            self._warn_of_unreached(self.command.data.init_args, epochs)

    @staticmethod
    def _warn_of_unreached(data: Namespace, epochs: int) -> None:
        """Logs the settings of a recipe that a shorter run never reaches."""
        if late := sorted(epoch for epoch in data.get("size_schedule") or {} if epoch >= epochs):
            log.info("data.size_schedule changes the size in epoch %d, which %d epochs don't reach.", late[0], epochs)
        augment = data.get("augment") or Namespace()
        mixes = augment.get("mixup") or augment.get("cutmix")
        if mixes and (until := augment.get("mix_until", 0)) >= epochs:
            log.info("data.augment.mix_until is %d: images are mixed to the end of %d epochs.", until, epochs)

    def instantiate_classes(self) -> None:
        """Builds data, model and trainer; what a class refuses ends in a sentence."""
        self._adapt_to_machine()
        if str(self.command.model.class_path).endswith(".Ensemble"):  # before members are looked for
            if self.subcommand == "fit":
                self.parser.error(NOT_TRAINED)
            if self.command.get("ckpt_path"):
                self.parser.error("an ensemble takes its checkpoints from --model.members, not from --ckpt_path")
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, ImportError) as error:  # ImportError: what an accelerator or strategy needs
            self.parser.error(str(error))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the trainer: its logger and callbacks depend on the command and on the data that were found."""
        is_fit, wanted = self.subcommand == "fit", self.command.get("ckpt_path")
        logger = self.command.trainer.get("logger")
        if not (logger in (None, True, False) or str(logger.get("class_path")).endswith(".TensorBoardLogger")):
            self.parser.error("trainer.logger must be a TensorBoardLogger, true or false")
        if self.command.trainer.get("precision") not in PRECISIONS:
            self.parser.error(
                f"trainer.precision must be 32-true, bf16-mixed or 16-mixed; got {self.command.trainer.precision}"
            )
        if self.command.trainer.get("val_check_interval") not in (None, 1.0):
            self.parser.error("trainer.val_check_interval is not for use here: what is kept is measured after an epoch")
        self.datamodule.locate(self.subcommand)
        if is_fit and not wanted and isinstance(self.model, FineTunedCNN):
            self.model.check_files(self.datamodule.drawn)
        folder, name = experiment_of(self.command, self.datamodule.drawn)
        if (wanted or not is_fit) and not isinstance(self.model, Ensemble):
            self.checkpoint = resolve(wanted, folder / name, resume=is_fit)
            self._check_checkpoint(self.checkpoint)
        elif is_fit and (job := slurm_job()) and (left := sorted((folder / name).glob(f"version_*/{job}/*.ckpt"))):
            self.checkpoint = max(left, key=lambda path: path.stat().st_mtime)  # SLURM has requeued this very command
            self._check_checkpoint(self.checkpoint)
        if is_fit:
            kwargs["plugins"] = [WholeCheckpoints()]
            if logger is not False:
                kwargs["logger"] = self._logger(folder, name)
        else:
            self.save_config_callback = None
            devices = self.command.trainer.devices  # several would shuffle rows, and count some images twice
            one = devices if isinstance(devices, list) and len(devices) == 1 else 1
            kwargs |= {"logger": False, "enable_checkpointing": False}
            kwargs |= {"devices": one, "num_nodes": 1, "strategy": "auto"}
        self.trainer_defaults["callbacks"] = self._callbacks()
        trainer = super().instantiate_trainer(**kwargs)
        if is_fit and self.checkpoint is not None:
            check_devices(read(self.checkpoint), trainer.world_size, self.checkpoint)
        return trainer

    def _logger(self, folder: Path, name: str, **others: Any) -> TensorBoardLogger:
        """A resumed run goes on in its own folder; what it had logged after the checkpoint is dropped."""
        logger = self.command.trainer.get("logger")
        options = logger.get("init_args", Namespace()).as_dict() if isinstance(logger, Namespace) else {}
        options |= {"save_dir": str(folder), "name": name, "default_hp_metric": False} | others
        if self.checkpoint is not None:
            checkpoint = read(self.checkpoint)
            if run := run_of(self.checkpoint, checkpoint.get("run", {}).get("events", ""), folder / name):
                # RunRecord logs the checkpoint's own step again: its end may not have reached the disk
                options |= {"version": int(run.name[8:]), "purge_step": checkpoint["global_step"] - 1}
        return TensorBoardLogger(**options)

    def _callbacks(self) -> list[Callback]:
        if self.subcommand == "predict":
            path = Path(self.command.submission)
            if self.datamodule.drawn:
                path = path.with_stem(f"{path.stem}-drawn")
            return [ProgressLines(), PredictionFiles(path)]
        if isinstance(self.model, Ensemble):
            runs = Path(*experiment_of(self.command, self.datamodule.drawn))
            is_logged = self.command.trainer.get("logger") is not False
            return [ProgressLines(), EnsembleRecord(self._settings(), runs if is_logged else None)]
        if self.subcommand != "fit":
            return [ProgressLines()]
        at_epoch_end: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
        return [
            Continuation(),
            TensorBoardExtras(),
            RunRecord(self._settings(), typed(*without_checkpoint(self.arguments[1:]))),
            ProgressLines(),
            BestCheckpoint(**at_epoch_end),
            ModelCheckpoint(filename="last", **at_epoch_end),
        ]

    def _settings(self) -> dict[str, Any]:
        return recipe_of(self.command) | {"seed": self.command.seed_everything}

    def _check_checkpoint(self, path: Path) -> None:
        checkpoint = read(path)
        check_fits(checkpoint, self.model, path)
        if self.subcommand == "fit":
            if "optimizer_states" not in checkpoint:
                raise CheckpointError(WEIGHTS_ALONE.format(path))
            check_resumable(checkpoint, self._settings(), self.command.trainer.max_epochs, path)
        elif not checkpoint.get("precise_bn", True):
            log.warning(
                "%s is of an epoch that was not validated: its batch-norm statistics are those of training, not taken "
                "again. best.ckpt, or the last epoch's, is measured better.",
                path,
            )

    def _hand_over_checkpoint(self) -> None:
        settings = self.config_init[self.subcommand]
        if "verbose" in settings:
            settings.verbose = False  # `_keep_metrics` or EnsembleRecord prints them
        if self.checkpoint is None:
            return
        settings.ckpt_path = str(self.checkpoint)
        if self.trainer.is_global_zero:
            print(f"Checkpoint: {self.checkpoint}")

    before_validate = before_test = before_predict = _hand_over_checkpoint

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs it; a training that took no step leaves no folder, which would pass for the newest run."""
        try:
            super()._run_subcommand(subcommand)
        finally:
            if self._new_folder is not None and self.trainer.global_step == 0:
                if self.trainer.logger is not None:
                    self.trainer.logger.finalize("failed")  # closes the event file
                remove_version(self._new_folder)

    def before_fit(self) -> None:
        """Makes the folder of a new run: Lightning picks its number before, and two runs could pick the same one."""
        self._hand_over_checkpoint()
        logger = self.trainer.logger
        if isinstance(logger, TensorBoardLogger) and logger._version is None and self.trainer.is_global_zero:
            self._new_folder = new_version(Path(logger.root_dir))
            logger._version = version_of(self._new_folder / "checkpoints" / "last.ckpt")
        connector = self.trainer._checkpoint_connector  # it would take up what it finds, unasked and unchecked
        connector._parse_ckpt_path = lambda state_fn, ckpt_path, **_: ckpt_path  # type: ignore[method-assign]
        if (job := slurm_job()) and logger is not None and self.trainer.log_dir:
            vars(self.trainer)["_default_root_dir"] = str(
                Path(self.trainer.log_dir, job)
            )  # of checkpoints before requeueing

    def _keep_metrics(self) -> None:
        """Leaves a checkpoint's metrics in its run's folder: a JSON file, and TensorBoard's tags for test."""
        if self.checkpoint is None:
            return
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        step, images = read(self.checkpoint)["global_step"], measured_images(self.trainer)
        keep_metrics(str(self.subcommand), self.checkpoint, metrics, step, images)

    after_validate = after_test = _keep_metrics


def experiment_of(command: Namespace, drawn: bool) -> tuple[Path, str]:
    """Where the runs of a command are, `lightning_logs`, and the name of their experiment, `catsdogs[-drawn]`."""
    logger = command.trainer.get("logger")
    options = logger.get("init_args", Namespace()) if isinstance(logger, Namespace) else Namespace()
    name = options.get("name") or "unnamed"
    return Path(options.get("save_dir") or "lightning_logs"), name + DRAWN if drawn else name


def parse(arguments: Sequence[str]) -> Namespace:
    """The settings of a command, defaults included, without running it."""

    class Parsing(TrainingCLI):
        def instantiate_classes(self) -> None:
            pass

        def _run_subcommand(self, subcommand: str) -> None:
            pass

    return Parsing(arguments).command
