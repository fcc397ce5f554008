"""The course's photos: what an audit found wrong with them."""

import csv
from collections import Counter
from pathlib import Path

from lit_a1.data.audit import PROBLEMS
from lit_a1.environment import PROGRAM
from lit_a1.report.document import Missing, Section, Table, Text
from lit_a1.runs.wording import counted

AUDIT = Path("audit", "audit.csv")
"""Where `audit` leaves its table."""
COMMAND = f"{PROGRAM} audit"
COLUMNS = {"problem", "group", "part"}


def photos(path: Path = AUDIT) -> Section:
    """What is wrong with the data, from the table that `audit` left.

    Args:
        path: of the table.
    """
    section = Section("The photos", "photos", [Text("*What the networks learn from, and what is wrong with it.*")])
    if not path.is_file():
        section.blocks.append(Missing(f"The photos have not been audited: there is no `{path}`.", COMMAND))
        return section
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    if any(not row.keys() >= COLUMNS or None in row.values() for row in rows):
        section.blocks.append(Missing(f"`{path}` is damaged: it is not the table of an audit.", COMMAND))
        return section
    counts, groups = Counter((row["problem"], row["part"]) for row in rows), Counter[str]()
    for problem, _ in {(row["problem"], row["group"]) for row in rows if row["group"] not in ("", "0")}:
        groups[problem] += 1
    lines = [
        [problem, meaning, *(f"{counts[problem, part]:,}" for part in ("train", "test")), f"{groups[problem] or ''}"]
        for problem, meaning in PROBLEMS.items()
        if counts[problem, "train"] + counts[problem, "test"]
    ]
    if not lines:
        section.blocks.append(Text(f"The audit found nothing wrong. Source: `{path}`."))
        return section
    caption = "Photos that an audit found something wrong with, in the training and in the test set; copies in groups."
    section.blocks += [
        Table(caption, ["problem", "meaning", "training", "test", "groups"], lines, str(path), text_columns=2),
        Text(
            f"{counted(sum(groups.values()), 'group')} of exact copies were found. No group is divided between "
            "training and validation; groups with conflicting labels, and training photos that the test set has "
            "too, are left out of both."
        ),
    ]
    return section
