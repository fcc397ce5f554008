"""Runs a command in a forked process, which fails or is killed when it accesses a file for the n-th time.

A fork costs nothing where a new process costs five seconds of imports.
"""

import copy
import errno
import hashlib
import importlib
import json
import mmap
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import Namespace

from lit_a1.cli import main
from lit_a1.commands.search import build_parser
from lit_a1.training import TrainingCLI, parse
from tests.conftest import read_csv, scalars

if sys.platform != "linux":
    pytest.skip("what a process does to files is followed through /proc", allow_module_level=True)
for name in (
    "commands.audit",
    "commands.mlp",
    "commands.report",
    "mlp.loop",
    "studies.search.cnn",
    "studies.search.study",
):
    importlib.import_module(f"lit_a1.{name}")  # once, and not in every process

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TOUCHING = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "shutil.move")
STARTING = ("os.fork", "subprocess.Popen")
HUNG = 60  # seconds
PIPE = 1 << 20  # bytes: more than any command says
# in what equal runs may differ; the last is what a checkpoint was chosen by, which Lightning does not restore
TIMES = re.compile(r"seconds|images_per_second|peak_memory_gb|finished|events|workers|current_score")
NAMES = re.compile(r"version_\d+")
Strike = Callable[[str, str], None]
Prepare = Callable[[], object]
NOTHING: Prepare = dict  # which does nothing when called
PARSED: dict[tuple[str, ...], Any] = {}  # commands, which a process would take half of its time to parse


def parsed(cli: TrainingCLI, parser: Any, args: Any) -> None:
    """In the place of `TrainingCLI.parse_arguments`."""
    found = PARSED.get(tuple(args))
    cli.config = parser.parse_args(args) if found is None else copy.deepcopy(found)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int  # as a shell counts it; below 0 the signal that killed it
    said: str
    count: int  # of what it did to files


def kill(event: str, path: str) -> None:
    """As a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number: int) -> Strike:
    """Fails as the system does; on a full disk files can be removed."""

    def strike(event: str, path: str) -> None:
        if number != errno.ENOSPC or event in ("open", "os.mkdir", *STARTING):
            raise OSError(number, os.strerror(number), path)

    return strike


def limit(size: int, handler: signal.Handlers) -> None:
    """No file can grow beyond it: a write fails, or ends the process, in its middle."""
    import resource  # which Windows lacks

    signal.signal(signal.SIGXFSZ, handler)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(
    arguments: Sequence[str],
    folder: Path,
    strike: Strike | None = None,
    at: Iterable[int] = (),
    prepare: Prepare = NOTHING,
) -> Ended:
    """Runs a command in a folder.

    Args:
        strike: called with an audited event and its path before something is done to a file below the folder, or a
            process is started.
        at: at which of these moments, counted from 1.
        prepare: called in the process, before the command.
    """
    import fcntl  # which Windows lacks

    options = ["fit", *build_parser().parse_known_args(arguments[1:])[1]] if arguments[0] == "search" else arguments
    if options[0] in ("fit", "validate", "predict") and tuple(options) not in PARSED:
        PARSED[tuple(options)] = Namespace({"subcommand": options[0], options[0]: parse(options)})
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    counted = mmap.mmap(-1, mmap.PAGESIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which a process of pytest may have
        child = os.fork()
    if child == 0:
        _run(arguments, folder, writing, counted, strike, at, prepare)
    os.close(writing)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.set_blocking(reading, False)  # a worker may outlive it for some seconds
    try:
        said = os.read(reading, PIPE).decode(errors="replace")
    except BlockingIOError:
        said = ""
    os.close(reading)
    with counted:
        return Ended(status, said, int.from_bytes(counted[:4], "little"))


def _run(
    arguments: Sequence[str],
    folder: Path,
    writing: int,
    counted: mmap.mmap,
    strike: Strike | None,
    at: Iterable[int],
    prepare: Prepare,
) -> None:
    status, me = 1, os.getpid()

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event == "open":
            path, where = values[0], -1
            if isinstance(path, int) or not values[2] & WRITING:
                return
        elif event in TOUCHING:
            path, where = values[0], values[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
        elif event not in STARTING:
            return
        else:
            path, where = folder, -1
        held = Path(f"/proc/self/fd/{where}").readlink() if where >= 0 else Path.cwd()
        name = held / os.fsdecode(path)
        if os.getpid() != me or not name.is_relative_to(folder):
            return
        count = int.from_bytes(counted[:4], "little") + 1
        counted[:4] = count.to_bytes(4, "little")
        if strike is not None and count in at:
            strike(event, str(name))

    try:
        signal.alarm(HUNG)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor in (1, 2):
            os.dup2(writing, descriptor)
        sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", buffering=1) for descriptor in (1, 2))
        sys.unraisablehook, sys.argv = sys.__unraisablehook__, ["main.py", *arguments]
        os.chdir(folder)
        TrainingCLI.parse_arguments = parsed  # type: ignore[method-assign]
        prepare()
        sys.addaudithook(hook)
        main()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def curves(run_folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each point that a run has logged, in the order of the steps' first ones."""
    return {tag: list(dict(points).items()) for tag, points in scalars(run_folder).items() if not TIMES.search(tag)}


def plain(value: Any) -> Any:
    """What can be compared, without times."""
    if isinstance(value, dict):
        return {plain(str(key)): plain(each) for key, each in value.items() if not TIMES.search(str(key))}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, torch.Tensor | np.ndarray):
        return (str(value.dtype), tuple(value.shape), np.asarray(value).tobytes())
    return NAMES.sub("version_N", value) if isinstance(value, str) else value


def read(path: Path) -> Any:
    """What a file holds, as `plain` has it; raises where it is not whole."""
    if path.suffix == ".ckpt":
        return plain(torch.load(path, weights_only=True))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return plain({name: json.loads(str(file[name])) if name == "run" else file[name] for name in file.files})
    if path.suffix == ".json":
        return plain(json.loads(path.read_text()))
    content = re.sub(rb"\bworkers: \d", b"", path.read_bytes())
    return hashlib.sha256(content).digest() if path.suffix == ".npy" else content


def trials(path: Path) -> list[Any]:
    """Of a search, the trials that came to their end: numbers and files of those that did not are left out."""
    rows = [row for row in read_csv(path) if row["state"] != "failed"]
    folders = [path.with_name(f"trial_{row.pop('trial')}") for row in rows]
    kept = [plain(row) for row in rows]
    return [(row, read(run / "record.json")) for row, run in zip(kept, folders, strict=True)]


def is_hidden(name: str) -> bool:
    """Whether a file is a lock, or not under its final name."""
    return any(part.startswith(".") for part in name.split("/"))


def current(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files in a folder, with their names, but for those of runs that are not the newest ones."""
    found = [(path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*")) if path.is_file()]
    versions = [(name[: match.start()], int(match[0][8:])) for _, name in found if (match := NAMES.search(name))]
    newest = dict(sorted(versions))
    for path, name in found:
        match = NAMES.search(name)
        if match is None or newest[name[: match.start()]] == int(match[0][8:]):
            yield path, NAMES.sub("version_N", name)


def contents(folder: Path) -> dict[str, Any]:
    """What lies in a folder, by name: of runs the newest one, and its curves."""
    result: dict[str, Any] = {}
    for path, name in current(folder):
        if is_hidden(name):
            continue
        if "-search/" in name:
            if path.parent.name.startswith("version_") and path.suffix != ".journal":
                result[name] = trials(path) if path.suffix == ".csv" else path.stat().st_size > 0
        elif path.name.startswith("events."):
            result[f"{Path(name).parent}/curves"] = curves(path.parent)
        else:
            result[name] = read(path)
    return result


def traces(folder: Path) -> list[Any]:
    """Names of all that a command left, old runs and unfinished files too, but for random ones; lines of journals."""
    found: list[Any] = []
    for path in sorted(folder.rglob("*")):
        name = re.sub(r"-[0-9a-z_]{8}\b|events.*", "", path.relative_to(folder).as_posix())
        text = path.read_bytes() if path.suffix == ".journal" else b""
        found.append((name, path.is_dir(), re.sub(rb'"(datetime_\w+|worker_id|seconds)":[^,}]+', b"", text)))
    return found


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two things as `contents` has them differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key, "absent"), other.get(key, "absent"), f"{place} {key}")
    elif one != other:
        yield f"{place}: {str(one)[:200]} is not {str(other)[:200]}"
