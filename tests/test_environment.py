import subprocess
import sys
from pathlib import Path

import numpy as np

from lit_a1.environment import commit, machine, peak_memory_gb, versions

REPOSITORY = Path(__file__).resolve().parents[1]


def test_what_a_figure_was_measured_on() -> None:
    assert versions().keys() >= {"python", "torch", "lightning"}
    assert machine()
    before = peak_memory_gb()
    block = np.ones(60_000_000)  # 0.48 GB
    assert peak_memory_gb() >= max(before, 0.48)
    del block


def test_the_commit_is_empty_where_there_is_no_git(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def refuse(*arguments: object, **options: object) -> None:
        raise FileNotFoundError

    assert isinstance(commit(), str)
    monkeypatch.setattr(subprocess, "run", refuse)
    assert commit() == ""


def test_freed_memory_is_kept_without_complaint() -> None:
    code = "import lit_a1.environment as e; e.keep_freed_memory(); print(sum(bytearray(1 << 22)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
