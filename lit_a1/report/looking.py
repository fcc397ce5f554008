"""What `analyze` found in a network, as a section."""

from lit_a1.analysis.comparison_runs import Run
from lit_a1.report.document import Figure, Missing, Section, Text
from lit_a1.report.gather import Gathered, Looked, source_of
from lit_a1.runs import near
from lit_a1.wording import listed

ORDER = (
    *("confusion", "mistakes", "conditions", "calibration", "label_errors"),
    *("kernels", "feature_maps", "attention", "maximise", "embedding"),
)
"""Of the parts; `generalisation` has a section of its own."""


def looking(found: Gathered, run: Run, anchor: str, config: str) -> Section:
    """Figures and words on what a network sees and gets wrong.

    Args:
        found: what has been run.
        run: whose network is meant.
        anchor: begins those of the sub-sections.
        config: name of the YAML, for the command.
    """
    section = Section(f"What the network of {config} sees", f"{anchor}-analysis")
    command = analyze_command(found, run, config)
    looked = found.looked(run.folder)
    if looked is None:
        section.blocks.append(Missing(f"The network of `{near(run.folder)}` has not been looked into.", command))
        return section
    section.blocks.append(Text(_about(looked, run)))
    section.blocks += [Missing(reason, command) for reason in looked.unreadable]
    if lacking := [name for name in ORDER if name not in looked.parts and f"{name}.json" not in str(looked.unreadable)]:
        section.blocks.append(Missing(f"Parts that have not been made: {', '.join(lacking)}.", command))
    section.sections = [part_section(looked, name, anchor, command) for name in ORDER if name in looked.parts]
    return section


def analyze_command(found: Gathered, run: Run, config: str) -> str:
    """What looks into a run's network."""
    source = " --data.source drawn" * found.drawn
    path = near(run.folder / "checkpoints" / "best.ckpt")
    return f"python main.py analyze --config configs/{config}.yaml --ckpt_path {path}{source}"


def part_section(looked: Looked, name: str, anchor: str, command: str) -> Section:
    """A part of an analysis: its words, and its figures as far as they are there."""
    part = looked.parts[name]
    section = Section(part["title"], f"{anchor}-{name.replace('_', '-')}", [Text(words) for words in part["words"]])
    for drawn in part["figures"]:
        path = looked.folder / drawn["file"]
        if path.is_file():
            section.blocks.append(Figure(path, drawn["caption"], drawn["caption"], part["source"]))
        else:
            section.blocks.append(Missing(f"The figure `{near(path)}` is gone.", command))
    files = listed(f"`{file}`" for file in [f"{name}.json", *part["tables"]])
    section.blocks.append(Text(f"Numbers: {files} in `{near(looked.folder)}`."))
    return section


def _about(looked: Looked, run: Run) -> str:
    index = looked.index
    said = f"Source: {index.get('source') or source_of(run.folder, run.record)}."
    if index:
        said += (
            f" Looked into with commit {index.get('commit') or 'unknown'} on {index.get('machine', 'unknown')}, in "
            f"{index.get('seconds', 0):.0f} s, on {index.get('pictures', 0):,} pictures that training held out."
        )
    return said
