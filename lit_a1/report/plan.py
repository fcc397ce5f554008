"""What a report still lacks: the commands that make it, their expected time, and running them."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from statistics import median

import torch

import lit_a1
from lit_a1.analysis import PARTS
from lit_a1.environment import PROGRAM
from lit_a1.report.gather import RECORDED, RecordedRuns, read_analysis
from lit_a1.report.outputs import AUDIT
from lit_a1.report.published import is_published
from lit_a1.report.recipes import MEMBERS, experiment_names, has_shipped_settings, is_shipped, shipped_settings
from lit_a1.report.rows import read_rows
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import PRETRAINED, relative_to_cwd
from lit_a1.runs.records import RECORD_FILE, read_json, test_metrics
from lit_a1.runs.wording import clock, counted, duration, typed

QUICK = "quick"  # folder of runs of reduced size, below that of all runs
LOGS = Path("lightning_logs")  # default folder of runs
PHOTOS = ("catsdogs", "catsdogs_best")  # Cats-vs-Dogs recipes that the report analyzes
STEPS: Sequence[tuple[str, str, str | None]] = (
    ("fit", "mlp", "--trainer.max_epochs 5"),
    ("test", "mlp", ""),
    ("study", "mlp-inits", "--trainer.max_epochs 5"),
    ("gradcheck", "mlp", ""),
    ("study", "mlp-search", "--trainer.max_epochs 3 --trials 6"),
    ("fit", "mnist_plain", "--trainer.max_epochs 1"),
    ("test", "mnist_plain", ""),
    ("test", "mnist", None),
    ("compare", "mnist-compare", "--experiments mlp mnist_plain --test_images 2000"),
    ("fit", "mlp_ablation", None),
    ("fit", "mnist_ablation", None),
    ("compare", "mnist-ablation", None),
    ("analyze", "mnist_plain", ""),
    ("audit", "", ""),
    ("fit", "catsdogs", "--trainer.max_epochs 3 --data.size_schedule '{0: 32, 2: 48}' --model.compile_net false "
     "--trainer.check_val_every_n_epoch 1"),
    ("trial", "catsdogs_trial", "--trainer.max_epochs 1 --model.compile_net false"),
    ("trial", "catsdogs_trial", "--trainer.max_epochs 1 --model.compile_net false --model.norm group"),
    ("trial", "catsdogs_trial", "--trainer.max_epochs 1 --model.compile_net false --model.lr 0.02"),
    ("analyze", "catsdogs", ""),
    ("analyze", "catsdogs_best", None),
    ("ensemble", "catsdogs_ensemble", None),
)  # fmt: skip
"""The assignment: the kind of each step, its recipe or study, and its options in reduced size.

Steps whose options are None are left out in reduced size; a `trial` is left out in full size.
"""
ABLATION = ("--experiments", "mlp_ablation", "mnist_ablation", "--name", "mnist-ablation")
WEIGHTS_FOR = {"fit": "last", "test": "last", "gradcheck": "last", "analyze": "best"}
"""The weights that a kind of step needs: if no finished run has them, the recipe is trained first."""


@dataclass(frozen=True)
class Step:
    """A command of the plan: the arguments of `python main.py`, and the time expected from recorded runs."""

    arguments: tuple[str, ...]
    seconds: float | None = None

    @property
    def command(self) -> str:
        """As typed into a terminal."""
        return typed(*PROGRAM.split(), *self.arguments)


@dataclass(frozen=True)
class Commands:
    """Makes the commands of a plan; adds options for the folder of runs and for drawn images if needed."""

    records: RecordedRuns

    def step(self, kind: str, name: str, run: Run | None = None, options: Sequence[str] = ()) -> Step:
        """A step of a kind in `STEPS`, or `predict`, on the weights of a `run`, or on the newest or published ones."""
        if kind == "audit":
            return Step(("audit",))
        is_mlp = name.startswith("mlp") and kind != "analyze"
        folder = "--trainer.save_dir" if is_mlp else "--trainer.logger.init_args.save_dir"
        folder, source = ("--logs", "--source") if kind == "compare" else (folder, "--data.source")
        arguments = ["mlp"] * is_mlp
        if kind == "study":
            arguments += [name.removeprefix("mlp-")]
        else:
            arguments += [{"trial": "fit", "ensemble": "validate"}.get(kind, kind)]
        if kind not in ("study", "compare", "gradcheck"):
            config = f"configs/{name}.yaml"
            if run and not is_published(run) and not has_shipped_settings(run.record["settings"], name):
                config = str(relative_to_cwd(run.folder / "config.yaml"))
            arguments += ["--config", config]
        if kind in ("test", "gradcheck", "predict") or (kind == "analyze" and run is not None):
            checkpoint = "pretrained" if kind == "predict" else WEIGHTS_FOR[kind]
            if run is not None:
                path = relative_to_cwd(weights_of(run, WEIGHTS_FOR.get(kind, "last")))
                checkpoint = "pretrained" if is_published(run) else str(path)
            arguments += ["--ckpt_path", checkpoint]
        if kind in ("fit", "trial", "ensemble"):
            arguments += self._weights(name)
        arguments += ABLATION if name == "mnist-ablation" else ()
        arguments += [*options, *[source, "drawn"] * self.records.drawn(name)]
        arguments += [folder, str(self.records.logs)] * (self.records.logs != LOGS)
        return Step(tuple(arguments), _expected(kind, name, options))

    fit = partialmethod(step, "fit")  # trains an experiment
    analyze = partialmethod(step, "analyze")  # looks into a network
    predict = partialmethod(step, "predict")  # labels the test photos

    def study(self, name: str) -> Step:
        """A study of the numpy network: `inits`, `search` or `gradcheck`."""
        return self.step("gradcheck", "mlp") if name == "gradcheck" else self.step("study", f"mlp-{name}")

    def suits_this_machine(self, name: str) -> bool:
        """Whether a recipe can be trained here within hours: without a GPU, a recipe for a GPU takes longer.

        Also true if runs of it from another machine are already here.
        """
        for_gpu = bool(shipped_settings(name).get("data.keep_on_device"))
        return torch.accelerator.is_available() or not for_gpu or bool(self.complete_runs(name, "best"))

    def complete_runs(self, name: str, checkpoint: str) -> list[Run]:
        """Finished runs of a recipe as shipped that have its `best` or `last` weights."""
        runs = [run for run in self.records.trainings(name) if weights_of(run, checkpoint).is_file()]
        return [run for run in runs if has_shipped_settings(run.record["settings"], name)]

    def _weights(self, name: str) -> list[str]:
        """The option for the members of an ensemble, if they are not where its YAML says."""
        names = experiment_names(shipped_settings(name).get(MEMBERS))
        folders = [folder for member in names for folder in self._runs(member)]
        return [f"--{MEMBERS}", json.dumps(folders)] if folders != [str(LOGS / member) for member in names] else []

    def _runs(self, name: str) -> list[str]:
        """The folder of an experiment, or of its complete runs if some are not.

        Published weights stand in for a recipe that is not trained here.
        """
        if not self.suits_this_machine(name):
            published = PRETRAINED / f"{name}.ckpt"
            return [str(relative_to_cwd(published))] if published.is_file() and not self.records.drawn(name) else []
        runs, complete = self.records.trainings(name), self.complete_runs(name, "best")
        if not complete or complete == runs:
            return [str(self.records.folder(name))]
        return [str(relative_to_cwd(run.folder)) for run in complete]


def _expected(kind: str, name: str, options: Sequence[str]) -> float | None:
    """The seconds that recorded runs or studies took, scaled to the epochs and trials in the options."""
    study = "mlp-gradcheck" if kind == "gradcheck" else name
    recorded = [read_json(RECORDED / study / RECORD_FILE)] if kind in ("study", "gradcheck", "compare") else []
    if kind == "fit":
        recorded = [row for row in read_rows() if row["config"] == name and is_shipped(row)]
    if not any(recorded) or (kind == "compare" and options):
        return None
    seconds = median(float(record["seconds"]) for record in recorded)
    if "--trainer.max_epochs" in options:
        seconds *= int(options[options.index("--trainer.max_epochs") + 1]) / int(recorded[-1]["epochs"])
    if "--trials" in options:  # as `search` counts them: completed or stopped
        trials = recorded[-1]["trials"]
        seconds *= int(options[options.index("--trials") + 1]) / (trials["complete"] + trials["pruned"])
    return seconds


def weights_of(run: Run, checkpoint: str) -> Path:
    """The file of a run's `best` or `last` weights, for any network."""
    path = run.folder / "checkpoints" / checkpoint
    return next((file for suffix in (".npz", ".ckpt") if (file := path.with_suffix(suffix)).is_file()), path)


def is_done(records: RecordedRuns, kind: str, name: str, run: Run | None = None) -> bool:
    """Whether the output of a step exists; `run` is the run that it needs, if any."""
    match kind:
        case "fit":
            return True  # trained before: see `WEIGHTS_FOR`
        case "test":
            return run is not None and "last" in str(test_metrics(run.folder).get("checkpoint"))
        case "analyze":
            analysis = read_analysis(run.folder / "analysis") if run is not None else None
            return analysis is not None and analysis.parts.keys() >= set(PARTS)
        case "audit":
            return records.drawn_photos or AUDIT.is_file()
        case "ensemble":
            return bool(records.trainings(name))
        case "gradcheck":  # of the network that the report is about
            study = records.study("mlp-gradcheck")
            if study is None or study.recorded or run is None:
                return False
            return f"{run.folder.parent.name}/{run.name}/checkpoints/" in study.record.get("weights", "")
    study = records.study(name)
    return study is not None and not study.recorded


def missing(records: RecordedRuns) -> list[Step]:
    """The steps still to do, each after the trainings that it needs."""
    commands, steps, untrained = Commands(records), list[Step](), list[str]()

    def train(name: str, checkpoint: str) -> None:
        """Adds the training of a recipe, unless a run has these weights."""
        if not commands.complete_runs(name, checkpoint) and (training := commands.fit(name)) not in steps:
            steps.append(training)

    for kind, name, _ in STEPS:
        run = None
        if kind == "trial" or (kind in WEIGHTS_FOR and not commands.suits_this_machine(name)):
            continue
        if checkpoint := WEIGHTS_FOR.get(kind):
            train(name, checkpoint)
            run = next(reversed(commands.complete_runs(name, checkpoint)), None)
            untrained += [name] if run is None else []
        repeat = kind == "compare" and bool(untrained)  # with the new runs
        if repeat or not is_done(records, kind, name, run):
            steps.append(commands.step(kind, name, run))
    return steps


def quick(records: RecordedRuns) -> list[Step]:
    """The whole assignment in reduced size: about twelve minutes on two cores."""
    commands = Commands(records)
    return [
        commands.step(kind, name, options=shlex.split(options))
        for kind, name, options in STEPS
        if options is not None and (kind != "audit" or not is_done(records, kind, name))
    ]


def plan_text(steps: Sequence[Step]) -> str:
    """The plan with expected times."""
    times = ["?" if step.seconds is None else clock(step.seconds) for step in steps]
    width = max(map(len, times))
    lines = [f"{number:3}. {times[number - 1]:>{width}}  {step.command}" for number, step in enumerate(steps, 1)]
    seconds = [step.seconds for step in steps if step.seconds is not None]
    total = counted(len(steps), "command")
    if seconds:
        total += f", about {duration(sum(seconds))} as recorded runs took"
    if unknown := len(steps) - len(seconds):
        total += f"; no time is recorded for {unknown} of them (?)"
    return "\n".join([*lines, f"{total}."])


def run(steps: Sequence[Step]) -> list[Step]:
    """Runs the steps in order, each in its own process, even after one fails; returns those that failed."""
    failed = []
    folders = [str(Path(lit_a1.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, folders))}  # works from any folder
    for number, step in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] {step.command}", flush=True)
        started = time.perf_counter()
        if subprocess.run([sys.executable, "-m", "lit_a1", *step.arguments], env=environment, check=False).returncode:
            failed.append(step)
            print(f"[{number}/{len(steps)}] failed", flush=True)
        else:
            print(f"[{number}/{len(steps)}] done in {clock(time.perf_counter() - started)}", flush=True)
    return failed
