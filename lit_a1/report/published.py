"""The runs behind the published weights that come with the project, from notes on them."""

from lit_a1.report.gather import RECORDED
from lit_a1.report.recipes import is_shipped, shipped_settings
from lit_a1.report.rows import read_rows
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import PRETRAINED
from lit_a1.runs.records import Metrics, best_of, read_json


def published(name: str) -> Run | None:
    """The run behind the published last-epoch weights of a recipe; None without a valid note on it.

    The note is NAME.json beside the weights. The run's row in docs/runs.csv says that its recipe is as shipped. Its
    epochs are in docs/studies/NAME/curves.csv, which is also the run's `folder`. If that file is of another run, only
    the last epoch is known. As training images it counts those that an epoch saw.
    """
    note, path = read_json(PRETRAINED / f"{name}.json") or {}, RECORDED / name / "curves.csv"
    rows = [row for row in read_rows() if row["config"] == name and row["finished"] == note.get("finished")]
    if not any(is_shipped(row) for row in rows):
        return None
    try:
        error, last, seed = note["val_error_full_precision"], note["epochs"], note["seed"]
        epochs: list[Metrics] = []
        for row in read_rows(path):
            if row["seed"] == str(seed):
                tags = {tag: float(value) for tag, value in row.items() if "/" in tag and value}
                epochs.append({"epoch": int(row["epoch"]) - 1, "step": int(row["step"])} | tags)
        if not epochs or len(epochs) != last or abs(epochs[-1].get("val/error", 1.0) - error) > 1e-6:
            epochs = [{"epoch": last - 1, "step": 0, "val/error": error}]
        settings = shipped_settings(name) | {"seed": seed}
        if "train_eval/error" not in epochs[-1]:  # it was not measured, whatever the recipe asks for today
            settings["data.measure_train"] = False
        seen = int(epochs[-1]["step"] / last * int(settings["data.batch_size"]))
        copied = ("parameters", "seconds", "peak_memory_gb", "machine", "versions", "commit")
        record = {key: note[key] for key in copied}
        record |= {"settings": settings, "seed": seed, "images": {"train": seen, "val": note["val_images"]}}
    except (KeyError, TypeError, ValueError):
        return None
    record |= {"finished": note["finished"], "epochs": epochs, "last": epochs[-1], "best": best_of(epochs)}
    return Run(path, PRETRAINED / f"{name}.ckpt", record)


def is_published(run: Run) -> bool:
    """Whether a run is one of `published`."""
    return run.weights.parent == PRETRAINED
