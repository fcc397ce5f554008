"""The command that times."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from lit_a1.benchmark import step
from lit_a1.benchmark.timing import Timing, timing_of
from lit_a1.cli import main
from lit_a1.commands import benchmark
from lit_a1.commands.benchmark import PAIRS
from tests.conftest import Capture, Refusal

Modules = Callable[[Callable[[str, int], list[Timing]]], None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Modules:
    """Puts a function of name and pairs in the place of all benchmarks."""

    def put(timed: Callable[[str, int], list[Timing]]) -> None:
        for name in PAIRS:
            module = import_module(f"lit_a1.benchmark.{name}")
            monkeypatch.setattr(module, name, lambda pairs, name=name: timed(name, pairs))

    return put


def test_timings_are_printed_kept_and_compared(
    stand_in: Modules, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    stand_in(lambda *_: [timing_of("a step", "torch's", [0.003], [0.002], 1.15)])
    main(["benchmark", "step", "--json", "x.json"])
    kept = json.loads(Path("x.json").read_text())
    assert kept["machine"]
    assert kept["timings"][0]["ratio"] == 1.5
    assert "before" not in capsys.readouterr().out
    others = [
        timing_of("a step", "torch's", [0.0012], [0.001], 1.15),
        timing_of("memory", "bytes", [3e9], [2e9], None, "B"),
    ]
    stand_in(lambda *_: others)
    main(["benchmark", "step", "--compare", "x.json"])
    said = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["a step: torch's", "1.20 ms", "1.00 ms", "1.200", "1.20 to 1.20", "1.15", "1.500 (-20%)"] in said
    assert ["memory: bytes", "3.00 GB", "2.00 GB", "1.500", "1.50 to 1.50", "", "new"] in said


def test_the_accepted_figures_are_those_of_this_kind_of_machine(
    stand_in: Modules, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture, refusal: Refusal
) -> None:
    monkeypatch.setattr(benchmark, "ACCEPTED", tmp_path)
    monkeypatch.setattr(benchmark, "machine", lambda: "AMD EPYC (AVX2), 2 cores")
    stand_in(lambda *_: [timing_of("a step", "torch's", [3.0], [2.0], 1.15)])
    assert "there is no file" in refusal("benchmark", "step", "--compare")
    main(["benchmark", "step", "--json", str(tmp_path / "amd-epyc-avx2-2-cores.json")])
    main(["benchmark", "step", "--compare"])
    assert "1.500 (+0%)" in capsys.readouterr().out.replace("\n", "")


def test_the_shipped_figures_can_be_compared_with() -> None:
    files = sorted(benchmark.ACCEPTED.glob("*.json"))
    assert files
    for path in files:
        assert benchmark.accepted_ratios(path)


def test_all_but_mnist_run_by_default(stand_in: Modules) -> None:
    asked: list[tuple[str, int]] = []
    stand_in(lambda name, pairs: asked.append((name, pairs)) or [])
    others = [name for name in PAIRS if name != "mnist"]
    main(["benchmark"])
    assert asked == [(name, PAIRS[name]) for name in others]
    asked.clear()
    main(["benchmark", "mnist", "--pairs", "2"])
    assert asked == [("mnist", 2)]


def test_a_profile_has_a_bar_a_part(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(step, "profile", lambda pairs: {"rest": -0.001, "convolutions": 0.02, "average": pairs / 1000})
    main(["benchmark", "step", "--profile", "--pairs", "1"])
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row for row in rows if len(row) == 4] == [
        ["convolutions", "20.00", "100%", "█" * 40],
        ["average", "1.00", "5%", "█" * 2],
        ["rest", "-1.00", "-5%", ""],
        ["a step of `fit`", "20.00", "", ""],
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--json", "missing/x.json"], "--json must name a file in a folder that is there; got missing/x.json"),
        (["--pairs", "0"], "--pairs must be at least 1; got 0"),
        (["sleep"], "invalid choice: 'sleep'"),
        (["--compare", "missing.json"], "there is no file missing.json; --compare names it"),
        (["--compare", "damaged.json"], "damaged.json is no file that `benchmark --json` wrote"),
        (["mlp", "--profile"], "--profile goes with `benchmark step`, and without --json and --compare"),
    ],
)
def test_mistakes_are_told_before_anything_is_timed(
    flags: list[str], words: str, stand_in: Modules, refusal: Refusal
) -> None:
    Path("damaged.json").write_text('{"timings": [1]}')
    stand_in(lambda *_: pytest.fail("it was timed"))
    assert words in refusal("benchmark", *flags)
