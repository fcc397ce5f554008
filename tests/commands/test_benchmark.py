"""The command that times."""

import json
from pathlib import Path

import pytest

from lit_a1.benchmark.speed import BENCHMARKS
from lit_a1.benchmark.timing import alternate
from lit_a1.cli import main
from lit_a1.commands.benchmark import PAIRS


def test_timings_are_printed_and_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(BENCHMARKS, "step", lambda pairs: [alternate("a step", list, list, pairs, 1.15)])
    main(["benchmark", "step", "--pairs", "1", "--json", "x.json"])
    (found,) = json.loads(Path("x.json").read_text())
    assert found.keys() == {"name", "ours_s", "theirs_s", "ratio", "limit"}
    assert "a step" in capsys.readouterr().out


def test_three_pairs_by_default_and_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAIRS.keys() == BENCHMARKS.keys()
    asked: list[tuple[str, int]] = []
    for name in list(BENCHMARKS):
        monkeypatch.setitem(BENCHMARKS, name, lambda pairs, name=name: asked.append((name, pairs)) or [])
    main(["benchmark"])
    main(["benchmark", "mnist"])
    main(["benchmark", "--pairs", "2"])
    assert asked == [("mlp", 15), ("step", 15), ("mnist", 3), ("mlp", 2), ("step", 2)]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--json", "missing/x.json"], "--json must name a file in a folder that is there; got missing/x.json"),
        (["--pairs", "0"], "--pairs must be at least 1; got 0"),
        (["sleep"], "invalid choice: 'sleep'"),
    ],
)
def test_mistakes_are_told_before_anything_is_timed(
    flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in PAIRS:
        monkeypatch.delitem(BENCHMARKS, name)
    with pytest.raises(SystemExit) as leaving:
        main(["benchmark", *flags])
    assert leaving.value.code == 2
    assert words in capsys.readouterr().err
