"""The results of a cross-validation: out-of-fold accuracy, suspected labels, comparison with another one."""

import hashlib
import time
from math import sqrt
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd

from lit_a1.data.catsdogs import CatsDogsDataModule
from lit_a1.data.contact_sheet import Section, Tile, contact_sheet
from lit_a1.data.errors import DataError
from lit_a1.data.files import replacing, write_csv, write_text
from lit_a1.environment import PROGRAM, commit, versions
from lit_a1.runs.labels import suspected_labels
from lit_a1.runs.records import read_json, read_record, write_json
from lit_a1.runs.settings import UsageError
from lit_a1.runs.statistics import ALPHA, mcnemar, mean_interval, wilson
from lit_a1.runs.templates import render
from lit_a1.runs.wording import typed
from lit_a1.studies.crossval.fold import OUT_OF_FOLD, PHOTO_COLUMNS

CROSSVAL, SHEET = "crossval.json", "suspects.png"
SUSPECTS_LISTED = 10  # in the summary
SUSPECTS_ON_SHEET = 440


def photo_table(data: CatsDogsDataModule) -> pd.DataFrame:
    """Name, label and fold of the photos of a set-up data module, sorted by fold; the index is the photo's number."""
    labels = [data.classes[label] for label in data.sets["val"].labels]
    photos = pd.DataFrame({"name": data.names, "label": labels, "fold": data.fold_of})
    return photos[photos["fold"] > 0].sort_values("fold", kind="stable")


def fingerprint(photos: pd.DataFrame) -> str:
    """The number of photos, and a hash of their names, labels and folds."""
    return f"{len(photos):,} ({hashlib.sha256(repr(photos[PHOTO_COLUMNS].values.tolist()).encode()).hexdigest()[:8]})"


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of the cross-validation in a folder; raises a UsageError if it is missing or damaged."""
    begun = (read_json(folder / CROSSVAL) or {}).get("begun")
    if not isinstance(begun, dict):
        raise UsageError(f"{folder} has no crossval, or its {CROSSVAL} is damaged")
    return begun


def read_table(path: Path, photos: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """These photos with a column of probabilities for each class, and whether the likeliest one is right (`right`).

    Raises a DataError if the file is missing, damaged, or of other photos or folds.
    """
    try:
        table = pd.read_csv(path, dtype=object, keep_default_na=False, encoding_errors="surrogateescape")
        table = table[[*PHOTO_COLUMNS, *classes]].astype({"fold": int, **dict.fromkeys(classes, float)})
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} can't be read: probabilities of {', '.join(classes)} were expected.") from error
    if table[PHOTO_COLUMNS].values.tolist() != photos[PHOTO_COLUMNS].values.tolist():
        raise DataError(f"{path} is of other photos or folds: photos, --folds and --data.split_seed must be the same.")
    table["right"] = [classes[k] for k in table[[*classes]].to_numpy().argmax(1)] == table["label"]
    return table.set_index(photos.index)


def write_results(folder: Path, data: CatsDogsDataModule, against: Path | None) -> None:
    """Writes and prints the joint results of all folds."""
    classes, photos, settings = data.classes, photo_table(data), read_settings(folder)
    parts = {folder / f"version_{fold}": part for fold, part in photos.groupby("fold")}
    table = pd.concat([read_table(run / OUT_OF_FOLD, part, classes) for run, part in parts.items()])
    columns = [*PHOTO_COLUMNS, *classes]
    write_csv(folder / OUT_OF_FOLD, columns, table[columns].values.tolist())
    records = [read_record(run) for run in parts]
    accuracy = float(table["right"].mean())
    probabilities, labels = table[[*classes]].to_numpy(), table["label"].map(classes.index).to_numpy()
    suspects, share = suspected_labels(labels, np.log(np.maximum(probabilities, 1e-12)))
    _draw(folder / SHEET, table.iloc[suspects], data)
    unsuspected = np.delete(table["right"].to_numpy(), suspects)
    results = {
        "accuracy": accuracy,
        "standard_error": sqrt(accuracy * (1 - accuracy) / len(table)),
        "interval": wilson(accuracy, len(table)),
        "accuracy_by_fold": table.groupby("fold")["right"].mean().tolist(),
        "suspects": len(suspects),
        "accuracy_without_suspects": float(unsuspected.mean()) if len(unsuspected) else None,
        "against": None if against is None else _compare(table, read_table(against / OUT_OF_FOLD, photos, classes)),
    }
    other_settings = settings if against is None else read_settings(against)
    pairs = {name: (other_settings.get(name), settings.get(name)) for name in settings | other_settings}
    predict = [*PROGRAM.split(), "predict", "--config", "configs/catsdogs_ensemble.yaml"]
    predict += ["--model.members", f"[{folder}]", *(["--data.source", "drawn"] if data.drawn else [])]
    if (size := data.decode_size) != 64:  # the size in that YAML
        predict += ["--data.decode_size", f"{size}", "--data.size", f"{size}"]
    listed = table.iloc[suspects[:SUSPECTS_LISTED]]
    text = render(
        "studies/crossval/summary.md.j2",
        **results,
        data=data,
        folder=folder,
        other=against,
        changed={name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
        alpha=ALPHA,
        right=table["right"],
        folds=[(fold, part["right"]) for fold, part in table.groupby("fold")],
        left_out=int((data.fold_of == 0).sum()),
        records=records,
        misclassified_suspects=int((~table["right"].iloc[suspects]).sum()),
        wrong_share=share,
        most_suspicious=[(row["name"], row["label"], row[row["label"]]) for _, row in listed.iterrows()],
        on_sheet=SUSPECTS_ON_SHEET,
        command=typed(*predict),
    )
    write_text(folder / "summary.md", text)
    provenance = {"commit": commit(), "versions": versions(), "finished": time.strftime("%Y-%m-%d %H:%M")}
    write_json(folder / CROSSVAL, {"begun": settings, **results, **provenance})
    print(f"\n{text}\nEvery photo: {folder / OUT_OF_FOLD}")


def _compare(table: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """The difference between two cross-validations, photo by photo and fold by fold."""
    accuracies, other_accuracies = (frame.groupby("fold")["right"].mean() for frame in (table, other))
    differences = (accuracies - other_accuracies).tolist()
    test = mcnemar(table["right"].tolist(), other["right"].tolist())
    return {"mcnemar": test, "difference": mean(differences), "interval": mean_interval(differences)}


def _draw(path: Path, suspects: pd.DataFrame, data: CatsDogsDataModule) -> None:
    """Makes a contact sheet of suspected labels for a person to check; if there are none, removes an old sheet."""
    tiles, classes = [], [*data.classes]
    for number, row in suspects.iloc[:SUSPECTS_ON_SHEET].iterrows():
        predicted = row[classes].astype(float).idxmax()
        words = f"{row['label']}? {predicted} {row[predicted]:.1%}"
        tiles.append(Tile(data.sets["val"].images[number], Path(row["name"]).name, words))
    if not tiles:
        path.unlink(missing_ok=True)
        return
    meaning = (
        "The least likely label first. Below each: its name, its label, and what the network that never saw it says."
    )
    sheet = contact_sheet("Labels that may be wrong", [Section(f"{len(suspects):,} suspects", meaning, [tiles])])
    with replacing(path) as unfinished:
        sheet.save(unfinished, "PNG")
