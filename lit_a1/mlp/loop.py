"""The loop around the numpy network: epochs, TensorBoard, weights as .npz, going on after a stop."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from lit_a1.data.files import replacing, write_text
from lit_a1.environment import PROGRAM, UNKNOWN, cpu, in_words, made_by, peak_memory_gb
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Digits, Examples, Setup, describe, load_weights, run_state
from lit_a1.runs.folders import (
    RECORD_FILE,
    CheckpointError,
    Figures,
    best_of,
    check_not_over,
    check_same_settings,
    clock,
    epoch_line,
    epoch_name,
    keep_figures,
    log_hparams,
    near,
    new_version,
    record_of,
    say_best,
)
from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import typed

SHOWN = 64  # pictures in TensorBoard
PAIR = ("loss", "error")


class Fit:
    """One run of `mlp fit`, new or resumed.

    Args:
        setup: of the command.
        settings: flat, for the record: `{"model.lr": 0.1, ...}`.
        config: the same as a YAML that `--config` reads.
        command: how a user would type what this run was started with.
        checkpoint: `last.npz` of a run to go on with.

    Raises:
        DataError: as `load_mnist`.
        CheckpointError: the run can't go on from that file, or not with these settings.
        UsageError: (from `run`) the training diverged.
    """

    def __init__(
        self, setup: Setup, settings: dict[str, Any], config: str, command: str, checkpoint: Path | None = None
    ) -> None:
        self.setup, self.settings, self.config, self.command = setup, settings, config, command
        self.net, self.digits = setup.network(), setup.digits()
        self.epochs: list[Figures] = []
        self.seconds_before = self.memory_before = 0.0
        self.made_by: dict[str, list[str]] = {}
        if checkpoint is None:
            self.folder = new_version(setup.runs(self.digits.drawn))
            (self.folder / "checkpoints").mkdir()
        else:
            self._resume(checkpoint)
            self.folder = checkpoint.parent.parent

    def _resume(self, path: Path) -> None:
        runs = self.setup.runs(self.digits.drawn)
        if path.resolve().parent.parent.parent != runs.resolve():
            raise CheckpointError(
                f"{path} is not in a run's folder, {runs}/version_N/checkpoints: a run goes on there."
            )
        load_weights(self.net, path)
        if not (state := run_state(path)):
            raise CheckpointError(f"{path} holds weights, but not the state of a run: it can't be gone on with.")
        check_same_settings(state["settings"], self.settings, path)
        check_not_over(self.net.epoch, self.setup.epochs, path)
        wanted, started = (each["trainer.max_epochs"] for each in (self.settings, state["settings"]))
        if wanted != started and self.net.lr_decay in ("linear", "cosine"):
            raise CheckpointError(
                f"The learning rate of {path} falls over trainer.max_epochs={started}: it can't go on to {wanted}."
            )
        self.epochs, self.seconds_before = state["epochs"], state["seconds"]
        self.memory_before, self.made_by = state["peak_memory_gb"], state.get("made_by", UNKNOWN)

    def run(self) -> Path:
        """Trains to the end, and returns the run's folder."""
        self._started, self.made_by = time.perf_counter(), made_by(cpu(), self.made_by)
        write_text(self.folder / "config.yaml", self.config)
        print(f"{describe(self.net)}; {self.digits.origin}")
        first = self.net.epoch
        with SummaryWriter(self.folder, purge_step=self.net.step - 1 if first else None) as writer:
            if first:  # the last epoch again: its end may not have reached the disk
                self._log(writer, self.epochs[-1])
            else:
                shown = self.digits.train.pictures[:SHOWN].reshape(-1, 28, 28, 1)
                writer.add_images("first pictures", shown, 0, dataformats="NHWC")
            try:
                self._train(writer, first)
            except KeyboardInterrupt:
                if self.epochs:
                    last = near(self.folder / "checkpoints" / "last.npz")
                    print(f"\nStopped. Go on with: {PROGRAM} mlp fit {self.command} --ckpt_path {typed(last)}")
                else:
                    print("\nStopped before the first epoch had ended: nothing is kept.")
                raise
            record = self._record()
            write_text(self.folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")
            log_hparams(writer, self.settings, record["best"], self.net.step)
        self._say(record)
        return self.folder

    def _train(self, writer: SummaryWriter, first: int) -> None:
        last = self.setup.epochs
        bar = tqdm(
            total=last, initial=first, disable=not sys.stdout.isatty(), leave=False, file=sys.stdout,
            dynamic_ncols=True, bar_format="{desc} {bar} {n_fmt}/{total_fmt}{postfix}",
        )  # fmt: skip
        with bar:
            while self.net.epoch < last:
                bar.set_description_str(epoch_name(self.net.epoch, last))
                figures = self._epoch()
                self.epochs.append(figures)
                self._log(writer, figures)
                self._save()
                each = (self._seconds() - self.seconds_before) / (self.net.epoch - first)
                left = clock(each * (last - self.net.epoch))
                tqdm.write(epoch_line(figures, last, left), file=sys.stdout)
                error = f"error {figures['val/error']:.2%}"
                bar.set_postfix_str(f"loss {figures['train/loss']:.4f}  {error}  left {left}", refresh=False)
                bar.update()

    def _epoch(self) -> Figures:
        steps = -(-len(self.digits.train.labels) // self.net.batch_size)
        rate, started = self.net.learning_rate(steps), time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # told below in words
            loss, error = self.net.train(*self.digits.train)
            seconds = time.perf_counter() - started
            train_eval, val = (self.net.test(*part) for part in (self.digits.train, self.digits.valid))
        if not np.isfinite([loss, val[0]]).all():
            raise UsageError(
                f"The training diverged: the loss is not finite in epoch {self.net.epoch}. A smaller model.lr than "
                f"{self.net.lr:g} may help."
            )
        stages = {"train": (loss, error), "train_eval": train_eval, "val": val}
        measured = {f"{stage}/{name}": x for stage, pair in stages.items() for name, x in zip(PAIR, pair, strict=True)}
        speed = len(self.digits.train.labels) / seconds
        extras = {"train/learning_rate": rate, "train/pictures_per_second": speed}
        return {"epoch": self.net.epoch - 1, "step": self.net.step} | measured | extras

    @staticmethod
    def _log(writer: SummaryWriter, figures: Figures) -> None:
        for name, value in figures.items():
            if name != "step":
                writer.add_scalar(name, value, int(figures["step"]) - 1)
        writer.flush()  # before the weights are written, which a resumed run starts from

    def _save(self) -> None:
        state: dict[str, Any] = {"settings": self.settings, "epochs": self.epochs}
        state |= {"seconds": self._seconds(), "peak_memory_gb": self._peak_memory_gb(), "made_by": self.made_by}
        names = ["last.npz"]
        if best_of(self.epochs) is self.epochs[-1]:
            names.insert(0, "best.npz")  # first: a run killed between the two repeats this epoch
        for name in names:
            with replacing(self.folder / "checkpoints" / name) as unfinished:
                self.net.save(str(unfinished), run=np.array(json.dumps(state)))

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self._started

    def _peak_memory_gb(self) -> float:
        return max(self.memory_before, peak_memory_gb())

    def _record(self) -> dict[str, Any]:
        return record_of(
            self.epochs,
            setup=describe(self.net),
            settings=self.settings,
            seed=self.setup.seed,
            pictures={"train": len(self.digits.train.labels), "val": len(self.digits.valid.labels)},
            parameters=self.net.n_parameters,
            seconds=round(self._seconds(), 1),
            peak_memory_gb=round(self._peak_memory_gb(), 2),
            **in_words(self.made_by),
        )

    def _say(self, record: dict[str, Any]) -> None:
        console = Console(highlight=False, soft_wrap=True)
        say_best(console, record)
        path = near(self.folder / "checkpoints" / "best.npz")
        console.print(f"Weights: {path}\n\nNext:")
        console.print(f"  {PROGRAM} mlp test {self.command} --ckpt_path {typed(path)}")
        console.print(f"  tensorboard --logdir {typed(self.setup.save_dir)}")


def test(net: NN, digits: Digits, path: Path) -> dict[str, float]:
    """Measures trained weights on validation and test pictures, and leaves the figures in their run's folder.

    Raises:
        CheckpointError: the file is damaged, or of another network.
    """
    load_weights(net, path)
    print(f"Weights: {near(path)}: {describe(net)}; {digits.origin}")
    parts: dict[str, Examples] = {"val": digits.valid, "test": digits.test}
    figures: dict[str, float] = {}
    for part, examples in parts.items():
        loss, error = net.test(*examples)
        figures |= {f"{part}/loss": loss, f"{part}/error": error}
    keep_figures("test", path, figures, net.step)
    return figures
