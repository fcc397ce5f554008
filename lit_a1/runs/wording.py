"""Numbers, lists and tables in the style of the project's texts."""

import math
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from statistics import mean, stdev

MIN_SIMILARITY, PART_WEIGHT = 0.65, 0.8  # of words, from 0 to 1: least for a suggestion; that of a part


def number(value: float) -> str:
    """A number with three digits, and an exponent only below 0.0001 and from a million on."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:.1e}"


def percent(share: float) -> str:
    """A share as `0.55 %`."""
    return f"{100 * share:.2f} %" if math.isfinite(share) else "not finite"


def interval(low: float, high: float) -> str:
    """An interval of errors, which are never negative: `0.49 to 0.61 %`."""
    return f"{100 * max(low, 0.0):.2f} to {percent(high)}"


def probability(p: float) -> str:
    """A p value to two digits, or `below 0.001`."""
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}" if p >= 0.001 else "below 0.001"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of errors; for a single run its error."""
    if len(values) == 1:
        return f"{percent(values[0])} (one run)"
    return f"{100 * mean(values):.2f} ± {percent(stdev(values))}"


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on, for progress messages."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def duration(seconds: float) -> str:
    """A duration for texts and tables: in minutes from two minutes on, else in seconds."""
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.0f} s"


def counted(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {noun}" + "s" * (count != 1)


def listed(values: Iterable[float] | Iterable[str], format_number: Callable[[float], str] = number) -> str:
    """`1, 2 and 3`; `format_number` formats numbers."""
    *others, last = (value if isinstance(value, str) else format_number(value) for value in values)
    return f"{', '.join(others)} and {last}" if others else last


def suggestion(word: str, words: Iterable[str], form: str = "{}") -> str:
    """`; did you mean --trainer.max_epochs?` with the most similar of the words; empty if none is similar enough.

    Words are compared whole and by their last part. `form` is how the word is typed: `--{}` for an option.
    """

    def similarity(candidate: str) -> tuple[float, float]:
        end, candidate_end = (re.split("[./]", text)[-1] for text in (word, candidate))
        whole, last = (SequenceMatcher(None, *pair).ratio() for pair in ((word, candidate), (end, candidate_end)))
        is_part = word in candidate_end.split("_")  # `seed` of seed_everything
        return max(whole, last, PART_WEIGHT * is_part), whole

    best = max(words, key=similarity, default="")
    return f"; did you mean {form.format(best)}?" if similarity(best) > (MIN_SIMILARITY, 0) else ""


def typed(*words: str | Path) -> str:
    """A command, or part of one, as typed into this system's terminal, quoted if necessary."""
    texts = list(map(str, words))
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is the heading, the first column is text, the other columns are numbers."""
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))
