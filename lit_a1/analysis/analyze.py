"""All analyses of a trained network, one after the other, into the folder of its run."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from lit_a1.analysis import (
    attention,
    calibration,
    conditions,
    confusion,
    embedding,
    feature_maps,
    generalisation,
    kernels,
    label_errors,
    maximise,
    mistakes,
)
from lit_a1.analysis.part import INDEX, Part
from lit_a1.analysis.subject import Subject
from lit_a1.data.files import write_text
from lit_a1.environment import commit, machine, versions
from lit_a1.runs import near

ORDER = (
    *(confusion, mistakes, conditions, calibration, label_errors, generalisation),
    *(kernels, feature_maps, attention, maximise, embedding),
)
ANALYSES: dict[str, ModuleType] = {module.__name__.rpartition(".")[2]: module for module in ORDER}
"""Each has a `TITLE` and `analyze(subject, part)`, which draws, counts and tells what it found."""


def run(subject: Subject, folder: Path, wanted: Sequence[str]) -> None:
    """Runs analyses and leaves figures, tables, numbers and words in a folder, and in TensorBoard's event file there.

    A part that another call left there stays, unless it is made anew.

    Args:
        subject: the network and its pictures.
        folder: usually `analysis` in the folder of the run.
        wanted: names of `ANALYSES`.
    """
    started, code = time.perf_counter(), commit()
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("events.out.tfevents.*"):  # TensorBoard would show the pictures of both
        stale.unlink()
    parts = []
    for name in tqdm(wanted, desc="analyses", unit="part", disable=None, leave=False):
        part = Part(folder, name, ANALYSES[name].TITLE, str(subject.origin))
        ANALYSES[name].analyze(subject, part)
        part.write()
        parts.append(part)
    with SummaryWriter(folder) as writer:  # after the embedding, whose event file must not be the newest
        for part in parts:
            part.log(writer)
    about = {
        "experiment": subject.name,
        "source": str(subject.origin),
        "parts": [name for name in ANALYSES if (folder / f"{name}.json").is_file()],
        "pictures": len(subject.labels),
        "drawn": subject.drawn,
        "val/error": subject.error,
        "machine": machine(),
        "versions": versions(),
        "commit": code,
        "seconds": round(time.perf_counter() - started, 1),
        "finished": time.strftime("%Y-%m-%d %H:%M"),
    }
    write_text(folder / INDEX, json.dumps(about, indent=1) + "\n")
    print(f"Figures, tables and words: {near(folder)}")
