"""The numbers of the first page: every network's errors, and a short answer to each question."""

from collections.abc import Callable
from typing import Any

from lit_a1.environment import PROGRAM
from lit_a1.report.about import About
from lit_a1.report.document import table
from lit_a1.report.gather import RecordedRuns
from lit_a1.report.plan import LOGS
from lit_a1.report.published import is_published, published
from lit_a1.report.results import errors_of
from lit_a1.report.trials import ENSEMBLE, RECIPES
from lit_a1.runs.folders import DRAWN, PRETRAINED, relative_to_cwd
from lit_a1.runs.records import RECORD_FILE
from lit_a1.runs.wording import interval

DIGITS = {"mlp": "MLP, MNIST", "mnist_plain": "CNN, MNIST", "mnist": "CNN with augmentation, MNIST"}
STUDIES: dict[str, Callable[[dict[str, Any]], dict[str, float]]] = {  # what is quoted from their records
    "inits": lambda record: {
        name: float(trial["epochs"][-1]["train/loss"]) for name, trial in record["trials"].items()
    },
    "search": lambda record: {
        "trials": sum(map(int, record["trials"].values())), "accuracy": 1 - float(record["best"]["val/error"]),
    },
    "gradcheck": lambda record: {"difference": float(record["smallest"]), "n": int(record["best_n"])},
}  # fmt: skip


def summary(records: RecordedRuns, about: About, missing_count: int) -> dict[str, Any]:
    """Values for `sections/summary.md.j2`; `missing_count` counts the places where something is missing."""
    photos = [errors for name in RECIPES if (errors := network_errors(records, name))]
    best = min(photos, key=lambda errors: errors["mean"], default=None)
    networks = {name: network_errors(records, name) for name in (*DIGITS, ENSEMBLE)}
    networks_by_title = {DIGITS[name]: networks[name] for name in DIGITS}
    networks_by_title |= {"CNN, Cats vs Dogs": best, "ensemble, Cats vs Dogs": networks[ENSEMBLE]}
    rows = [_row(title, errors) for title, errors in networks_by_title.items() if errors]
    from_published = [errors["published"] for errors in networks_by_title.values() if errors]
    source = f"`{RECORD_FILE}` of the runs below `{relative_to_cwd(records.logs)}`"
    source += f", `{relative_to_cwd(PRETRAINED)}/*.json`" if any(from_published) else ""
    kinds = {"digits": records.drawn_digits, "cats and dogs": records.drawn_photos}
    logs = "" if records.logs == LOGS else f" --logs {records.logs}"
    return {
        "about": about,
        "drawn": [kind for kind, drawn in kinds.items() if drawn],
        "suffix": DRAWN,
        "logs": relative_to_cwd(records.logs),
        "trained": not all(from_published),
        "table": table(rows, source, text_columns=2, drop_empty=True) if rows else None,
        "missing_count": missing_count,
        "command": f"{PROGRAM} report --run missing{logs}",
        "damaged": records.damaged(),
        "mlp": networks["mlp"],
        "cnn": networks["mnist_plain"] or networks["mnist"],
        "best": best,
        **{name: _quoted_numbers(records, name) for name in STUDIES},
    }


def network_errors(records: RecordedRuns, name: str) -> dict[str, Any] | None:
    """The `errors_of` a recipe's runs, or else of the run behind its published weights; None without either.

    The sections on digits are only about runs, so published weights of those networks don't count.
    """
    runs = records.runs_with_newest_settings(name)
    if not runs and name not in DIGITS and not records.drawn(name):
        runs = [run] if (run := published(name)) else []
    if not runs or not (errors := errors_of(runs))["by_run"]:
        return None
    record = runs[0].record
    about = {"name": name, "parameters": record["parameters"], "setup": record.get("setup", "")}
    return about | {"published": is_published(runs[0])} | errors


def _row(title: str, errors: dict[str, Any]) -> dict[str, str]:
    return {
        "network": title,
        "recipe": f"`{errors['name']}`" + (", published weights" if errors["published"] else ""),
        "parameters": f"{errors['parameters']:,}",
        "seeds": str(len(errors["by_run"])),
        "validation error": errors["spread"],
        "95 %": interval(*errors["interval"]),
        "test error": errors["test_spread"] if errors["tests"] else "",
    }


def _quoted_numbers(records: RecordedRuns, name: str) -> dict[str, Any] | None:
    """What is quoted from a study; None if it has not been run, or its record holds something else."""
    study = records.study(f"mlp-{name}")
    try:
        return {"recorded": study.recorded, "numbers": STUDIES[name](study.record)} if study else None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
