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
from lit_a1.report.gather import RECORDED, Gathered, looked
from lit_a1.report.photos import AUDIT
from lit_a1.report.rows import (
    MEMBERS,
    changes,
    is_shipped,
    read_json,
    read_rows,
    shipped,
    sources,
    test_figures,
)
from lit_a1.report.trials import as_shipped
from lit_a1.report.tried import duration
from lit_a1.runs.folders import PRETRAINED, RECORD_FILE, clock, near
from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import counted, typed
from lit_a1.studies.comparison.runs import Run

QUICK = "quick"
"""Folder below that of all runs, for those of reduced size."""
LOGS = Path("lightning_logs")
"""Where runs land without an option."""
PHOTOS = ("catsdogs", "catsdogs_best")
"""Recipes on cats and dogs that the report looks into."""


@dataclass(frozen=True)
class Step:
    """A command of the plan."""

    arguments: tuple[str, ...]
    """What follows `python main.py`."""
    seconds: float | None = None
    """Expected, from recorded runs; None where none is recorded."""

    @property
    def command(self) -> str:
        """As typed into a terminal."""
        return typed(*PROGRAM.split(), *self.arguments)


@dataclass(frozen=True)
class Commands:
    """Makes the commands of a plan; the folder of runs and drawn pictures are options where they are needed."""

    found: Gathered

    def fit(self, name: str, epochs: int | None = None, *options: str) -> Step:
        """Trains an experiment, for fewer epochs than its YAML says if `epochs` is given."""
        seconds, whole = _recorded_training(name)
        if seconds is not None and epochs:
            seconds *= epochs / whole
        return Step(
            (*_start(name, "fit"), *_epochs(epochs), *self._weights(name), *options, *self._options(name)), seconds
        )

    def test(self, name: str, run: Run | None = None) -> Step:
        """Measures the last weights of a run, or of the newest, on the test digits."""
        weights = "last" if run is None else str(near(weights_of(run, "last")))
        return Step((*_start(name, "test"), "--ckpt_path", weights, *self._options(name)))

    def study(self, name: str, epochs: int | None = None, *options: str) -> Step:
        """A study of the numpy network."""
        source = ("--data.source", "drawn") * self.found.drawn("mlp")
        folder = ("--trainer.save_dir", str(self.found.logs)) * self._elsewhere
        seconds, whole = _recorded_study(f"mlp-{name}")
        if seconds is not None and epochs:
            seconds *= epochs / whole
        return Step(("mlp", name, *_epochs(epochs), *options, *source, *folder), seconds)

    def compare(self, *options: str) -> Step:
        """MLP against CNNs."""
        source = ("--source", "drawn") * self.found.drawn("mnist")
        folder = ("--logs", str(self.found.logs)) * self._elsewhere
        seconds = _recorded_study("mnist-compare")[0] if not options else None
        return Step(("compare", *options, *source, *folder), seconds)

    def analyze(self, name: str, run: Run | None = None) -> Step:
        """Looks into the network of a run, or of the newest."""
        which = () if run is None else ("--ckpt_path", str(near(weights_of(run, "best"))))
        paths = self.found.logs.glob("*/version_*/analysis/analysis.json")
        known = [
            found["seconds"] for path in paths if isinstance((found := read_json(path) or {}).get("seconds"), float)
        ]
        return Step(
            ("analyze", *_start(name, "analyze")[1:], *which, *self._options(name)), median(known) if known else None
        )

    def ensemble(self) -> Step:
        """Measures the mean of the networks of both recipes."""
        name = "catsdogs_ensemble"
        return Step((*_start(name, "validate"), *self._weights(name), *self._options(name)))

    def trial(self) -> Step:
        """An example of a changed hyper-parameter."""
        return self.fit("catsdogs_trial", None, "--model.norm", "group")

    def _weights(self, name: str) -> tuple[str, ...]:
        """Where the networks are that a recipe builds on, if not where its YAML says."""
        options: list[str] = []
        for option, named in sources(name).items():
            folders = [folder for each in named for folder in self._runs(each, option == MEMBERS)]
            if folders != [str(LOGS / each) for each in named]:
                options += [f"--{option}", folders[0] if option == "model.start" else json.dumps(folders)]
        return tuple(options)

    def _runs(self, name: str, every: bool) -> list[str]:
        """The folder of an experiment; where runs of it are not whole, all of those that are, or the newest.

        Published weights stand in for a recipe that is not trained here.
        """
        if every and not self.suits_this_machine(name):
            published = PRETRAINED / f"{name}.ckpt"
            return [str(near(published))] if published.is_file() and not self.found.drawn(name) else []
        runs, which = self.found.trainings(name), "best" if every else "last"
        whole = [run for run in runs if is_whole(run, name) and weights_of(run, which).is_file()]
        meant, taken = (whole, runs) if every else (whole[-1:], runs[-1:])
        return [str(near(run.folder)) for run in meant] if meant and meant != taken else [str(self.found.folder(name))]

    def suits_this_machine(self, name: str) -> bool:
        """Whether a recipe can be trained here within hours: without a GPU one for a GPU takes longer.

        Runs of it that are here already, from another machine, count as if it could.
        """
        if torch.accelerator.is_available() or not shipped(name).get("data.keep_on_device"):
            return True
        return any(is_whole(run, name) and weights_of(run, "best").is_file() for run in self.found.trainings(name))

    @property
    def _elsewhere(self) -> bool:
        return self.found.logs != LOGS

    def _options(self, name: str) -> tuple[str, ...]:
        folder = "--trainer.save_dir" if name == "mlp" else "--trainer.logger.init_args.save_dir"
        drawn = ("--data.source", "drawn") * self.found.drawn(name)
        return (*drawn, *(folder, str(self.found.logs)) * self._elsewhere)


def _start(name: str, command: str) -> tuple[str, ...]:
    return (*("mlp",) * (name == "mlp"), command, "--config", f"configs/{name}.yaml")


def _epochs(epochs: int | None) -> tuple[str, ...]:
    return ("--trainer.max_epochs", str(epochs)) if epochs else ()


def weights_of(run: Run, which: str) -> Path:
    """A file of a run's weights.

    Args:
        run: of any network.
        which: `best` or `last`.
    """
    folder = run.folder / "checkpoints"
    return next(
        (path for suffix in (".npz", ".ckpt") if (path := folder / f"{which}{suffix}").is_file()), folder / which
    )


def is_whole(run: Run, name: str) -> bool:
    """Whether a run is one of its recipe as shipped, and not a shorter or another one.

    What a machine decides (precision, compilation, drawn pictures) may differ, and where the networks lie that it
    builds on.
    """
    try:
        return as_shipped(changes(run.record["settings"], shipped(name)))
    except UsageError:
        return False


def missing(found: Gathered) -> list[Step]:
    """The assignment in full, without what has been run, in order."""
    commands = Commands(found)
    steps: list[Step] = []

    def train(name: str, which: str) -> Run | None:
        """The newest run of the recipe that has those weights; else it is to be trained."""
        whole = [run for run in found.trainings(name) if is_whole(run, name) and weights_of(run, which).is_file()]
        if not whole and (training := commands.fit(name)) not in steps:
            for option, named in sources(name).items():
                for needed in named:
                    train(needed, "best" if option == MEMBERS else "last")
            steps.append(training)
        return whole[-1] if whole else None

    def test(name: str) -> bool:
        """Whether a run is new."""
        run = train(name, "last")
        if run is None or "last" not in str(test_figures(run.folder).get("checkpoint")):
            steps.append(commands.test(name, run))
        return run is None

    def look(name: str) -> None:
        run = train(name, "best")
        seen = None if run is None else looked(run.folder / "analysis")
        if seen is None or set(seen.parts) < set(PARTS):
            steps.append(commands.analyze(name, run))

    new = test("mlp")
    for name in ("inits", "gradcheck", "search"):
        study = found.study(f"mlp-{name}")
        if study is None or study.recorded:
            steps.append(commands.study(name))
    for name in ("mnist_plain", "mnist"):
        new |= test(name)
    compared = found.study("mnist-compare")
    if new or compared is None or compared.recorded:
        steps.append(commands.compare())
    look("mnist_plain")
    if not found.drawn_photos and not AUDIT.is_file():
        steps.append(Step(("audit",)))
    for name in filter(commands.suits_this_machine, PHOTOS):
        look(name)
    if not found.trainings("catsdogs_ensemble"):
        steps.append(commands.ensemble())
    return steps


def quick(found: Gathered) -> list[Step]:
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
        *[Step(("audit",))] * (not found.drawn_photos and not AUDIT.is_file()),
        commands.fit("catsdogs", 6, *small, "--trainer.check_val_every_n_epoch", "1"),
        *(commands.fit("catsdogs_trial", 2, *idea) for idea in ideas),
        commands.analyze("catsdogs"),
    ]


def _recorded_training(name: str) -> tuple[float | None, int]:
    """Median seconds of the recorded runs of a recipe as it is shipped, and its epochs."""
    rows = [row for row in read_rows() if row["config"] == name and is_shipped(row)]
    if not rows:
        return None, 1
    return median(float(row["seconds"]) for row in rows), int(rows[-1]["epochs"])


def _recorded_study(name: str) -> tuple[float | None, int]:
    """Seconds of the recorded run of a study, and its epochs."""
    record = read_json(RECORDED / name / RECORD_FILE) or {}
    return record.get("seconds"), record.get("epochs", 1)


def tell(steps: Sequence[Step]) -> str:
    """The plan, with the time that is to be expected."""
    width = max(len(_time(step)) for step in steps)
    lines = [f"{number:3}. {_time(step):>{width}}  {step.command}" for number, step in enumerate(steps, 1)]
    known = [step.seconds for step in steps if step.seconds is not None]
    unknown = len(steps) - len(known)
    total = f"{counted(len(steps), 'command')}, about {duration(sum(known))} as recorded runs took"
    total += f", and {unknown} whose time is not recorded (?)" * bool(unknown)
    return "\n".join([*lines, f"{total}."])


def _time(step: Step) -> str:
    return "?" if step.seconds is None else clock(step.seconds)


def run(steps: Sequence[Step]) -> list[Step]:
    """Runs commands in order, each in a process of its own; one that fails is told, and the others go on.

    Returns:
        Those that failed.

    Raises:
        KeyboardInterrupt: as the user wished.
    """
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
