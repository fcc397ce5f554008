"""Reads what studies, analyses and an audit wrote, for `study.md.j2`, `analysis.md.j2` and `photos.md.j2`."""

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

from lit_a1.analysis import PARTS
from lit_a1.data.audit import PROBLEMS
from lit_a1.environment import PROGRAM
from lit_a1.report.document import table
from lit_a1.report.gather import Study, read_analysis, source_of
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import relative_to_cwd

_LABEL = re.compile(r"\*\*([^*]+)\.\*\* (.+)", re.DOTALL)  # a labelled paragraph, which answers can quote
AUDIT = Path("audit", "audit.csv")
"""The table that `audit` writes."""


def study_values(study: Study | None, text: str, command: str) -> dict[str, Any]:
    """A study, its files and its text: `answer` is the first paragraph, `parts` are the sections with a heading.

    `study` is None if it was neither run nor recorded; `text` is a file name, `comparison.md`; `command` runs it.
    """
    files = [] if study is None else [path.name for path in study.folder.iterdir()]
    words = (study.folder / text).read_text(encoding="utf-8", errors="replace") if study and text in files else ""
    top, parts = split_markdown(words)
    source = source_of(study.folder, study.record) if study else ""
    answer, _, rest = top.partition("\n\n")
    about = {"outputs": study, "source": source, "command": command, "files": files}
    return about | {"text_file": text, "top": top, "answer": answer, "rest": rest, "parts": parts}


def split_markdown(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The text before the first `##` (without the `#` title), and each `##` heading with the text below it.

    Links to files beside the text would be broken in a report, and are replaced by their words.
    """
    text = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    top, *parts = re.split(r"^## +", text, flags=re.MULTILINE)
    pairs = [part.partition("\n") for part in parts]
    sections = [(heading.strip(), body.strip("\n").rstrip()) for heading, _, body in pairs]
    return re.sub(r"\A# .*\n", "", top).strip(), sections


def analysis_values(folder: Path, run: Run | None, command: str) -> dict[str, Any]:
    """What `analyze` wrote in the folder of a network, and which parts are missing; `command` makes them.

    `run` is the network's run, or None for weights without a run.
    """
    outputs = read_analysis(folder)
    if outputs is None:
        return {"command": command, "outputs": None, "suspects": None, "test": None}
    parts, images = outputs.parts, outputs.index.get("images")
    suspects = parts["label_errors"].numbers.get("suspects") if "label_errors" in parts else None
    labelled = {name: filter(None, map(_LABEL.fullmatch, part.words)) for name, part in parts.items()}
    paragraphs = parts["conditions"].words if "conditions" in parts else []
    table_index = next((k for k, text in enumerate(paragraphs) if text.startswith("|")), -1)
    source = next((part.source for part in parts.values()), "unknown")
    return {
        "command": command,
        "outputs": outputs,
        "parts": list(parts.values()),
        "paragraphs": {name: {match[1]: match[2] for match in matches} for name, matches in labelled.items()},
        "figures": {figure.file: (figure, part) for part in parts.values() for figure in part.figures},
        "conditions_table": "\n\n".join(paragraphs[max(0, table_index - 1) : table_index + 1]),  # with its caption
        "test": _test_error(parts["generalisation"].numbers) if "generalisation" in parts else None,
        "suspects": suspects if isinstance(suspects, int) else None,
        "damaged": [relative_to_cwd(folder / f"{name}.json") for name in outputs.unreadable],
        "missing_parts": [name for name in PARTS if name not in parts and name not in outputs.unreadable],
        "source": source,
        "commits": sorted({part.commit or "unknown" for part in parts.values()}) or ["unknown"],
        "seconds": sum(part.seconds for part in parts.values()),
        "images": images if isinstance(images, int) else None,
        "best_was_chosen": "best.ckpt" in source
        and run is not None
        and run.record["best"]["epoch"] != run.record["last"]["epoch"],
    }


def _test_error(numbers: dict[str, Any]) -> dict[str, Any] | None:
    """Validation error, and the interval expected for the test error; None unless all are from 0 to 1."""
    errors = {name: numbers.get(name) for name in ("val_error", "test_error_low", "test_error_high")}
    valid = all(isinstance(value, int | float) and 0 <= value <= 1 for value in errors.values())
    return errors | {"measured": "test_error" in numbers} if valid else None


def read_audit(path: Path = AUDIT) -> dict[str, Any]:
    """How many photos have which problem, from the table that `audit` wrote.

    Returns:
        `state` (`missing`, `damaged` or `read`). If it was read, also `table`, which is None if nothing is wrong with
        the photos, and the number of `groups` of exact copies.
    """
    about = {"path": path, "command": f"{PROGRAM} audit"}
    if not path.is_file():
        return about | {"state": "missing"}
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        try:
            rows, columns = list(reader), set(reader.fieldnames or ())
        except csv.Error:  # an overlong field
            return about | {"state": "damaged"}
    if not {"problem", "group", "part"} <= columns or any(None in row.values() for row in rows):
        return about | {"state": "damaged"}
    counts = Counter((row["problem"], row["part"]) for row in rows)
    copies = {(row["problem"], row["group"]) for row in rows if row["group"] not in ("", "0")}
    groups = Counter(problem for problem, _ in copies)
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
    audit_table = table(lines, str(path), text_columns=2) if lines else None
    return about | {"state": "read", "table": audit_table, "groups": groups.total()}
