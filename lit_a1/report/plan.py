"""What a report still lacks: the commands that make it, how long they are expected to take, and their running."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from lit_a1.report.gather import RECORDED, Gathered, test_figures
from lit_a1.report.photos import AUDIT
from lit_a1.report.rows import REPOSITORY, read_rows
from lit_a1.runs import RECORD_FILE, clock
from lit_a1.wording import counted

QUICK = "quick"
"""Folder below that of all runs, for those of reduced size."""


@dataclass(frozen=True)
class Step:
    """A command of the plan."""

    arguments: tuple[str, ...]
    """What follows `python main.py`."""
    seconds: float | None
    """Expected, from a recorded run; None where none is recorded."""

    @property
    def command(self) -> str:
        """As typed into a terminal."""
        return "python main.py " + shlex.join(self.arguments)


def missing(found: Gathered) -> list[Step]:
    """The assignment in full, without what has been run, in order."""
    logs, named = found.logs, Commands(found.logs, found.drawn)
    steps: list[Step] = []

    def train(name: str, tested: bool) -> bool:
        """Whether a training is to be made anew."""
        runs = found.trainings(name)
        if not runs:
            steps.append(named.fit(name))
        if tested and not (runs and test_figures(runs[-1])):
            steps.append(named.test(name))
        return not runs

    def study(name: str) -> None:
        here = found.study(f"mlp-{name}")
        if here is None or here.recorded:
            steps.append(named.study(name))

    again = train("mlp", tested=True)
    for name in ("inits", "gradcheck", "search"):
        study(name)
    for name in ("mnist_plain", "mnist"):
        again |= train(name, tested=True)
    compared = found.study("mnist-compare")
    if again or compared is None or compared.recorded:
        steps.append(named.compare())
    if not found.drawn and not AUDIT.is_file():
        steps.append(Step(("audit",), None))
    for name in ("mnist_plain", "catsdogs", "catsdogs_best"):
        new = train(name, tested=False) if name.startswith("catsdogs") else False
        runs = found.trainings(name)
        if new or not runs or found.looked(runs[-1].folder) is None:
            steps.append(named.analyze(name))
    if not found.trainings("catsdogs_ensemble"):
        members = [str(logs / (name + "-drawn" * found.drawn)) for name in ("catsdogs", "catsdogs_best")]
        steps.append(named.ensemble(members))
    return steps


def quick(found: Gathered) -> list[Step]:
    """The whole assignment in reduced size: a quarter of an hour at most on two cores."""
    named = Commands(found.logs, found.drawn)
    small = "--data.size_schedule", "{0: 32, 4: 48}"
    ideas: Sequence[tuple[str, ...]] = (), ("--model.norm", "group"), ("--model.lr", "0.02")
    return [
        named.fit("mlp", 5),
        named.test("mlp"),
        named.study("inits", 5),
        named.study("gradcheck", 3),
        named.study("search", 3, "--trials", "6"),
        named.fit("mnist_plain", 1),
        named.test("mnist_plain"),
        named.compare("--experiments", "mlp", "mnist_plain"),
        named.analyze("mnist_plain"),
        *[Step(("audit",), None)] * (not found.drawn and not AUDIT.is_file()),
        named.fit("catsdogs", 6, *small, "--trainer.check_val_every_n_epoch", "1"),
        *(named.fit("catsdogs_trial", 2, *idea) for idea in ideas),
        named.analyze("catsdogs"),
    ]


@dataclass(frozen=True)
class Commands:
    """Makes the commands of a plan, with the folder of runs and the source of pictures as options."""

    logs: Path
    drawn: bool

    def fit(self, name: str, epochs: int | None = None, *options: str) -> Step:
        """Trains an experiment, for fewer epochs than its YAML says if `epochs` is given."""
        shorter = ("--trainer.max_epochs", str(epochs)) if epochs else ()
        seconds, whole = _recorded_training(name)
        if seconds is not None and epochs:
            seconds *= epochs / whole
        return Step((*self._start(name, "fit"), *shorter, *options, *self._options(name)), seconds)

    def test(self, name: str) -> Step:
        """Measures the last weights on the test digits."""
        return Step((*self._start(name, "test"), "--ckpt_path", "last", *self._options(name)), None)

    def study(self, name: str, epochs: int | None = None, *options: str) -> Step:
        """A study of the numpy network."""
        shorter = ("--trainer.max_epochs", str(epochs)) if epochs else ()
        source = ("--data.source", "drawn") * self.drawn
        arguments = ("mlp", name, *shorter, *options, *source, "--trainer.save_dir", str(self.logs))
        return Step(arguments, _recorded_study(f"mlp-{name}") if not epochs else None)

    def compare(self, *options: str) -> Step:
        """MLP against CNNs."""
        source = ("--source", "drawn") * self.drawn
        seconds = _recorded_study("mnist-compare") if not options else None
        return Step(("compare", *options, *source, "--logs", str(self.logs)), seconds)

    def analyze(self, name: str) -> Step:
        """Looks into the newest network of an experiment."""
        return Step(("analyze", "--config", _config(name), *self._options(name)), None)

    def ensemble(self, members: Sequence[str]) -> Step:
        """Measures the mean of several networks."""
        name = "catsdogs_ensemble"
        chosen = ("--model.members", json.dumps(list(members)))
        return Step(("validate", "--config", _config(name), *chosen, *self._options(name)), None)

    def _start(self, name: str, command: str) -> tuple[str, ...]:
        return (*("mlp",) * (name == "mlp"), command, "--config", _config(name))

    def _options(self, name: str) -> tuple[str, ...]:
        folder = "--trainer.save_dir" if name == "mlp" else "--trainer.logger.init_args.save_dir"
        return (*("--data.source", "drawn") * self.drawn, folder, str(self.logs))


def _config(name: str) -> str:
    path = Path("configs", f"{name}.yaml")
    return str(path if path.is_file() else REPOSITORY / path)


def _recorded_training(name: str) -> tuple[float | None, int]:
    """Median seconds of the recorded runs of a recipe as it is shipped, and its epochs."""
    rows = [row for row in read_rows() if row["config"] == name and not row["changes"]]
    rows = [row for row in rows if row["recipe"] == rows[-1]["recipe"]]
    if not rows:
        return None, 1
    return median(float(row["seconds"]) for row in rows), int(rows[-1]["epochs"])


def _recorded_study(name: str) -> float | None:
    """Seconds of the recorded run of a study."""
    path = RECORDED / name / RECORD_FILE
    return json.loads(path.read_text(encoding="utf-8"))["seconds"] if path.is_file() else None


def tell(steps: Sequence[Step]) -> str:
    """The plan, with the time that is to be expected."""
    width = max(len(_time(step)) for step in steps)
    lines = [f"{number:3}. {_time(step):>{width}}  {step.command}" for number, step in enumerate(steps, 1)]
    known = [step.seconds for step in steps if step.seconds is not None]
    unknown = len(steps) - len(known)
    total = f"{counted(len(steps), 'command')}, about {clock(sum(known))} (h:mm:ss or m:ss) as recorded runs took"
    total += f", and {unknown} whose time is not recorded (tests and analyses: a minute or so each)" * bool(unknown)
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
    for number, step in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] {step.command}", flush=True)
        started = time.perf_counter()
        entry = REPOSITORY / "main.py"
        if subprocess.run([sys.executable, str(entry), *step.arguments], check=False).returncode:
            failed.append(step)
            print(f"[{number}/{len(steps)}] failed", flush=True)
        else:
            print(f"[{number}/{len(steps)}] done in {clock(time.perf_counter() - started)}", flush=True)
    return failed
