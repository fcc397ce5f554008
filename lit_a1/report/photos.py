"""The photos of Cats vs Dogs, how they are prepared, and the submission, for `sections/data.md.j2`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lit_a1.data.cache import cache_root
from lit_a1.data.catsdogs import COURSE_TEST_IMAGES
from lit_a1.data.split import COLUMNS, CONFLICT, IN_TEST
from lit_a1.environment import PROGRAM
from lit_a1.report.outputs import read_audit
from lit_a1.report.plan import Commands
from lit_a1.report.published import is_published
from lit_a1.report.results import last_error
from lit_a1.report.trials import RECIPES
from lit_a1.runs.finished import Run
from lit_a1.runs.records import read_json


def data_of(commands: Commands, best: Run | None, settings: Mapping[str, str]) -> dict[str, Any]:
    """What the networks learn from, and how to recreate the submission (see `submission`).

    `settings` are those of the best network so far, by names such as `n_valid`.
    """
    return {
        "audit": read_audit(),
        "split": split_of(settings["n_valid"], settings["split_seed"]),
        "split_command": f"{PROGRAM} validate --config configs/catsdogs.yaml --ckpt_path pretrained",  # makes the split
        "split_seed": settings["split_seed"],
        "validated": int(settings["n_valid"]),
        "test": COURSE_TEST_IMAGES,
        "size": settings["decode_size"],
        "submission": submission(commands, best),
    }


def split_of(n_valid: str, seed: str) -> dict[str, int] | None:
    """How many photos are in each part of the newest split in the image cache; None without a split.

    Returns:
        `train` and `valid`. For photos in neither: `conflicts`, whose copies have different labels, and `in_test`,
        which are also in the test set.
    """
    paths = cache_root().glob(f"trainset-split-*/split-valid{n_valid}-seed{seed}*.csv")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            split = pd.read_csv(path, usecols=COLUMNS, keep_default_na=False)
        except (OSError, ValueError):  # damaged
            continue
        counts = pd.concat([split["part"], split["reason"]]).value_counts()
        reasons = {"train": "train", "valid": "valid", "conflicts": CONFLICT, "in_test": IN_TEST}
        return {name: int(counts.get(reason, 0)) for name, reason in reasons.items()}
    return None


def submission(commands: Commands, best: Run | None) -> dict[str, Any]:
    """The command that labels the test photos with the best network, trained here or published, and its error.

    `best` is the run of a single network with the fewest errors, or None. `sha256` is the hash of the published
    weights' submission, and `trained_by` the command that trained them; they are empty for a run that was trained here.
    """
    note = (read_json(best.weights.with_suffix(".json")) or {}) if best and is_published(best) else {}
    return {
        "error": last_error(best) if best else None,
        "sha256": note.get("submission_sha256", ""),
        "trained_by": note.get("command", ""),
        "command": commands.predict(best.experiment if best else RECIPES[0], best).command,
    }
