"""The benchmarks whose sides are processes of their own."""

import pytest

from lit_a1.benchmark import growth, loop, start


def test_time_and_memory_of_both_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {loop.fit: (3.0, 8e8), loop.bare_loop: (2.0, 4e8)}
    monkeypatch.setattr(loop, "in_new_process", lambda function, *_: found[function])
    seconds, memory = loop.loop(2)
    assert (seconds.ratio, seconds.at_most, seconds.unit) == (1.5, 1.03, "s")
    assert (memory.ratio, memory.at_most, memory.unit) == (2.0, 1.2, "B")


def test_a_photo_of_many_against_one_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {str(growth.FEW): (2.0, 1e9), str(growth.MANY): (30.0, 1e9 + 18_000 * 24_576)}
    monkeypatch.setattr(growth, "write_photos", lambda *_: None)
    monkeypatch.setattr(growth, "in_new_process", lambda _, folder: counts[folder.rpartition("/")[2]])
    seconds, memory = growth.growth(1)
    assert seconds.ratio == pytest.approx(1.5)
    assert memory.ratio == pytest.approx(2.0)


def test_waiting_for_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(start, "run", lambda *command: commands.append(command))
    rows = start.start(1)
    assert [row.notes for row in rows] == [["at most 3 s"], ["at most 12 s"]]
    assert {command[2:4] for command in commands if command[0] == "-m"} == {("fit", "--help"), ("fit", "--config")}
