"""What `analyze` found in a network, as a section."""

from pathlib import Path

from lit_a1.analysis import PARTS
from lit_a1.report.document import Figure, Missing, Section, Text
from lit_a1.report.gather import Looked, looked
from lit_a1.runs.folders import near
from lit_a1.runs.wording import listed
from lit_a1.studies.comparison.runs import Run

ELSEWHERE = "generalisation"
"""The part that has a section of its own."""


def looking(folder: Path, run: Run | None, anchor: str, name: str, command: str) -> Section:
    """Figures and words on what a network sees and gets wrong.

    Args:
        folder: that `analyze` wrote in, or would write in.
        run: whose network is meant; None for weights that are of no run.
        anchor: begins those of the sub-sections.
        name: of the experiment.
        command: what looks into the network.
    """
    section = Section(f"What the network of {name} sees", f"{anchor}-analysis")
    found = looked(folder)
    if found is None:
        section.blocks.append(Missing(f"The network of `{name}` has not been looked into.", command))
        return section
    section.blocks.append(Text(_about(found, run)))
    if found.unreadable:
        files = listed(f"`{near(folder / each)}.json`" for each in found.unreadable)
        section.blocks.append(Missing(f"Damaged, or not the part of an analysis: {files}.", command))
    if lacking := [each for each in PARTS if each not in found.parts and each not in found.unreadable]:
        section.blocks.append(Missing(f"Parts that have not been made: {', '.join(lacking)}.", command))
    section.sections = [
        part_section(found, each, anchor, command) for each in PARTS if each in found.parts and each != ELSEWHERE
    ]
    return section


def part_section(found: Looked, name: str, anchor: str, command: str) -> Section:
    """A part of an analysis: its words, and its figures as far as they are there."""
    part = found.parts[name]
    section = Section(part.title, f"{anchor}-{name.replace('_', '-')}", [Text(words) for words in part.words])
    for drawn in part.figures:
        path = found.folder / drawn.file
        if path.is_file():
            section.blocks.append(Figure(path, drawn.caption, drawn.caption, part.source))
        else:
            section.blocks.append(Missing(f"The figure `{near(path)}` is gone.", command))
    files = listed(f"`{file}`" for file in [f"{name}.json", *part.tables])
    section.blocks.append(Text(f"Numbers: {files} in `{near(found.folder)}`."))
    return section


def _about(found: Looked, run: Run | None) -> str:
    """Which network, looked into by which code, and whether its weights were chosen by the same pictures."""
    parts = list(found.parts.values())
    commits = listed(sorted({part.commit or "unknown" for part in parts})) if parts else "unknown"
    said = f"Source: {parts[0].source if parts else 'unknown'}. Looked into with commit {commits}"
    said += f", in {sum(part.seconds for part in parts):.0f} s"
    if isinstance(pictures := found.index.get("pictures"), int):
        said += f", on {pictures:,} pictures that training held out"
    if run is not None and run.record["best"]["epoch"] != run.record["last"]["epoch"]:
        said += (
            ". The weights in best.ckpt are those of the epoch with the smallest error on these very pictures: that "
            "choice flatters what is counted on them"
        )
    return f"{said}."
