"""The scripts of docs/scaling.md, with the programs of a cluster simulated."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lit_a1.training import parse
from tests.conftest import REPOSITORY
from tests.test_continuation import check_same_end
from tests.test_training import SMALL

SCRIPTS = [REPOSITORY / "docs" / name for name in ("slurm.sh", "torchrun.sh")]
TINY = [
    *SMALL, "--trainer.max_epochs", "3", "--data.size_schedule", "{0: 8}", "--data.batch_size", "16",
    "--model.precise_bn", "0",
]  # fmt: skip
PROGRAMS = {
    # a process for each task, as SLURM starts them on one node
    "srun": """
for task in $(seq 0 $((SLURM_NTASKS - 1))); do
    SLURM_PROCID=$task SLURM_LOCALID=$task "$@" & echo $! > "$TASKS/$task"
done
wait
""",
    # ends the job, and lets it begin again later
    "scontrol": """
echo "$@" > "$TASKS/requeued"
kill -9 $(cat "$TASKS"/[0-9])
""",
    # the signal reaches the two tasks a step apart
    "python": f"""
exec {sys.executable} -c '
import os, signal, sys
from tests.signals import signal_at
from lit_a1.cli import main

if "CUT" in os.environ:
    at = int(os.environ["CUT"]) + int(os.environ["SLURM_PROCID"])
    signal_at("lit_a1.models:Classifier", "on_before_optimizer_step", at, signal.SIGUSR1)
main(sys.argv[2:])
' "$@"
""",
}
pytestmark = pytest.mark.skipif(shutil.which("bash") is None or sys.platform != "linux", reason="needs bash, on Linux")


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of two tasks."""
    (tasks := tmp_path / "tasks").mkdir()
    (programs := tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/usr/bin/env bash{text}")
        (programs / name).chmod(0o755)
    job = {"JOB_ID": "7", "JOB_NAME": "x", "NTASKS": "2", "NTASKS_PER_NODE": "2", "NNODES": "1", "NODEID": "0"}
    job |= {"NODELIST": "localhost", "SUBMIT_DIR": str(tmp_path)}
    paths = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY), "TASKS": str(tasks)}
    return os.environ | paths | {f"SLURM_{name}": value for name, value in job.items()}


def bash(script: Path, environment: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    words = ["timeout", "--signal=KILL", "240", "bash", str(script), *flags]  # with all that it has started
    return subprocess.run(words, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_reads_the_scripts(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""
    assert os.access(script, os.X_OK)
    assert script.name in (REPOSITORY / "docs" / "scaling.md").read_text()


def test_slurm_is_asked_for_what_going_on_needs() -> None:
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", SCRIPTS[0].read_text(), re.MULTILINE))
    assert options.keys() >= {"requeue", "signal", "time", "ntasks-per-node", "gpus-per-node"}
    assert re.fullmatch(r"SIGUSR1@\d{2,}", options["signal"])  # to the tasks, not to the shell alone
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert options["open-mode"] == "append"  # or what a job said before it was requeued is lost


@pytest.mark.long
def test_a_job_of_two_tasks_is_requeued_and_goes_on(photos: Path, cluster: dict[str, str]) -> None:
    def submit(name: str, **more: str) -> subprocess.CompletedProcess[str]:
        return bash(SCRIPTS[0], cluster | more, *TINY, "--trainer.logger.init_args.name", name)

    whole = submit("whole")
    assert "Best epoch" in whole.stdout, whole.stderr
    cut = submit("cut", CUT="3")
    requeued = Path(cluster["TASKS"], "requeued")
    assert requeued.is_file(), cut.stderr
    assert requeued.read_text() == "requeue 7\n"
    assert "Best epoch" not in cut.stdout
    assert len(list(Path("lightning_logs").rglob("hpc_ckpt*"))) == 1
    rest = submit("cut")
    assert "Best epoch" in rest.stdout, rest.stderr
    check_same_end(Path("lightning_logs/cut/version_0"), Path("lightning_logs/whole/version_0"))
    assert not list(Path("lightning_logs").rglob("hpc_ckpt*"))


def test_torchrun_is_given_the_devices_that_lightning_is(cluster: dict[str, str]) -> None:
    program = Path(cluster["PATH"].partition(":")[0], "torchrun")
    program.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    for given, nodes, devices in (({}, 1, 1), ({"NODES": "2", "DEVICES": "4", "HOST": "first"}, 2, 4)):
        said = bash(SCRIPTS[1], cluster | given, *SMALL).stdout.splitlines()
        options = dict(zip(said[: said.index("main.py") : 2], said[1 : said.index("main.py") : 2], strict=True))
        assert (options["--nnodes"], options["--nproc-per-node"]) == (f"{nodes}", f"{devices}")
        assert options["--rdzv-endpoint"] == f"{given.get('HOST', 'localhost')}:29400"
        trainer = parse(said[said.index("main.py") + 1 :]).trainer
        assert (trainer.strategy, trainer.num_nodes, int(trainer.devices)) == ("ddp", nodes, devices)
