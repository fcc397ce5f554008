"""Waiting times for a user: `fit --help`, and a `fit` of one step with compiled code in the cache."""

import subprocess
import sys
import tempfile
from functools import partial

from lit_a1.benchmark.timing import Timing, alternate
from lit_a1.environment import REPOSITORY

MAX_HELP, MAX_STEP = 3, 12  # seconds at most


def run(*command: str) -> None:
    """Runs Python in a new process."""
    subprocess.run([sys.executable, *command], check=True, capture_output=True)


def start(pairs: int) -> list[Timing]:
    """Times both against the import of Lightning, which does not depend on this project."""
    fit = ("-m", "lit_a1", "fit")
    options = {"max_epochs": "1", "limit_train_batches": "1", "limit_val_batches": "0", "enable_checkpointing": "false"}
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--trainer.{name}={value}" for name, value in {**options, "default_root_dir": folder}.items()]
        step = (*fit, "--config", str(REPOSITORY / "configs/catsdogs.yaml"), "--data.source", "drawn", *flags)
        others = {"the import of Lightning": (partial(run, "-c", "import lit_a1, lightning"), None)}
        rows = [
            (alternate("`fit --help`", partial(run, *fit, "--help"), others, pairs), MAX_HELP),
            (alternate("`fit` of one step, from call to end", partial(run, *step), others, pairs), MAX_STEP),
        ]
    return [timing._replace(notes=[f"at most {limit} s"]) for (timing,), limit in rows]
