"""Sections from what the studies left: their words, with headings as sub-sections, and their figures."""

import re
from collections.abc import Sequence

from lit_a1.report.document import Block, Figure, Missing, Section, Text
from lit_a1.report.gather import Study
from lit_a1.runs.folders import near

NOT_HERE = "This study has not been run here. Shown is the recorded run that comes with the project."


def study_section(
    study: Study | None,
    title: str,
    anchor: str,
    words: str,
    figures: Sequence[tuple[str, str]],
    command: str,
    question: str,
) -> Section:
    """A section from the words and figures that a study left.

    Args:
        study: None where it has neither been run nor recorded.
        title: of the section.
        anchor: of the section.
        words: name of the text, `comparison.md`; its headings become sub-sections.
        figures: names of PNGs with captions.
        command: what runs the study.
        question: what the assignment asks.
    """
    section = Section(title, anchor, [Text(f"*{question}*")])
    if study is None:
        section.blocks.append(Missing("This study has not been run.", command))
        return section
    if study.recorded:
        section.blocks.append(Missing(NOT_HERE, command))
    drawn: list[Block] = []
    for file, caption in figures:
        path = study.folder / file
        if path.is_file():
            drawn.append(Figure(path, caption, caption, study.source))
        else:
            drawn.append(Missing(f"The figure `{near(path)}` is gone.", command))
    text = study.words(words)
    if text is None:
        section.blocks += [Missing(f"The words `{near(study.folder / words)}` are gone.", command), *drawn]
        return section
    top, parts = split_markdown(text)
    section.blocks += [Text(top), *drawn, Text(f"Source: {study.source}.")]
    section.sections = [
        Section(heading, f"{anchor}-{slug(heading)}", [Text(body)]) for heading, body in parts if body.strip()
    ]
    return section


def split_markdown(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the first `##` (without the `#` title), and the headings with what stands below them.

    Links to files beside the text lead nowhere from a report, and become their words.
    """
    text = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    top, *parts = re.split(r"^## +", text, flags=re.MULTILINE)
    pairs = [part.partition("\n") for part in parts]
    return re.sub(r"\A# .*\n", "", top).strip(), [(heading.strip(), body.strip()) for heading, _, body in pairs]


def slug(text: str) -> str:
    """A heading as an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
