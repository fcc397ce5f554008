"""All analyses of a trained network, one after the other, into the folder of its run."""

import json
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from lit_a1.analysis import PARTS
from lit_a1.analysis.part import INDEX, Part, read_part
from lit_a1.analysis.subject import Subject
from lit_a1.data.files import write_text
from lit_a1.environment import commit, machine, versions
from lit_a1.runs.folders import near

PROJECTOR = ".projector"
"""Ends the name of the event file that an embedding leaves."""


def analysis(name: str) -> ModuleType:
    """The module of a part: it has a `TITLE` and `analyze(subject, part)`, which draws, counts and tells."""
    return import_module(f"lit_a1.analysis.{name}")


def run(subject: Subject, folder: Path, wanted: Sequence[str]) -> None:
    """Runs analyses and leaves figures, tables, numbers and words in a folder, and in TensorBoard's event file there.

    Parts that another call left there stay, unless they are made anew or are of another network or checkpoint.

    Args:
        subject: the network and its pictures.
        folder: usually `analysis` in the folder of the run.
        wanted: names of `PARTS`.
    """
    code, source = commit(), str(subject.origin)
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        if (path := folder / f"{name}.json").is_file() and ((old := read_part(path)) is None or old.source != source):
            path.unlink()
    for name in tqdm(wanted, desc="analyses", unit="part", disable=None, leave=False):
        started, module = time.perf_counter(), analysis(name)
        part = Part(folder, name, module.TITLE, source, code)
        module.analyze(subject, part)
        part.seconds = round(time.perf_counter() - started, 1)
        part.write()
    parts = [found for name in PARTS if (found := read_part(folder / f"{name}.json")) is not None]
    for stale in folder.glob("events.out.tfevents.*"):
        if not stale.name.endswith(PROJECTOR):  # the embedding's own, which it replaces itself
            stale.unlink()
    with SummaryWriter(folder) as writer:
        for part in parts:
            part.log(writer)
    about = {
        "experiment": subject.name,
        "source": source,
        "parts": [part.name for part in parts],
        "pictures": len(subject.labels),
        "drawn": subject.drawn,
        "val/error": subject.error,
        "machine": machine(),
        "versions": versions(),
        "commits": sorted({part.commit for part in parts}),
        "seconds": round(sum(part.seconds for part in parts), 1),
        "finished": time.strftime("%Y-%m-%d %H:%M"),
    }
    write_text(folder / INDEX, json.dumps(about, indent=1) + "\n")
    print(f"Figures, tables and words: {near(folder)}")
