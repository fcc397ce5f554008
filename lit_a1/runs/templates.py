"""Texts: Jinja2 templates of Markdown (`NAME.md.j2`, next to the code) have the sentences, the code the numbers."""

import functools
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lit_a1.runs import wording

PACKAGE = Path(__file__).resolve().parents[1]
BLOCK_STARTS = ("|", "#", "- ", "* ", "1. ", ">", "    ", "```", "<")  # how Markdown blocks other than paragraphs begin
FILTERS = (wording.number, wording.percent, wording.listed, wording.duration, wording.counted)
GLOBALS = (wording.table, wording.interval, wording.spread, wording.probability, math.isfinite)


@functools.cache
def _environment() -> Environment:
    env = Environment(loader=FileSystemLoader(PACKAGE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters |= {function.__name__: function for function in FILTERS}
    env.globals |= {function.__name__: function for function in GLOBALS}
    return env


def render(template: str, **values: Any) -> str:
    """The text of a template, with one line for each paragraph, ending in a newline.

    Templates can break lines freely: within a paragraph, line breaks and indents become single spaces. Empty paragraphs
    are left out. Headings, tables, lists and code are unchanged.

    Filters: `number` (three digits), `percent` (`0.55 %`), `listed` (`1, 2 and 3`), `duration` (`62.0 min`) and, as in
    `{{ 2 | counted("run") }}`, `counted` (`2 runs`).
    Functions: `table(rows)`; `interval`, `spread` and `probability` for errors and p values.

    Args:
        template: its path in the package, `studies/inits/comparison.md.j2`.
        values: by the names that the template uses; one that is missing raises `jinja2.UndefinedError`.
    """
    text = _environment().get_template(template).render(values)
    blocks = filter(None, (block.strip("\n").rstrip() for block in text.split("\n\n")))
    return "\n\n".join(block if block.startswith(BLOCK_STARTS) else " ".join(block.split()) for block in blocks) + "\n"
