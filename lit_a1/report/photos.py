"""The course's photos: what an audit found wrong with them."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from lit_a1.data.audit import PROBLEMS
from lit_a1.environment import PROGRAM
from lit_a1.report.document import table

AUDIT = Path("audit", "audit.csv")
"""Where `audit` leaves its table."""
COMMAND = f"{PROGRAM} audit"
COLUMNS = {"problem", "group", "part"}


def audited(path: Path = AUDIT) -> dict[str, Any]:
    """How many photos have which problem, from the table that `audit` left.

    Args:
        path: of the table.

    Returns:
        `state` (`missing`, `damaged` or `read`) and, of a table that was read, `table`, which is None where nothing is
        wrong with the photos, and the number of `groups` of exact copies.
    """
    about = {"path": path, "command": COMMAND}
    if not path.is_file():
        return about | {"state": "missing"}
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    if any(not row.keys() >= COLUMNS or None in row.values() for row in rows):
        return about | {"state": "damaged"}
    counts = Counter((row["problem"], row["part"]) for row in rows)
    groups = Counter(
        problem for problem, _ in {(row["problem"], row["group"]) for row in rows if row["group"] not in ("", "0")}
    )
    lines = [
        {
            "problem": problem,
            "meaning": meaning,
            "training": f"{counts[problem, 'train']:,}",
            "test": f"{counts[problem, 'test']:,}",
            "groups": f"{groups[problem] or ''}",
        }
        for problem, meaning in PROBLEMS.items()
        if counts[problem, "train"] + counts[problem, "test"]
    ]
    found = table(lines, str(path), text_columns=2) if lines else None
    return about | {"state": "read", "table": found, "groups": groups.total()}
