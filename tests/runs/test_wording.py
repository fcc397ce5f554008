import math
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from lit_a1.runs import wording
from lit_a1.runs.wording import counted, listed, number, percent, table, typed


def test_numbers_have_three_digits() -> None:
    values = (0.0, 2.34567, 147.23, 3635.5, 0.00071234, 1.2e-7, 4.3e18, math.nan)
    assert [number(value) for value in values] == [
        *("0", "2.35", "147", "3,636", "0.000712", "1.2e-07", "4.3e+18", "not finite")
    ]


def test_shares_are_percents() -> None:
    assert [percent(share) for share in (0.0, 0.00552, 1.0, math.nan)] == ["0.00 %", "0.55 %", "100.00 %", "not finite"]


def test_lists_end_in_and() -> None:
    assert listed([1.234, 2, "c"]) == "1.23, 2 and c"
    assert listed([0.5], percent) == "50.00 %"


def test_nouns_follow_their_number() -> None:
    assert [counted(count, "run") for count in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]


def test_a_table_has_a_heading_and_numbers_to_the_right() -> None:
    assert table([["", "MLP"], ["error", "1 %"]]) == "|  | MLP |\n| --- | ---: |\n| error | 1 % |"


def test_commands_are_quoted_as_the_system_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("fit", "--model.widths", "[4,8]", "--data.size_schedule", "{0: 40}", "it's", 'a "b"', Path("a b"))
    assert shlex.split(typed(*words)) == list(map(str, words))
    monkeypatch.setattr(wording, "sys", SimpleNamespace(platform="win32"))
    assert typed(*words) == r'''fit --model.widths [4,8] --data.size_schedule "{0: 40}" it's "a \"b\"" "a b"'''
