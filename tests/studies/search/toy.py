"""A search that trains nothing: what it finds is scripted."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lit_a1.studies.search.objective import Objective, Report, Settings, TrialRecord
from lit_a1.studies.search.space import Range, distributions, nearest_sample, values_text
from tests.conftest import read_csv

Error = Callable[[int, int], float]
OWN = {"lr": 0.15, "norm": "batch"}


def toy(error: Error = lambda trial, epoch: 0.5, every: int = 1, images: int = 2000, **changes: Any) -> Objective:
    """Trial n ends its epoch e with the error `error(n, e)`, measured every few epochs."""
    space = {"lr": Range(0.02, 0.6, log=True), "norm": ["batch", "group", "none"]} | changes.pop("space", {})

    def train(settings: Settings, folder: Path, report: Report, quiet: bool) -> tuple[int, dict[str, int]]:
        number = int(folder.name.removeprefix("trial_"))
        epochs = range(every, usual["epochs"] + 1, every)
        any(report(epoch, error(number, epoch)) for epoch in epochs)
        return 1000 + number, {"val": images}

    def record(folder: Path, trials: Sequence[TrialRecord], results: dict[str, Any]) -> None:
        (folder / "record.json").write_text(json.dumps(results))

    usual: dict[str, Any] = {
        "study_name": "toy", "words": "toy: a network on images, seed 0", "runs": Path("logs/toy-search"), "seed": 0,
        "epochs": 6, "space": space, "own": OWN, "names": {"lr": "lr", "norm": "kind of norm"},
        "columns": "trial state diverged val_accuracy_last val_accuracy_best best_epoch epochs seconds parameters",
        "describe_sample": lambda values: {"settings": values, "words": f"lr {values['lr']}", "machine": "a machine"},
        "command": lambda settings: f"python main.py fit --model.lr {settings['lr']}", "train": train, "record": record,
    } | changes  # fmt: skip
    usual["shared"] = {"epochs": usual["epochs"], "seed": usual["seed"], "the range of lr": values_text(space["lr"])}
    start = nearest_sample(dict.fromkeys(space, 0) | OWN, space)
    return Objective(distributions=distributions(space), start=start, **usual)


def falling(**changes: Any) -> Objective:
    """Each trial is better than the one before."""
    return toy(lambda trial, epoch: 0.3 - 0.01 * trial, **changes)


def rows(folder: Path) -> list[dict[str, str]]:
    """The trials, but for the time that they took."""
    return [row | {"seconds": ""} for row in read_csv(folder / "trials.csv")]


def cells(folder: Path, *names: str) -> list[tuple[str, ...]]:
    """Some cells of each trial."""
    return [tuple(row[name] for name in names) for row in rows(folder)]
