"""The Markdown that templates give, read as blocks."""

from pathlib import Path

import pytest

from lit_a1.report.document import FUNCTIONS, Block, Document, Section, read_markdown
from lit_a1.report.outputs import split_markdown


def test_the_appendix_has_letters_and_goes_on_counting() -> None:
    answer, detail = (Section("S", name, 1, [Block("figure", "F")]) for name in ("answer", "detail"))
    report = Document("", "", [], [answer], [detail, Section("Below", "below", 2), Section("Next", "next")])
    assert [section.number for section in (*report.sections, *report.appendix)] == ["1", "A", "A.1", "B"]
    assert [block.number for block in report.blocks] == [1, 2]
    with pytest.raises(ValueError, match="table or figure has the anchor answer"):
        Document("", "", [], [answer], [Section("T", "answer")])


def test_rows_are_as_long_as_their_header() -> None:
    with pytest.raises(ValueError, match="A row of 1 cells stands in a table of 2 columns"):
        Document("", "", [Block("table", "", header=["a", "b"], rows=[["1"]])], [])


def test_what_templates_call_is_read_back_to_the_letter() -> None:
    table = {"header": ["a", "|`b`"], "rows": [["```", "\n"]], "source": "s", "text_columns": 2}
    parts = [
        "Above.\n",
        "# One <b> & {x} <one>\n\nText.\n",
        FUNCTIONS["captioned_table"](table, caller=lambda: "\n Two\n  lines. "),
        FUNCTIONS["captioned_figure"](Path("a b.png"), "run", "**loud** `code`", caller=lambda: "C."),
        FUNCTIONS["captioned_figure"](Path("c.png"), "run", caller=lambda: "Caption *too*."),
        "More.\n\n### Deep <deep-1>\n",
        FUNCTIONS["missing"]("run 'it'\n```", caller=lambda: "Gone."),
        FUNCTIONS["quoted"]("## No heading <x>\n\n```block\n{}\n```\n", "run"),
    ]
    top, (one, deep) = read_markdown("\n".join(parts))
    assert [block.text.strip() for block in top] == ["Above."]
    assert (one.title, one.anchor, one.depth) == ("One <b> & {x}", "one", 1)
    text, tabular, figure, plain, more = one.blocks
    assert (text.text.strip(), more.text.strip()) == ("Text.", "More.")
    assert tabular == Block("table", "Two lines.", **table)
    assert figure == Block("figure", "C.", "run", path="a b.png", alt="loud code")
    assert plain.alt == "Caption too."
    assert (deep.anchor, deep.depth) == ("deep-1", 3)
    assert deep.blocks[0] == Block("missing", "Gone.", command="run 'it'\n```")
    assert deep.blocks[1] == Block("text", "## No heading <x>\n\n```block\n{}\n```\n")


def test_a_paragraph_that_ends_in_a_colon_is_the_caption_of_the_table_below() -> None:
    table = "| a | b |\n| --- | ---: |\n| `x` | 1 |\n"
    text = f"Alone.\n\nTwo\nlines, `N`:\n\n{table}\nBelow:\n\nno table.\n\nWithout.\n\n{table}"
    (above, captioned, below), _ = read_markdown(FUNCTIONS["quoted"](text, "run"))
    assert captioned == Block("table", "Two lines, `N`.", "run", markdown=table)
    assert above.text.strip() == "Alone."
    assert below.text.strip() == f"Below:\n\nno table.\n\nWithout.\n\n{table}".strip()


def test_links_without_words_become_numbers() -> None:
    table = "| a |\n| --- |\n| 1 |\n"
    figure = FUNCTIONS["captioned_figure"](Path("a.png"), "run", anchor="curves", caller=lambda: "As in [](#losses-2).")
    text = f"# One <one>\n\nSee [](#curves), [](#named), [](#one) and [](#lost).\n\nN <named>:\n\n{table}\n"
    text += FUNCTIONS["quoted"](f"A:\n\n{table}\nB:\n\n{table}", "run", "losses") + figure
    report = Document("", "", [], *[read_markdown(text)[1]])
    shown = [block.text.strip() for block in report.blocks]
    assert shown[0] == ("See [Figure\u00a01](#curves), [Table\u00a01](#named), [1](#one) and [(missing)](#lost).")
    assert shown[-1] == "As in [Table\u00a03](#losses-2)."
    assert [block.text for block in report.blocks if block.kind == "table"] == ["N.", "A.", "B."]
    with pytest.raises(ValueError, match="table or figure has the anchor curves"):
        Document("", "", [], read_markdown(text + figure)[1])


def test_markdown_is_split_at_its_headings() -> None:
    text = "# Title\n\nTop [x](x.csv) and [y](https://y).\n\n## One *1*\n\na\n\n### Below\n\nb\n\n## Two\n"
    parts = [("One *1*", "a\n\n### Below\n\nb"), ("Two", "")]
    assert split_markdown(text) == ("Top x and [y](https://y).", parts)
    assert FUNCTIONS["slug"]("What's *new*, in 2?") == "what-s-new-in-2"
