"""The numbers of the first page: every network's errors, and a short answer to each question."""

from collections.abc import Callable
from typing import Any

from lit_a1.environment import PROGRAM
from lit_a1.report.about import About
from lit_a1.report.document import table
from lit_a1.report.gather import RecordedRuns
from lit_a1.report.plan import LOGS
from lit_a1.report.published import published
from lit_a1.report.results import errors_of, errors_of_rows, recorded_rows
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
    origins = {errors["origin"] for errors in networks_by_title.values() if errors}
    sources = {
        "runs": f"`{RECORD_FILE}` of the runs below `{relative_to_cwd(records.logs)}`",
        "recorded runs": "`docs/runs.csv`",
        "published weights": f"`{relative_to_cwd(PRETRAINED)}/*.json`",
    }
    source = ", ".join(path for origin, path in sources.items() if origin in origins)
    kinds = {"digits": records.drawn_digits, "cats and dogs": records.drawn_photos}
    options = "" if records.logs == LOGS else f" --logs {records.logs}"
    if all(kinds.values()):
        options += " --source drawn"
    return {
        "about": about,
        "drawn": [kind for kind, drawn in kinds.items() if drawn],
        "suffix": DRAWN,
        "logs": relative_to_cwd(records.logs),
        "trained": "runs" in origins,
        "table": table(rows, source, text_columns=2, drop_empty=True) if rows else None,
        "missing_count": missing_count,
        "command": f"{PROGRAM} report --run missing{options}",
        "damaged": records.damaged(),
        "mlp": networks["mlp"],
        "cnn": networks["mnist_plain"] or networks["mnist"],
        "best": best,
        **{name: _quoted_numbers(records, name) for name in STUDIES},
    }


def network_errors(records: RecordedRuns, name: str) -> dict[str, Any] | None:
    """The `errors_of` a recipe's runs, or else those that come with the project; None without either.

    These are of the recorded runs, or, for a network of photos, of the one behind the published weights. `origin` is
    "runs", "recorded runs" or "published weights".
    """
    runs, origin = records.runs_with_newest_settings(name), "runs"
    if not runs and not records.drawn(name):
        if name in DIGITS and (rows := recorded_rows(name)):
            about = {"name": name, "parameters": int(rows[0]["parameters"]), "setup": "", "origin": "recorded runs"}
            return about | errors_of_rows(rows)
        runs, origin = [run] if (run := published(name)) else [], "published weights"
    if not runs or not (errors := errors_of(runs))["by_run"]:
        return None
    record = runs[0].record
    about = {"name": name, "parameters": record["parameters"], "setup": record.get("setup", ""), "origin": origin}
    return about | errors


def _row(title: str, errors: dict[str, Any]) -> dict[str, str]:
    return {
        "network": title,
        "recipe": f"`{errors['name']}`" + ("" if errors["origin"] == "runs" else f", {errors['origin']}"),
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
