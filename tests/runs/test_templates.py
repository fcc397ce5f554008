"""Texts from templates."""

from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

from lit_a1.runs import templates


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(templates, "PACKAGE", tmp_path)
    templates._environment.cache_clear()
    yield tmp_path / "words.md.j2"
    templates._environment.cache_clear()


def test_paragraphs_are_lines_and_empty_ones_are_left_out(template: Path) -> None:
    template.write_text(
        "# A title\n\nOf {{ runs | counted('run') }}\n  {% if best %}\nthe best has {{ best | percent }}\n"
        "  {% endif %}\nof errors.\n\n{% if worst is defined %}\nNever.\n{% endif %}\n\n"
        "{% if worst is defined %}\nNor this.\n{% endif %}\n\n"
        "- one\n- {{ [1, 2.5] | listed }}\n\n"
        "{{ table([['a', 'b'], ['x', '1']]) }}\n\n    python main.py fit\n"
    )
    assert templates.render("words.md.j2", runs=2, best=0.0123) == (
        "# A title\n\nOf 2 runs the best has 1.23 % of errors.\n\n- one\n- 1 and 2.5\n\n"
        "| a | b |\n| --- | ---: |\n| x | 1 |\n\n    python main.py fit\n"
    )
    assert "Of 1 run of errors." in templates.render("words.md.j2", runs=1, best=0)


def test_a_name_that_is_missing_is_no_empty_word(template: Path) -> None:
    template.write_text("{{ forgotten }}")
    with pytest.raises(jinja2.UndefinedError, match="forgotten"):
        templates.render("words.md.j2")
