"""Timings of one side against others."""

import math

from lit_a1.benchmark.timing import alternate, seconds_by_turns, timing_of


def test_sides_alternate_and_the_warm_up_is_not_counted() -> None:
    calls: list[str] = []
    others = {name: (lambda name=name: calls.append(name), limit) for name, limit in (("torch", 1.15), ("limit", None))}
    rows = alternate("x", lambda: calls.append("ours"), others, pairs=3, steps=2)
    assert calls == ["ours", "torch", "limit"] * 5
    assert [len(times) for times in seconds_by_turns([list, list], pairs=3, name="x")] == [3, 3]
    assert [(row.name, row.other, row.at_most) for row in rows] == [("x", "torch", 1.15), ("x", "limit", None)]


def test_a_ratio_is_the_median_of_pairs_with_its_quartiles() -> None:
    timing = timing_of("x", "y", [1.0, 2.0, 3.0, 4.0, 50.0], [2.0] * 5, 1.0)
    assert (timing.ours, timing.theirs, timing.ratio, timing.spread) == (3.0, 2.0, 1.5, (1.0, 2.0))
    assert timing_of("x", "y", [1.0], [2.0], None).spread == (0.5, 0.5)


def test_what_is_infinite_is_null_in_json() -> None:
    found = timing_of("x", "y", [math.inf], [2.0], 1.0, "B").as_json()
    assert found == {
        "name": "x", "other": "y", "ours": None, "theirs": 2.0, "ratio": None, "spread": [None, None], "at_most": 1.0,
        "unit": "B",
    }  # fmt: skip
