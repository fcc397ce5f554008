"""What a report still lacks: the commands that make it, how long they are expected to take, and their running."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

import lit_a1
from lit_a1.analysis import PARTS
from lit_a1.environment import PROGRAM
from lit_a1.report.gather import RECORDED, RecordedRuns, read_analysis
from lit_a1.report.outputs import AUDIT
from lit_a1.report.recipes import MEMBERS, has_shipped_settings, is_shipped, shipped, sources
from lit_a1.report.rows import read_rows
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import PRETRAINED, relative_to_cwd
from lit_a1.runs.records import RECORD_FILE, read_json, test_metrics
from lit_a1.runs.wording import clock, counted, duration, typed

QUICK = "quick"  # folder below that of all runs, for those of reduced size
LOGS = Path("lightning_logs")  # where runs land without an option
PHOTOS = ("catsdogs", "catsdogs_best")  # recipes on cats and dogs that the report looks into
STEPS = (
    ("test", "mlp"), ("study", "mlp-inits"), ("study", "mlp-gradcheck"), ("study", "mlp-search"),
    ("test", "mnist_plain"), ("test", "mnist"), ("compare", "mnist-compare"), ("analyze", "mnist_plain"),
    ("audit", ""), *(("analyze", name) for name in PHOTOS), ("ensemble", "catsdogs_ensemble"),
)  # fmt: skip
"""The assignment in full: kinds of steps, and the recipe or the study that each is for."""
WEIGHTS_FOR = {"test": "last", "analyze": "best"}
"""The weights that a kind of step needs: where no finished run has them, the recipe is trained before."""


@dataclass(frozen=True)
class Step:
    """A command of the plan: what follows `python main.py`, and how long recorded runs lead to expect that it takes."""

    arguments: tuple[str, ...]
    seconds: float | None = None

    @property
    def command(self) -> str:
        """As typed into a terminal."""
        return typed(*PROGRAM.split(), *self.arguments)


@dataclass(frozen=True)
class Commands:
    """Makes the commands of a plan; the folder of runs and drawn images are options where they are needed."""

    found: RecordedRuns

    def fit(self, name: str, epochs: int | None = None, *options: str) -> Step:
        """Trains an experiment, for fewer epochs than its YAML says if `epochs` is given."""
        rows = [row for row in read_rows() if row["config"] == name and is_shipped(row)]
        seconds = median(float(row["seconds"]) for row in rows) if rows else None
        expected = _share(seconds, epochs, int(rows[-1]["epochs"]) if rows else 1)
        return self._of_recipe("fit", name, *_epochs(epochs), *self._weights(name), *options, seconds=expected)

    def test(self, name: str, run: Run | None = None) -> Step:
        """Measures the last weights of a run, or of the newest, on the test digits."""
        weights = "last" if run is None else str(relative_to_cwd(weights_of(run, "last")))
        return self._of_recipe("test", name, "--ckpt_path", weights)

    def study(self, name: str, epochs: int | None = None, *options: str) -> Step:
        """A study of the numpy network."""
        record = read_json(RECORDED / f"mlp-{name}" / RECORD_FILE) or {}
        seconds = _share(record.get("seconds"), epochs, record.get("epochs", 1))
        return Step(("mlp", name, *_epochs(epochs), *options, *self._options("mlp", "--trainer.save_dir")), seconds)

    def compare(self, *options: str) -> Step:
        """MLP against CNNs."""
        record = read_json(RECORDED / "mnist-compare" / RECORD_FILE) or {}
        arguments = ("compare", *options, *self._options("mnist", "--logs", "--source"))
        return Step(arguments, None if options else record.get("seconds"))

    def analyze(self, name: str, run: Run | None = None) -> Step:
        """Looks into the network of a run, or of the newest."""
        published = run is not None and run.weights.parent == PRETRAINED
        which = (
            ()
            if run is None
            else ("--ckpt_path", "pretrained" if published else str(relative_to_cwd(weights_of(run, "best"))))
        )
        records = map(read_json, self.found.logs.glob("*/version_*/analysis/analysis.json"))
        known = [seconds for record in records if isinstance(seconds := (record or {}).get("seconds"), float)]
        return self._of_recipe("analyze", name, *which, seconds=median(known) if known else None)

    def ensemble(self) -> Step:
        """Measures the mean of the networks of both recipes."""
        return self._of_recipe("validate", "catsdogs_ensemble", *self._weights("catsdogs_ensemble"))

    def of_kind(self, kind: str, name: str, run: Run | None) -> Step:
        """One of `STEPS`."""
        match kind:
            case "test":
                return self.test(name, run)
            case "analyze":
                return self.analyze(name, run)
            case "study":
                return self.study(name.removeprefix("mlp-"))
            case "compare":
                return self.compare()
            case "ensemble":
                return self.ensemble()
        return Step((kind,))

    def trial(self) -> Step:
        """An example of a changed hyperparameter."""
        return self.fit("catsdogs_trial", None, "--model.norm", "group")

    def suits_this_machine(self, name: str) -> bool:
        """Whether a recipe can be trained here within hours: without a GPU one for a GPU takes longer.

        Runs of it that are here already, from another machine, count as if it could.
        """
        a_gpus = bool(shipped(name).get("data.keep_on_device"))
        return torch.accelerator.is_available() or not a_gpus or bool(self.whole_runs(name, "best"))

    def whole_runs(self, name: str, which: str) -> list[Run]:
        """Finished runs of a recipe as it is shipped that have those weights."""
        runs = [run for run in self.found.trainings(name) if weights_of(run, which).is_file()]
        return [run for run in runs if has_shipped_settings(run.record["settings"], name)]

    def _of_recipe(self, command: str, name: str, *options: str, seconds: float | None = None) -> Step:
        start = ("mlp", command) if name == "mlp" and command != "analyze" else (command,)
        folder = "--trainer.save_dir" if name == "mlp" else "--trainer.logger.init_args.save_dir"
        return Step((*start, "--config", f"configs/{name}.yaml", *options, *self._options(name, folder)), seconds)

    def _options(self, name: str, folder: str, source: str = "--data.source") -> list[str]:
        drawn = [source, "drawn"] if self.found.drawn(name) else []
        return drawn if self.found.logs == LOGS else [*drawn, folder, str(self.found.logs)]

    def _weights(self, name: str) -> list[str]:
        """Where the networks are that a recipe builds on, if not where its YAML says."""
        options: list[str] = []
        for option, named in sources(name).items():
            folders = [folder for each in named for folder in self._runs(each, option == MEMBERS)]
            if folders != [str(LOGS / each) for each in named]:
                options += [f"--{option}", folders[0] if option == "model.start" else json.dumps(folders)]
        return options

    def _runs(self, name: str, every: bool) -> list[str]:
        """The folder of an experiment; where runs of it are not whole, all of those that are, or the newest.

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


def _epochs(epochs: int | None) -> list[str]:
    return ["--trainer.max_epochs", str(epochs)] if epochs else []


def _share(seconds: float | None, epochs: int | None, whole: int) -> float | None:
    """The seconds that some of all epochs take."""
    return seconds * epochs / whole if seconds is not None and epochs else seconds


def weights_of(run: Run, which: str) -> Path:
    """The file of a run's `best` or `last` weights, of any network."""
    path = run.folder / "checkpoints" / which
    return next((file for suffix in (".npz", ".ckpt") if (file := path.with_suffix(suffix)).is_file()), path)


def is_done(found: RecordedRuns, kind: str, name: str, run: Run | None = None) -> bool:
    """Whether there is what a step leaves, for a run where its kind needs one."""
    match kind:
        case "test":
            return run is not None and "last" in str(test_metrics(run.folder).get("checkpoint"))
        case "analyze":
            seen = read_analysis(run.folder / "analysis") if run is not None else None
            return seen is not None and seen.parts.keys() >= set(PARTS)
        case "audit":
            return found.drawn_photos or AUDIT.is_file()
        case "ensemble":
            return bool(found.trainings(name))
    study = found.study(name)
    return study is not None and not study.recorded


def missing(found: RecordedRuns) -> list[Step]:
    """The steps that have not been done, each after the trainings that it needs."""
    commands, steps, untrained = Commands(found), list[Step](), list[str]()

    def train(name: str, which: str) -> None:
        """Adds the training of a recipe of which no run has those weights, after those that it builds on."""
        if commands.whole_runs(name, which) or (training := commands.fit(name)) in steps:
            return
        for option, named in sources(name).items():
            for needed in named:
                train(needed, "best" if option == MEMBERS else "last")
        steps.append(training)

    for kind, name in STEPS:
        run = None
        if needs := WEIGHTS_FOR.get(kind):
            if not commands.suits_this_machine(name):
                continue
            train(name, needs)
            run = next(reversed(commands.whole_runs(name, needs)), None)
            untrained += [name] if run is None else []
        again = kind == "compare" and bool(untrained)  # with the new runs
        if again or not is_done(found, kind, name, run):
            steps.append(commands.of_kind(kind, name, run))
    return steps


def quick(found: RecordedRuns) -> list[Step]:
    """The whole assignment in reduced size: a quarter of an hour at most on two cores."""
    commands = Commands(found)
    small = "--data.size_schedule", "{0: 32, 4: 48}"
    ideas: Sequence[tuple[str, ...]] = (), ("--model.norm", "group"), ("--model.lr", "0.02")
    return [
        commands.fit("mlp", 5),
        commands.test("mlp"),
        commands.study("inits", 5),
        commands.study("gradcheck", 3),
        commands.study("search", 3, "--trials", "6"),
        commands.fit("mnist_plain", 1),
        commands.test("mnist_plain"),
        commands.compare("--experiments", "mlp", "mnist_plain"),
        commands.analyze("mnist_plain"),
        *([] if is_done(found, "audit", "") else [Step(("audit",))]),
        commands.fit("catsdogs", 6, *small, "--trainer.check_val_every_n_epoch", "1"),
        *(commands.fit("catsdogs_trial", 2, *idea) for idea in ideas),
        commands.analyze("catsdogs"),
    ]


def plan_text(steps: Sequence[Step]) -> str:
    """The plan, with the time that is to be expected."""
    times = ["?" if step.seconds is None else clock(step.seconds) for step in steps]
    width = max(map(len, times))
    lines = [f"{number:3}. {times[number - 1]:>{width}}  {step.command}" for number, step in enumerate(steps, 1)]
    known = [step.seconds for step in steps if step.seconds is not None]
    total = f"{counted(len(steps), 'command')}, about {duration(sum(known))} as recorded runs took"
    if unknown := len(steps) - len(known):
        total += f", and {unknown} whose time is not recorded (?)"
    return "\n".join([*lines, f"{total}."])


def run(steps: Sequence[Step]) -> list[Step]:
    """Runs commands in order, each in a process of its own, also where one fails; returns those that failed."""
    failed = []
    folders = [str(Path(lit_a1.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, folders))}  # also from another folder
    for number, step in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] {step.command}", flush=True)
        started = time.perf_counter()
        if subprocess.run([sys.executable, "-m", "lit_a1", *step.arguments], env=environment, check=False).returncode:
            failed.append(step)
            print(f"[{number}/{len(steps)}] failed", flush=True)
        else:
            print(f"[{number}/{len(steps)}] done in {clock(time.perf_counter() - started)}", flush=True)
    return failed
