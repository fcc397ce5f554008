from pathlib import Path

from lit_a1.report import study
from lit_a1.report.document import Figure, Missing
from lit_a1.report.gather import Gathered

LOGS = Path("lightning_logs")


def test_studies_that_come_with_the_project_are_said_to() -> None:
    found = Gathered(LOGS)
    section = study.study_section(
        found.study("mlp-inits"), "T", "t", "comparison.md", [("losses.png", "L.")], "run", "Q"
    )
    assert section.blocks[1] == Missing(study.NOT_HERE, "run")
    assert [part.title for part in section.sections][:3] == ["Zero", "Standard normal", "Glorot"]
    (figure,) = [block for block in section.blocks if isinstance(block, Figure)]
    assert "commit" in figure.source


def test_markdown_is_split_at_its_headings() -> None:
    text = "# Title\n\nTop [x](x.csv) and [y](https://y).\n\n## One *1*\n\na\n\n### Below\n\nb\n\n## Two\n"
    assert study.split_markdown(text) == (
        "Top x and [y](https://y).", [("One *1*", "a\n\n### Below\n\nb"), ("Two", "")]
    )  # fmt: skip
    assert study.slug("What's *new*, in 2?") == "what-s-new-in-2"
