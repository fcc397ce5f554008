"""`python main.py audit`: problems of a dataset, as a table, a CSV and a contact sheet."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lit_a1.data.audit import PROBLEMS, Audit, audit, save_sheet, save_table
from lit_a1.data.errors import DataError
from lit_a1.data.sources.layouts import data_root, find_test, find_train
from lit_a1.environment import PROGRAM
from lit_a1.runs.settings import PlainParser


def _table(result: Audit) -> Table:
    """The number of images in each part, and how many have each problem."""
    table = Table(title="Audit", title_justify="left")
    table.add_column("")
    for part in result.sources:
        table.add_column(part, justify="right")
    table.add_row("images", *(f"{len(source.images):,}" for source in result.sources.values()), end_section=True)
    counts = Counter((finding.problem, finding.part) for finding in result.findings)
    for problem, meaning in PROBLEMS.items():
        found = [counts[problem, part] for part in result.sources]
        if any(found):
            table.add_row(f"{problem}: {meaning.lower()}", *map(str, found))
    return table


def main(arguments: Sequence[str]) -> None:
    """Audits a dataset; raises a DataError if there is none, or it can't be listed."""
    parser = PlainParser(f"{PROGRAM} audit", description="Find what is wrong with a set of photos.")
    parser.add_argument("--dir", type=Path, help="where the photos are (default: LIT_A1_DATA, else data)")
    parser.add_argument("--out", type=Path, default=Path("audit"), help="folder for audit.csv and audit.png")
    options = parser.parse_args(arguments)
    root = options.dir or data_root()
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.")
    train = find_train(root)
    if train is None:
        raise DataError(f"There are no photos below {root}: neither trainset.zip nor any other layout that fit reads.")
    result = audit(train, find_test(root))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(_table(result))
    across = sum(len({finding.part for finding in group}) == 2 for group in result.groups)
    conflicting = sum(group[0].problem == "conflicting labels" for group in result.groups)
    console.print(f"groups of copies: {len(result.groups)}")
    console.print(f"groups of copies in train and test: {across}")
    console.print(f"groups of copies with conflicting labels: {conflicting}")
    save_table(result, options.out / "audit.csv")
    save_sheet(result, options.out / "audit.png")
    console.print(f"Table: {options.out / 'audit.csv'}\nContact sheet: {options.out / 'audit.png'}")
