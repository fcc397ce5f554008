"""Whatever fails or ends a command: nothing is lost, nothing half-written is seen, and typed again it ends the same."""

import errno
import itertools
import random
import shutil
import signal
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lit_a1.runs.folders import run_folders
from tests.faults.commands import BUILT, COMMANDS, FIT, Begin, done, refused
from tests.faults.forked import (
    NOTHING,
    Ended,
    Prepare,
    Strike,
    contents,
    current,
    differences,
    fail,
    is_hidden,
    kill,
    limit,
    run,
    traces,
)
from tests.signals import signal_at

STEP = {"fit": ("lit_a1.models:Classifier", "training_step"), "mlp": ("lit_a1.mlp.network:NN", "update")}
STEPS = {"fit": 2 * 64 // 32, "mlp": 2 * 13}
OPTIMISERS = [[], *(["--model.optimizer", name, "--model.lr", "0.003"] for name in ("adamw", "muon"))]
KILLS = 40
ROOMS = 5
PARTS = 4  # of the places of a command, each a test of its own
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
SEEN: set[int] = set()  # what interrupted commands left, if they have been started again from there


def again(command: list[str], folder: Path) -> list[str]:
    """What a user types after an interruption."""
    if "fit" in command:
        runs = run_folders(folder / "lightning_logs" / ("mlp" if "mlp" in command else "catsdogs"))
        if runs and list((runs[-1] / "checkpoints").glob("last.*")):
            return [*command, "--ckpt_path", "last"]
    if "search" in command and (journals := sorted(folder.rglob("study.journal"))):
        return [*command, "--study", str(journals[-1].parent.relative_to(folder))]
    return command


def check_kept(found: dict[str, Any], before: dict[str, Any], whole: dict[str, Any]) -> None:
    """All files are whole, and none is lost."""
    assert found.keys() >= before.keys()
    for name, content in found.items():
        if isinstance(content, bytes):
            assert content in (before.get(name), whole.get(name)), name


def check_ends_the_same(command: list[str], folder: Path, whole: dict[str, Any]) -> None:
    """The command, typed again, ends as if nothing had happened, and leaves no more."""
    ended = run(again(command, folder), folder)
    if "is of a run that is over" not in ended.said:
        done(ended)
    found = list(differences(contents(folder), whole))
    assert not found, "\n".join(found)
    left = [name for path, name in current(folder) if is_hidden(name) and "lock" not in name]
    assert not left


def check(
    command: list[str],
    folder: Path,
    whole: dict[str, Any],
    strike: Strike | None,
    at: Iterable[int],
    prepare: Prepare = NOTHING,
) -> Ended:
    """Interrupts a command or makes it fail, and starts it again."""
    if (key := f"before {command}") not in BUILT:
        BUILT[key] = contents(folder)
    ended = run(command, folder, strike, at, prepare)
    if ended.status > 0:
        refused(ended)
    elif ended.status == 0:
        done(ended)
    else:
        assert ended.status in (-signal.SIGKILL, -signal.SIGXFSZ), ended
    found = contents(folder)
    check_kept(found, BUILT[key], whole)
    if (state := hash(repr((command, found, traces(folder))))) not in SEEN:
        SEEN.add(state)
        check_ends_the_same(command, folder, whole)
    return ended


def test_a_fit_is_killed_while_it_saves(begun: Begin) -> None:
    """One of the places below, for every run of the tests."""
    folder, count = begun.ended("fit")
    assert check(FIT, begun("fit"), contents(folder), kill, (count * 2 // 3,)).status == -signal.SIGKILL


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", COMMANDS)
def test_every_place(name: str, part: int, begun: Begin) -> None:
    """Killed there, and refused there by the system."""
    folder, count = begun.ended(name)
    whole = contents(folder)
    for n in range(1 + part, count + 1, PARTS):
        number = ERRORS[n // PARTS % len(ERRORS)]
        places = range(n, 10**6) if number == errno.ENOSPC else (n,)  # a full disk stays full
        check(COMMANDS[name], begun(name), whole, kill, (n,))
        check(COMMANDS[name], begun(name), whole, fail(number), places)


@pytest.mark.long
@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_has_no_room(name: str, handler: signal.Handlers, begun: Begin) -> None:
    """At no size at all, and at halves of the sizes of files, in which a write ends within one."""
    folder, _ = begun.ended(name)
    whole = contents(folder)
    sizes = {path.stat().st_size // 2 for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}
    for size in sorted({0, *sizes})[:: max(1, len(sizes) // ROOMS)]:
        check(COMMANDS[name], begun(name), whole, None, (), partial(limit, size, handler))


@pytest.mark.long
def test_a_worker_can_not_be_started(begun: Begin) -> None:
    def strike(event: str, path: str) -> None:
        if event == "os.fork":
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    command = [*FIT, "--data.workers", "1"]
    assert check(command, begun("fit"), contents(begun.ended("fit")[0]), strike, range(10**6)).status == 1


@pytest.mark.long
@pytest.mark.parametrize(("name", "part"), [("cache", "cache"), ("fit", "lightning_logs"), ("mlp", "lightning_logs")])
def test_a_folder_is_removed(name: str, part: str, begun: Begin) -> None:
    """While it is written to: the command goes on, or ends in a sentence; and it can be typed again."""
    for n in range(1, begun.ended(name)[1] + 1, 5):
        folder = begun(name)

        def remove(event: str, path: str, where: Path = folder / part) -> None:
            shutil.rmtree(where, ignore_errors=True)

        ended = run(COMMANDS[name], folder, remove, (n,))
        assert "Traceback" not in ended.said, ended.said
        if ended.status:
            refused(ended)
        done(run(COMMANDS[name], folder))


def jump(seconds: float, calls: int) -> None:
    """Has the clock jump after so many looks at it."""
    clock, number = time.time, itertools.count()
    time.time = lambda: clock() + (seconds if next(number) >= calls else 0)


@pytest.mark.long
@pytest.mark.parametrize("name", ["fit", "mlp", "search"])
@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_the_clock_jumps(name: str, seconds: int, begun: Begin) -> None:
    """Within a run that is then killed, and back again before it goes on."""
    folder, count = begun.ended(name)
    for share in (0.5, 0.9):
        at = (int(count * share),)
        check(COMMANDS[name], begun(name), contents(folder), kill, at, partial(jump, seconds, count // 4))


@pytest.mark.long
@pytest.mark.parametrize("part", range(KILLS // 10))
@pytest.mark.parametrize("name", ["fit", "mlp"])
def test_random_kills(name: str, part: int, begun: Begin) -> None:
    """Of runs, new and resumed, at a step or at what they do to a file, with a worker and without, as seeds tell."""
    kills = 0
    for seed in range(10 * part, 10 * part + 10):
        draw = random.Random(seed)
        command = [*COMMANDS[name], *draw.choice(OPTIMISERS if name == "fit" else [[]])]
        whole, count = ended_as(command, begun(name))
        folder = begun(name)
        for _ in range(draw.randint(1, 3)):
            typed = again(command, folder)
            if name == "fit":
                typed = [*typed, "--data.workers", str(draw.randint(0, 1))]
            at, prepare = (draw.randint(1, count),), NOTHING
            if draw.random() < 0.5:
                at, prepare = (), partial(signal_at, *STEP[name], draw.randint(1, STEPS[name]), signal.SIGKILL)
            ended = run(typed, folder, kill, at, prepare)
            kills += ended.status == -signal.SIGKILL
            assert "Traceback" not in ended.said, ended.said
        check_ends_the_same(command, folder, whole)
    assert kills >= 10


def ended_as(command: list[str], folder: Path) -> tuple[dict[str, Any], int]:
    """What a command leaves in a folder that nothing happens to, and how much it does to files."""
    if (key := " ".join(command)) not in BUILT:
        ended = done(run(command, folder))
        BUILT[key] = contents(folder), ended.count
    return BUILT[key]
