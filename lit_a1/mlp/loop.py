"""`mlp fit` and `mlp test`: epochs, TensorBoard, weights as .npz, resuming."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax
from torch.utils.tensorboard import SummaryWriter

from lit_a1.data.files import replacing, write_text
from lit_a1.environment import cpu
from lit_a1.mlp.network import EVAL_BATCH_SIZE, NN
from lit_a1.mlp.setup import Digits, Setup, describe, load_weights, run_state
from lit_a1.runs.events import add_layout, event_writer
from lit_a1.runs.folders import (
    check_not_over,
    check_same_length,
    check_same_settings,
    new_version,
    relative_to_cwd,
    remove_version,
)
from lit_a1.runs.printed import epoch_line, print_finished, print_stopped
from lit_a1.runs.records import CheckpointError, DivergedError, Metrics, TrainingRecord, best_of, keep_metrics, loading
from lit_a1.runs.shown import log_mistakes
from lit_a1.runs.wording import clock, typed

SHOWN = 64  # images in TensorBoard


class Fit:
    """One run of `mlp fit`, new or, from its `last.npz`, resumed.

    `settings` are flat, `{"model.lr": 0.1, ...}`; `config` has the same settings as a YAML, `command` as flags.

    Raises:
        DataError: as `load_mnist`.
        CheckpointError: the run can't be resumed from that file, or not with these settings.
        DivergedError: from `run`, after the divergence is recorded.
    """

    def __init__(
        self, setup: Setup, settings: dict[str, Any], config: str, command: str, checkpoint: Path | None = None
    ) -> None:
        self.setup, self.config, self.command = setup, config, command
        self.net, self.digits, self.record = setup.network(), setup.digits(), TrainingRecord(settings)
        runs = setup.runs(self.digits.drawn)
        if checkpoint is not None:
            self._resume(checkpoint, runs)
        self.folder = new_version(runs) if checkpoint is None else checkpoint.parent.parent
        self.checkpoints = self.folder / "checkpoints"

    def _resume(self, path: Path, runs: Path) -> None:
        if path.resolve().parent.parent.parent != runs.resolve():
            place = f"{runs}/version_N/checkpoints"
            raise CheckpointError(f"{path} can't be resumed: it is not in a run's folder, {place}.")
        load_weights(self.net, path)
        if not (state := run_state(path)):
            raise CheckpointError(f"{path} holds weights, but not the state of a run, so it can't be resumed.")
        with loading(path):
            check_same_settings(state["settings"], self.record.settings, path)
            check_not_over(self.net.epoch, self.setup.epochs, path)
            check_same_length(state["settings"], self.record.settings, path)
            self.record.restore(state)
            if len(self.record.epochs) < self.net.epoch:
                raise ValueError("epochs are missing")

    def run(self) -> Path:
        """Trains to the end, and returns the run's folder."""
        try:
            record = self._run()
        except OSError:
            if self.net.step == 0:
                remove_version(self.folder)
            raise
        commands = [f"mlp test {self.command}"]
        print_finished(record, "Weights", self.checkpoints / "best.npz", commands, self.setup.save_dir)
        return self.folder

    def _run(self) -> dict[str, Any]:
        self.record.start(cpu())
        self.checkpoints.mkdir(exist_ok=True)
        write_text(self.folder / "config.yaml", self.config)
        print(f"{describe(self.net)}; {self.digits.origin}")
        resumed = self.net.epoch > 0
        with event_writer(self.folder, purge_step=self.net.step - 1 if resumed else None) as writer:
            if resumed:  # repeats the last epoch: its end may not have reached the disk
                _log(writer, self.record.epochs[-1])
            else:
                rows = self.net.draws().permutation(len(self.digits.train.labels))[: self.net.batch_size]
                first_images = self.digits.train.images[rows[:SHOWN]].reshape(-1, 28, 28, 1)
                writer.add_images("images/first batch", first_images, 0, dataformats="NHWC")
                add_layout(writer)
            try:
                self._train(writer)
                self._show_mistakes(writer)
            except KeyboardInterrupt:
                last = typed(relative_to_cwd(self.checkpoints / "last.npz"))
                print_stopped(f"mlp fit {self.command} --ckpt_path {last}" if self.record.epochs else None)
                raise
            except DivergedError as error:
                self._finish(diverged=str(error))
                raise
            return self._finish(writer=writer)

    def _finish(self, **more: Any) -> dict[str, Any]:
        return self.record.finish(
            self.folder,
            setup=describe(self.net),
            seed=self.setup.seed,
            images={"train": len(self.digits.train.labels), "val": len(self.digits.valid.labels)},
            parameters=self.net.n_parameters,
            **more,
        )

    def _show_mistakes(self, writer: SummaryWriter) -> None:
        valid, pixels = self.digits.valid, self.setup.mnist.valid.images
        starts = range(0, len(pixels), EVAL_BATCH_SIZE)
        logits = np.concatenate([self.net.forward(valid.images[i : i + EVAL_BATCH_SIZE]).copy() for i in starts])
        numbers, log_probabilities = np.arange(len(pixels)), log_softmax(logits, axis=1)
        log_mistakes(writer, self.net.step, pixels, numbers, valid.labels, log_probabilities, "0123456789")

    def _train(self, writer: SummaryWriter) -> None:
        epochs = self.setup.epochs
        while self.net.epoch < epochs:
            metrics = self._epoch()
            self.record.epochs.append(metrics)
            _log(writer, metrics)
            self._save()
            time_left = clock(self.record.seconds_per_epoch * (epochs - self.net.epoch))
            print(epoch_line(metrics, epochs, time_left), flush=True)

    def _epoch(self) -> Metrics:
        count = len(self.digits.train.labels)
        rate, started = self.net.learning_rate(-(-count // self.net.batch_size)), time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # reported below, in a sentence
            measured = {"train": self.net.train(*self.digits.train)}
            seconds = time.perf_counter() - started
            measured |= {"train_eval": self.net.test(*self.digits.train), "val": self.net.test(*self.digits.valid)}
        metrics: Metrics = {"epoch": self.net.epoch - 1, "step": self.net.step}
        for stage, (loss, error) in measured.items():
            metrics |= {f"{stage}/loss": loss, f"{stage}/error": error}
        if not np.isfinite([metrics["train/loss"], metrics["val/loss"]]).all():
            last, remedy = self.checkpoints / "last.npz", f"a smaller --model.lr than {self.net.lr:g}"
            where = f"epoch {self.net.epoch}, which ends with step {self.net.step}"
            checkpoint = relative_to_cwd(last) if last.is_file() else None
            raise DivergedError.with_advice("the loss", where, rate, checkpoint, remedy)
        return metrics | {"train/learning_rate": rate, "train/images_per_second": count / seconds}

    def _save(self) -> None:
        names = ["last.npz"]
        if best_of(self.record.epochs) is self.record.epochs[-1]:
            names.insert(0, "best.npz")  # first, so that a run killed between the two repeats this epoch
        state = np.array(json.dumps(self.record.state()))
        for name in names:
            with replacing(self.checkpoints / name) as unfinished:
                self.net.save(str(unfinished), run=state)


def _log(writer: SummaryWriter, metrics: Metrics) -> None:
    for name, value in metrics.items():
        if name != "step":
            writer.add_scalar(name, value, int(metrics["step"]) - 1)
    writer.flush()  # before the weights are written, from which a resumed run starts


def test(net: NN, digits: Digits, path: Path) -> dict[str, float]:
    """Loss and error on validation and test images, also saved in the weights' run; raises as `load_weights`."""
    load_weights(net, path)
    print(f"Weights: {relative_to_cwd(path)}: {describe(net)}; {digits.origin}")
    metrics: dict[str, float] = {}
    for part, examples in (("val", digits.valid), ("test", digits.test)):
        metrics[f"{part}/loss"], metrics[f"{part}/error"] = net.test(*examples)
    keep_metrics("test", path, metrics, net.step, (len(digits.test.labels),) * 2)
    return metrics
