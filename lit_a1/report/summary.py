"""The numbers of the first page: every network's errors, and a short answer to each question."""

from collections.abc import Callable
from typing import Any

from lit_a1.environment import PROGRAM
from lit_a1.report.about import About
from lit_a1.report.document import table
from lit_a1.report.gather import RecordedRuns
from lit_a1.report.plan import LOGS
from lit_a1.report.results import errors_of
from lit_a1.report.trials import ENSEMBLE, RECIPES
from lit_a1.runs.folders import DRAWN, PRETRAINED, relative_to_cwd
from lit_a1.runs.records import RECORD_FILE, read_json
from lit_a1.runs.statistics import wilson
from lit_a1.runs.wording import interval, percent

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


def summary(found: RecordedRuns, about: About, lacking: int) -> dict[str, Any]:
    """Values for `sections/summary.md.j2`; `lacking` counts the places where something is missing."""
    photos = [each for name in RECIPES if (each := measured(found, name))]
    best = min(photos, key=lambda each: each["mean"], default=None)
    networks = {name: measured(found, name) for name in (*DIGITS, ENSEMBLE)}
    shown = {DIGITS[name]: networks[name] for name in DIGITS}
    shown |= {"CNN, Cats vs Dogs": best, "ensemble, Cats vs Dogs": networks[ENSEMBLE]}
    rows = [_row(what, each) for what, each in shown.items() if each]
    filled = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    lines = [{name: row[name] for name in filled} for row in rows]
    published = [each["published"] for each in shown.values() if each]
    source = f"`{RECORD_FILE}` of the runs below `{relative_to_cwd(found.logs)}`"
    source += f", `{relative_to_cwd(PRETRAINED)}/*.json`" if any(published) else ""
    kinds = {"digits": found.drawn_digits, "cats and dogs": found.drawn_photos}
    logs = "" if found.logs == LOGS else f" --logs {found.logs}"
    return {
        "about": about,
        "drawn": [kind for kind, drawn in kinds.items() if drawn],
        "suffix": DRAWN,
        "logs": relative_to_cwd(found.logs),
        "trained": not all(published),
        "table": table(lines, source, text_columns=2) if lines else None,
        "lacking": lacking,
        "command": f"{PROGRAM} report --run missing{logs}",
        "damaged": found.damaged(),
        "mlp": networks["mlp"],
        "cnn": networks["mnist_plain"] or networks["mnist"],
        "best": best,
        **{name: _quoted(found, name) for name in STUDIES},
    }


def measured(found: RecordedRuns, name: str) -> dict[str, Any] | None:
    """The `errors_of` a recipe's runs, or else the error of its published weights; None without either.

    The sections on digits are only about runs, so published weights of those networks don't count.
    """
    if runs := found.alike(name):
        errors = errors_of(runs)
        record = runs[0].record
        about = {"name": name, "parameters": record["parameters"], "setup": record.get("setup", ""), "published": False}
        return about | errors if errors["each"] else None
    about = read_json(PRETRAINED / f"{name}.json")
    if not isinstance(about, dict) or found.drawn(name) or name in DIGITS:
        return None
    error, images = about["val_error"], about["val_images"]
    return {
        "name": name, "parameters": about["parameters"], "published": True, "each": [error], "mean": error,
        "spread": percent(error), "interval": wilson(error, images), "images": images, "tests": 0,
    }  # fmt: skip


def _row(what: str, of: dict[str, Any]) -> dict[str, str]:
    return {
        "network": what,
        "recipe": f"`{of['name']}`" + (", published weights" if of["published"] else ""),
        "parameters": f"{of['parameters']:,}",
        "seeds": str(len(of["each"])),
        "validation error": of["spread"],
        "95 %": interval(*of["interval"]),
        "test error": of["test_spread"] if of["tests"] else "",
    }


def _quoted(found: RecordedRuns, name: str) -> dict[str, Any] | None:
    """What is quoted from a study; None if it has not been run, or its record holds something else."""
    study = found.study(f"mlp-{name}")
    try:
        return {"recorded": study.recorded, "numbers": STUDIES[name](study.record)} if study else None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
