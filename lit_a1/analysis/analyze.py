"""Runs the analyses of a trained network, and writes their results into the folder of its run."""

import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from lit_a1.analysis import PARTS
from lit_a1.analysis.embedding import PROJECTOR, remove_projector
from lit_a1.analysis.network import TrainedNetwork
from lit_a1.analysis.result import INDEX, AnalysisResult, read_result
from lit_a1.environment import commit, cpu, versions
from lit_a1.runs.events import event_writer
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.records import write_json


def run(network: TrainedNetwork, folder: Path, names: Sequence[str]) -> None:
    """Runs analyses (of `PARTS`) and writes figures, tables, numbers and words into a folder, also for TensorBoard.

    An analysis is a module with a `TITLE` and `analyze(network, result)`; its words are in `NAME.md.j2`. Results of an
    earlier call stay, unless they are made again or are of another network or checkpoint.
    """
    code, files = commit(), [folder / f"{name}.json" for name in PARTS]
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        old = read_result(path)
        if old is None or old.source != network.source:
            of_old = [] if old is None else [*old.tables, *(plot.file for plot in old.figures)]
            for name in [path.name, *of_old]:
                (folder / Path(name).name).unlink(missing_ok=True)
            if path.stem == "embedding":
                remove_projector(folder)
    for name in tqdm(names, desc="analyses", unit="part", disable=None, leave=False):
        started, module = time.perf_counter(), import_module(f"lit_a1.analysis.{name}")
        analysis = AnalysisResult(folder, name, module.TITLE, network.source, code)
        module.analyze(network, analysis)
        analysis.seconds = round(time.perf_counter() - started, 1)
        analysis.write()
    results = [result for path in files if (result := read_result(path)) is not None]
    for path in folder.glob("events.out.tfevents.*"):
        if not path.name.endswith(PROJECTOR):  # the embedding replaces its own file itself
            path.unlink()
    with event_writer(folder) as writer:
        for result in results:
            result.log(writer)
    index = {
        "experiment": network.name,
        "source": network.source,
        "parts": [result.name for result in results],
        "images": len(network.labels),
        "drawn": network.drawn,
        "val/error": network.error,
        "machine": cpu(),
        "versions": versions(),
        "commits": sorted({result.commit for result in results}),
        "seconds": round(sum(result.seconds for result in results), 1),
        "finished": time.strftime("%Y-%m-%d %H:%M"),
    }
    write_json(folder / INDEX, index)
    print(f"Figures, tables and text: {relative_to_cwd(folder)}")
