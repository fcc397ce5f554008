"""What a Windows machine lacks is not needed: taken away here, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LIKE_WINDOWS = f"""
import builtins, multiprocessing, os, signal, sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

sys.path.insert(0, {str(REPOSITORY)!r})
LACKING = ("crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
LESS = {{
    "os": "chown fork geteuid getpgid getuid killpg mkfifo nice sched_getaffinity setsid uname wait".split(),
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGQUIT SIGSTOP SIGUSR1 SIGUSR2 alarm pause setitimer".split(),
}}


def import_(name, globals=None, *others, real=builtins.__import__, **named):
    found = real(name, globals, *others, **named)
    if not (globals or {{}}).get("__name__", "").startswith("lit_a1"):
        return found  # other packages know what system they are on
    if name in LACKING:
        raise ModuleNotFoundError(name)
    if name in LESS:
        whole, found = found, ModuleType(name)
        found.__dict__.update((key, value) for key, value in vars(whole).items() if key not in LESS[name])
    return found


def unless_open(move):
    def guarded(source, target, **options):
        descriptors, maps = Path("/proc/self/fd"), Path("/proc/self/maps")
        held = [os.path.realpath(each) for each in descriptors.iterdir()] if descriptors.exists() else []
        held += [line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines()] if maps.exists() else []
        for path in map(os.path.realpath, (source, target)):
            if any(each == path or each.startswith(path + os.sep) for each in held):
                raise PermissionError(13, "it is open", path)
        move(source, target, **options)
    return guarded


if __name__ == "__main__":
    builtins.__import__ = import_
    os.replace, os.rename = unless_open(os.replace), unless_open(os.rename)
    multiprocessing.set_start_method("spawn")
    from lit_a1 import cli, environment
    from lit_a1.runs import wording

    environment.sys = wording.sys = SimpleNamespace(platform="win32")
    psutil = sys.modules["psutil"] = ModuleType("psutil")
    psutil.Process = lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=3_000_000_000))
    for line in Path("commands.txt").read_text(encoding="utf-8").splitlines():
        cli.main(line.split())
"""
SMALL = "--trainer.accelerator cpu --model.widths [4,8] --model.blocks [1] --data.n_valid 16"
NET = "--trainer.max_epochs 1 --model.hidden_dims [8,8] --model.parameter_range [1,99999]"
COMMANDS = f"""\
fit --config configs/catsdogs_trial.yaml {SMALL} --model.compile_net false --trainer.max_epochs 1 --data.workers 1
validate --config configs/catsdogs_trial.yaml {SMALL}
architecture --config configs/mnist.yaml
audit
mlp fit {NET}
mlp inits {NET}
"""


@pytest.mark.long
def test_all_commands_run(course_photos: Callable[..., Path], mnist_files: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "Mes études\\de chats → chiens"
    folder.mkdir()
    data = course_photos().rename(folder / "data")
    mnist_files(data / "mnist")
    (folder / "configs").symlink_to(REPOSITORY / "configs")
    (folder / "main.py").write_text(LIKE_WINDOWS, encoding="utf-8")
    (folder / "commands.txt").write_text(COMMANDS, encoding="utf-8")
    own = {"LIT_A1_DATA": str(data), "LIT_A1_CACHE": str(folder / "cache"), "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=folder, env=os.environ | own, capture_output=True,
        encoding="cp1252", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "peak memory 3.00 GB" in done.stdout  # as psutil has it
    assert "Values before ? after training" in done.stdout  # an arrow, which cp1252 lacks
    runs = folder / "lightning_logs"
    for name in ("catsdogs_trial/version_0/checkpoints/best.ckpt", "mlp/version_0/record.json"):
        assert (runs / name).is_file()
