"""The row of docs/runs.csv that a run becomes."""

from pathlib import Path

from lit_a1.report.recipes import changes, fingerprint, shipped
from lit_a1.runs.folders import DRAWN
from lit_a1.runs.records import COLUMNS, Row, test_metrics, val_error
from lit_a1.studies.curves import read


def row_of(run: Path) -> Row:
    """A row of docs/runs.csv from the record that `fit` left in a run's folder.

    Raises:
        UsageError: there is no record, it is damaged, or it is of classes that this version does not know.
    """
    record, config = read(run).record, run.parent.name.removesuffix(DRAWN)
    recipe, test = shipped(config), test_metrics(run)
    library = "torch" if "model.class_path" in recipe else "numpy"
    best, last = record["best"], record["last"]
    seeds = record["seed"] if isinstance(record["seed"], list) else [record["seed"]]  # those of an ensemble's members
    values = (
        record["finished"], config, fingerprint(recipe), changes(record["settings"], recipe),
        " ".join(map(str, seeds)), int(last["epoch"]) + 1, record["parameters"], record["seconds"],
        record["peak_memory_gb"], record["machine"], f"{library} {record['versions'][library]}", record["commit"],
        record["pictures"]["val"], int(best["epoch"]) + 1, val_error(best), val_error(last),
        Path(test["checkpoint"]).stem if test else "", f"{test['test/error']:.4f}" if test else "",
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))
