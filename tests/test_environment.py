import subprocess

import numpy as np

from lit_a1.environment import commit, machine, peak_memory_gb, versions


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
