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
from lit_a1.report.recipes import MEMBERS, has_shipped_settings, is_shipped, shipped, sources
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

    found: RecordedRuns

    def step(self, kind: str, name: str, run: Run | None = None, options: Sequence[str] = ()) -> Step:
        """A step of a kind in `STEPS`, or `predict`, on the weights of a `run`, or on the newest or published ones."""
        if kind == "audit":
            return Step(("audit",))
        numpy = name.startswith("mlp") and kind != "analyze"
        folder = "--trainer.save_dir" if numpy else "--trainer.logger.init_args.save_dir"
        folder, source = ("--logs", "--source") if kind == "compare" else (folder, "--data.source")
        words = ["mlp"] * numpy
        if kind == "study":
            words += [name.removeprefix("mlp-")]
        else:
            words += [{"trial": "fit", "ensemble": "validate"}.get(kind, kind)]
            words += ["--config", f"configs/{name}.yaml"] * (kind not in ("compare", "gradcheck"))
        if kind in ("test", "gradcheck", "predict") or (kind == "analyze" and run is not None):
            which = "pretrained" if kind == "predict" else WEIGHTS_FOR[kind]
            if run is not None:
                own = relative_to_cwd(weights_of(run, WEIGHTS_FOR.get(kind, "last")))
                which = "pretrained" if is_published(run) else str(own)
            words += ["--ckpt_path", which]
        if kind in ("fit", "trial", "ensemble"):
            words += self._weights(name)
        words += ABLATION if name == "mnist-ablation" else ()
        words += [*options, *[source, "drawn"] * self.found.drawn(name)]
        words += [folder, str(self.found.logs)] * (self.found.logs != LOGS)
        return Step(tuple(words), _expected(kind, name, options))

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
        a_gpus = bool(shipped(name).get("data.keep_on_device"))
        return torch.accelerator.is_available() or not a_gpus or bool(self.whole_runs(name, "best"))

    def whole_runs(self, name: str, which: str) -> list[Run]:
        """Finished runs of a recipe as shipped that have its `best` or `last` weights."""
        runs = [run for run in self.found.trainings(name) if weights_of(run, which).is_file()]
        return [run for run in runs if has_shipped_settings(run.record["settings"], name)]

    def _weights(self, name: str) -> list[str]:
        """Options for the networks that a recipe builds on, if they are not where its YAML says."""
        options: list[str] = []
        for option, named in sources(name).items():
            folders = [folder for each in named for folder in self._runs(each, option == MEMBERS)]
            if folders != [str(LOGS / each) for each in named]:
                options += [f"--{option}", folders[0] if option == "model.start" else json.dumps(folders)]
        return options

    def _runs(self, name: str, every: bool) -> list[str]:
        """The folder of an experiment, or of its whole runs if some are not: of all if `every`, else of the newest.

        Published weights stand in for a recipe that is not trained here.
        """
        if every and not self.suits_this_machine(name):
            published = PRETRAINED / f"{name}.ckpt"
            return [str(relative_to_cwd(published))] if published.is_file() and not self.found.drawn(name) else []
        runs, whole = self.found.trainings(name), self.whole_runs(name, "best" if every else "last")
        if not every:
            runs, whole = runs[-1:], whole[-1:]
        if not whole or whole == runs:
            return [str(self.found.folder(name))]
        return [str(relative_to_cwd(run.folder)) for run in whole]


def _expected(kind: str, name: str, options: Sequence[str]) -> float | None:
    """The seconds that recorded runs or studies took, scaled to the epochs in the options."""
    study = "mlp-gradcheck" if kind == "gradcheck" else name
    known = [read_json(RECORDED / study / RECORD_FILE)] if kind in ("study", "gradcheck", "compare") else []
    if kind == "fit":
        known = [row for row in read_rows() if row["config"] == name and is_shipped(row)]
    if not any(known) or (kind == "compare" and options):
        return None
    seconds = median(float(each["seconds"]) for each in known)
    if "--trainer.max_epochs" in options:
        seconds *= int(options[options.index("--trainer.max_epochs") + 1]) / int(known[-1]["epochs"])
    return seconds


def weights_of(run: Run, which: str) -> Path:
    """The file of a run's `best` or `last` weights, for any network."""
    path = run.folder / "checkpoints" / which
    return next((file for suffix in (".npz", ".ckpt") if (file := path.with_suffix(suffix)).is_file()), path)


def is_done(found: RecordedRuns, kind: str, name: str, run: Run | None = None) -> bool:
    """Whether the output of a step exists; `run` is the run that it needs, if any."""
    match kind:
        case "fit":
            return True  # trained before: see `WEIGHTS_FOR`
        case "test":
            return run is not None and "last" in str(test_metrics(run.folder).get("checkpoint"))
        case "analyze":
            seen = read_analysis(run.folder / "analysis") if run is not None else None
            return seen is not None and seen.parts.keys() >= set(PARTS)
        case "audit":
            return found.drawn_photos or AUDIT.is_file()
        case "ensemble":
            return bool(found.trainings(name))
        case "gradcheck":  # of the network that the report is about
            study = found.study("mlp-gradcheck")
            if study is None or study.recorded or run is None:
                return False
            return f"{run.folder.parent.name}/{run.name}/checkpoints/" in study.record.get("weights", "")
    study = found.study(name)
    return study is not None and not study.recorded


def missing(found: RecordedRuns) -> list[Step]:
    """The steps still to do, each after the trainings that it needs."""
    commands, steps, untrained = Commands(found), list[Step](), list[str]()

    def train(name: str, which: str) -> None:
        """Adds the training of a recipe, after those it builds on, unless a run has these weights."""
        if commands.whole_runs(name, which) or (training := commands.fit(name)) in steps:
            return
        for option, named in sources(name).items():
            for needed in named:
                train(needed, "best" if option == MEMBERS else "last")
        steps.append(training)

    for kind, name, _ in STEPS:
        run = None
        if kind == "trial" or (kind in WEIGHTS_FOR and not commands.suits_this_machine(name)):
            continue
        if needs := WEIGHTS_FOR.get(kind):
            train(name, needs)
            run = next(reversed(commands.whole_runs(name, needs)), None)
            untrained += [name] if run is None else []
        again = kind == "compare" and bool(untrained)  # with the new runs
        if again or not is_done(found, kind, name, run):
            steps.append(commands.step(kind, name, run))
    return steps


def quick(found: RecordedRuns) -> list[Step]:
    """The whole assignment in reduced size: about twelve minutes on two cores."""
    commands = Commands(found)
    return [
        commands.step(kind, name, options=shlex.split(options))
        for kind, name, options in STEPS
        if options is not None and (kind != "audit" or not is_done(found, kind, name))
    ]


def plan_text(steps: Sequence[Step]) -> str:
    """The plan with expected times."""
    times = ["?" if step.seconds is None else clock(step.seconds) for step in steps]
    width = max(map(len, times))
    lines = [f"{number:3}. {times[number - 1]:>{width}}  {step.command}" for number, step in enumerate(steps, 1)]
    known = [step.seconds for step in steps if step.seconds is not None]
    total = f"{counted(len(steps), 'command')}, about {duration(sum(known))} as recorded runs took"
    if unknown := len(steps) - len(known):
        total += f", and {unknown} whose time is not recorded (?)"
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
