import math
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lit_a1.runs import wording
from lit_a1.runs.wording import clock, counted, listed, number, percent, suggestion, typed


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (number, {0.0: "0", 2.34567: "2.35", 147.23: "147", 3635.5: "3,636", 0.00071234: "0.000712", 1.2e-7: "1.2e-07",
                  4.3e18: "4.3e+18", math.nan: "not finite"}),
        (percent, {0.0: "0.00 %", 0.00552: "0.55 %", 1.0: "100.00 %", math.nan: "not finite"}),
        (clock, {0: "0:00", 59.6: "1:00", 61: "1:01", 3599: "59:59", 3661: "1:01:01"}),
        (lambda count: counted(count, "run"), {0: "0 runs", 1: "1 run", 1200: "1,200 runs"}),
        (listed, {(1.234, 2, "c"): "1.23, 2 and c"}),
        (lambda values: listed(values, percent), {(0.5,): "50.00 %"}),
    ],
    ids=["number", "percent", "clock", "counted", "listed", "listed percents"],
)  # fmt: skip
def test_words(words: Callable[[Any], str], texts: dict[Any, str]) -> None:
    assert {value: words(value) for value in texts} == texts


@pytest.mark.parametrize(
    ("word", "likest"),
    [
        ("epochs", "trainer.max_epochs"),  # of two as like, the first
        ("trainer.epoch", "trainer.max_epochs"),
        ("seed", "seed_everything"),
        ("modle.lr", "model.lr"),
        ("CatDogCNN", "CatsDogsCNN"),
        ("momentum", None),
    ],
)
def test_the_nearest_word(word: str, likest: str | None) -> None:
    words = ("config", "trainer.max_epochs", "trainer.min_epochs", "model.lr", "seed_everything", "CatsDogsCNN")
    assert suggestion(word, words, "--{}") == (f"; did you mean --{likest}?" if likest else "")
    assert suggestion(word, []) == ""


def test_commands_are_quoted_as_the_system_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("fit", "--model.widths", "[4,8]", "--data.size_schedule", "{0: 40}", "it's", 'a "b"', Path("a b"))
    assert shlex.split(typed(*words)) == list(map(str, words))
    monkeypatch.setattr(wording, "sys", SimpleNamespace(platform="win32"))
    assert typed(*words) == r'''fit --model.widths [4,8] --data.size_schedule "{0: 40}" it's "a \"b\"" "a b"'''
