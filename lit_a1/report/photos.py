"""The course's photos: what an audit found wrong with them."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from lit_a1.data.audit import PROBLEMS
from lit_a1.shipped import PROGRAM

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
        [problem, meaning, *(f"{counts[problem, part]:,}" for part in ("train", "test")), f"{groups[problem] or ''}"]
        for problem, meaning in PROBLEMS.items()
        if counts[problem, "train"] + counts[problem, "test"]
    ]
    header = ["problem", "meaning", "training", "test", "groups"]
    table = {"header": header, "rows": lines, "source": str(path), "text_columns": 2}
    return about | {"state": "read", "table": table if lines else None, "groups": groups.total()}
