"""Lightning's command line with this project's defaults, used by `fit` and similar commands."""

import logging
import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.trainer import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_a1.callbacks.best import BestCheckpoint, LastCheckpoint
from lit_a1.callbacks.config import RunConfig, save_hparams
from lit_a1.callbacks.continuation import Continuation, slurm_job
from lit_a1.callbacks.devices import check_process_count, ending_together
from lit_a1.callbacks.ensemble import EnsembleRecord
from lit_a1.callbacks.predictions import PredictionFiles, submission_path
from lit_a1.callbacks.progress import ProgressLines
from lit_a1.callbacks.record import RunRecord, measured_images
from lit_a1.callbacks.tensorboard import TensorBoardExtras
from lit_a1.data.files import errors_naming
from lit_a1.data.module import ImageDataModule
from lit_a1.environment import PROGRAM, is_first
from lit_a1.flags import adapt_flags, as_list, check_flags, experiment_of, own_callbacks, run_loggers, seed_of
from lit_a1.layers import BatchNorm2d
from lit_a1.models import Classifier, Ensemble, FineTunedCNN
from lit_a1.models.ensemble import NO_CHECKPOINT, NOT_TRAINED
from lit_a1.runs.checkpoints import AtomicCheckpointIO, check_devices, check_fits, check_resumable, read
from lit_a1.runs.events import in_order
from lit_a1.runs.folders import new_version, remove_version, resolve, run_of
from lit_a1.runs.records import keep_metrics, loading
from lit_a1.runs.settings import Parser, check_trainer, recipe_of, without_checkpoint
from lit_a1.runs.wording import typed

log = logging.getLogger(__name__)


class TrainingParser(Parser, LightningArgumentParser):
    """Lightning's parser, with one sentence for a mistake, from only one of several processes."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Exits with the sentence, which only the first process of a machine prints."""
        if not is_first(of_machine=True):
            raise SystemExit(2)
        if message.endswith("arguments are required: data, model"):
            message = "name a network, with --config configs/catsdogs.yaml for example"
        super().error(message, ex)


class TrainingCLI(LightningCLI):
    """`LightningCLI` in subclass mode, which finds checkpoints, refuses wrong ones, and manages the folders of runs."""

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
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults={"enable_model_summary": False, "num_sanity_val_steps": 0},
            parser_class=TrainingParser,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=list(args),
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's is static
        """The called command, with the arguments to skip; building the other commands' parsers would take time."""
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name == self.arguments[0]}

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            parser.usage = f"{PROGRAM} predict [PHOTO ... | FOLDER] [options]"
            help_text = "where the labels go (those of named photos to predictions.csv); probabilities beside it"
            parser.add_argument("--submission", default="submission.csv", help=help_text)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses `args` with their command's parser; the main parser would check everything twice."""
        command, *options = args
        command_parser = self._parser(command)
        vars(command_parser).pop("parent_parser")  # otherwise `--print_config` would leave printing to it
        settings = command_parser.parse_args(options)
        check_trainer(command_parser, settings, "barebones")  # no YAML here names it
        self.config = Namespace(subcommand=command, **{command: settings})

    def _parse_ckpt_path(self) -> None:
        """Stops Lightning from taking hyperparameters from the checkpoint: the YAML and the flags decide."""

    @property
    def command(self) -> Namespace:
        """The settings of the called command."""
        return self.config[self.subcommand]

    def _set_seed(self) -> None:
        """Seeds everything; `true` means a random seed, which Lightning would replace by 0."""
        self.command.seed_everything = seed_of(self.command)
        super()._set_seed()

    def instantiate_classes(self) -> None:
        """Builds data, model and trainer; settings that a class refuses end in a sentence."""
        check_flags(self.command, str(self.subcommand))
        adapt_flags(self.command, str(self.subcommand))
        if str(self.command.model.class_path).endswith(".Ensemble"):  # before looking for members
            if self.subcommand == "fit":
                self.parser.error(NOT_TRAINED)
            if self.command.get("ckpt_path"):
                self.parser.error(NO_CHECKPOINT)
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, ImportError, RuntimeError) as error:  # of a class, a package, SLURM's variables
            self.parser.error(str(error))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the trainer, whose logger and callbacks depend on the command and the data that were found."""
        is_fit, ckpt_path = self.subcommand == "fit", self.command.get("ckpt_path")
        self.datamodule.locate(self.subcommand)
        if is_fit and not ckpt_path and isinstance(self.model, FineTunedCNN):
            self.model.check_files(self.datamodule.drawn)
        folder, name = experiment_of(self.command, self.datamodule.drawn)
        self._runs = folder / name
        if (ckpt_path or not is_fit) and not isinstance(self.model, Ensemble):
            self.checkpoint = resolve(ckpt_path, self._runs, resume=is_fit)
        elif is_fit and (job := slurm_job()) and (job_files := sorted(self._runs.glob(f"version_*/{job}/*.ckpt"))):
            self.checkpoint = max(job_files, key=lambda path: path.stat().st_mtime)  # SLURM has requeued this command
        if self.checkpoint is not None:
            self._check_checkpoint(self.checkpoint)
        config = self.config_init[self.subcommand].trainer
        user_callbacks = as_list(config.callbacks)
        if is_fit:
            kwargs["plugins"] = [*as_list(config.plugins), AtomicCheckpointIO()]
            if self.command.trainer.logger not in (False, []):
                kwargs["logger"] = self._loggers(folder, name)
        else:
            kwargs |= {"logger": False, "enable_checkpointing": False}
            config.callbacks = user_callbacks = [each for each in user_callbacks if not isinstance(each, Checkpoint)]
        if not is_fit or self.command.trainer.barebones:
            self.save_config_callback = None
        self.trainer_defaults["callbacks"] = own_callbacks(self._callbacks(), user_callbacks, self.command.trainer)
        trainer = super().instantiate_trainer(**kwargs)
        check_process_count(trainer)
        if is_fit and any(isinstance(each, BatchNorm2d) and not each.sync for each in self.model.modules()):
            if self.checkpoint is not None:
                check_devices(read(self.checkpoint), trainer.world_size, self.checkpoint)
            if trainer.world_size > 1:
                log.info("Batch norm sees only a device's share of a batch: training depends on the number of devices.")
        return trainer

    def _loggers(self, folder: Path, name: str, **others: Any) -> list[Logger]:
        """The loggers; a resumed run continues in its own folder, without what it logged after the checkpoint."""
        options, purge_step = {"save_dir": str(folder), "name": name} | others, None
        if self.checkpoint is not None:
            checkpoint = read(self.checkpoint)
            if run := run_of(self.checkpoint, checkpoint.get("run", {}).get("events", ""), folder / name):
                # RunRecord logs the checkpoint's step again, as it may not have reached the disk
                options["version"], purge_step = int(run.name[8:]), checkpoint["global_step"] - 1
        built = as_list(self.config_init[self.subcommand].trainer.logger)
        return run_loggers(self.command.trainer.logger, built, options, purge_step)

    def _callbacks(self) -> list[Callback]:
        if self.subcommand == "predict":
            return [ProgressLines(), PredictionFiles(submission_path(self.command.submission, self.datamodule.drawn))]
        if isinstance(self.model, Ensemble):
            is_logged = self.command.trainer.get("logger") is not False
            return [ProgressLines(), EnsembleRecord(self._settings(), self._runs if is_logged else None)]
        if self.subcommand != "fit":
            return [ProgressLines()]
        at_epoch_end: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
        return [
            Continuation(),
            TensorBoardExtras(),
            RunRecord(self._settings(), typed(*without_checkpoint(self.arguments[1:]))),
            ProgressLines(),
            BestCheckpoint(**at_epoch_end),
            LastCheckpoint(**at_epoch_end),
        ]

    def _settings(self) -> dict[str, Any]:
        return recipe_of(self.command) | {"seed": self.command.seed_everything}

    def _check_checkpoint(self, path: Path) -> None:
        checkpoint, is_fit = read(path), self.subcommand == "fit"
        with loading(path):
            check_fits(checkpoint, self.model, path)
            if is_fit:
                check_resumable(checkpoint, self._settings(), self.command.trainer.max_epochs, path)
        if not is_fit and not checkpoint.get("precise_bn", True):
            log.warning(
                "%s is from an epoch that was not validated: its batch-norm statistics are those of training, not "
                "recomputed. best.ckpt, or the last epoch's, is measured better.",
                path,
            )

    def _hand_over_checkpoint(self) -> None:
        settings = self.config_init[self.subcommand]
        if "verbose" in settings:
            settings.verbose = False  # `_keep_metrics` or EnsembleRecord prints them
        if self.checkpoint is None:
            return
        settings.ckpt_path = str(self.checkpoint)
        connector = self.trainer._checkpoint_connector
        for name in ("_restore_modules_and_callbacks", "restore_training_state"):
            setattr(connector, name, loading(self.checkpoint)(getattr(connector, name)))
        if self.trainer.is_global_zero:
            print(f"Checkpoint: {self.checkpoint}")

    before_validate = before_test = before_predict = _hand_over_checkpoint

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs the command; a training without a step leaves no folder, as it would count as the newest run."""
        try:
            with errors_naming(self._runs), ending_together(self.trainer):
                super()._run_subcommand(subcommand)
        except RuntimeError as error:  # from Lightning, which can't stop workers that did not start
            if not isinstance(cause := error.__context__, OSError):
                raise
            problem = f"{cause.strerror}, with --data.workers {self.datamodule.workers}"
            raise OSError(cause.errno, problem) from cause
        except SIGTERMException as error:
            raise SystemExit(128 + signal.SIGTERM) from error  # the shells' convention; Lightning's own status is 0
        finally:
            if self._new_folder is not None and self.trainer.global_step == 0:
                for logger in self.trainer.loggers:
                    with suppress(OSError):  # only the first error should be reported
                        logger.finalize("failed")  # closes the event file
                remove_version(self._new_folder)

    def before_fit(self) -> None:
        """Makes the folder of a new run; Lightning picks its number earlier, so two runs could pick the same."""
        self._hand_over_checkpoint()
        trainer, loggers = self.trainer, self.trainer.loggers
        new = [each for each in loggers if isinstance(each, TensorBoardLogger | CSVLogger) and each._version is None]
        is_kept = trainer.is_global_zero and not (trainer.fast_dev_run or trainer.barebones)  # type: ignore[attr-defined]
        if is_kept and (new or not loggers):
            run = None if self.checkpoint is None else run_of(self.checkpoint, "", self._runs)
            folder = run or new_version(self._runs)
            self._new_folder = folder if run is None else None
            for each in new:
                each._version = int(folder.name[8:])
            if not loggers:
                vars(trainer)["_default_root_dir"] = str(folder)
        for logger in loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.save = partial(save_hparams, logger)  # type: ignore[method-assign]
                with in_order(Path(logger.log_dir)):
                    _ = logger.experiment
        connector = trainer._checkpoint_connector  # it would load checkpoints that it finds, unasked and unchecked
        connector._parse_ckpt_path = lambda state_fn, ckpt_path, **_: ckpt_path  # type: ignore[method-assign]
        if (job := slurm_job()) and loggers and trainer.log_dir:  # for checkpoints before requeueing
            vars(trainer)["_default_root_dir"] = str(Path(trainer.log_dir, job))

    def _keep_metrics(self) -> None:
        """Writes a checkpoint's metrics to its run's folder: a JSON file, and for test also TensorBoard's tags."""
        if self.checkpoint is None or not self.trainer.is_global_zero:
            return
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        step, images = read(self.checkpoint)["global_step"], measured_images(self.trainer)
        keep_metrics(str(self.subcommand), self.checkpoint, metrics, step, images)

    after_validate = after_test = _keep_metrics


def parse(arguments: Sequence[str]) -> Namespace:
    """The settings of a command, defaults included, without running it."""

    class Parsing(TrainingCLI):
        def _set_seed(self) -> None:
            if not isinstance(self.command.seed_everything, bool):  # otherwise the caller refuses it
                super()._set_seed()

        def instantiate_classes(self) -> None:
            pass

        def _run_subcommand(self, subcommand: str) -> None:
            pass

    return Parsing(arguments).command
