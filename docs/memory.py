"""Measures the memory that a training on many photos uses: `python docs/memory.py 500000 FOLDER [options of fit]`.

A few thousand drawn photos are linked under many names. The training runs in its own process. Each second, its
anonymous memory and that of its workers are read. Memory mapped from files is counted apart, since the system drops and
reloads it as it sees fit.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
DISTINCT_PHOTOS = 4000
FIT = [
    *("--config", "configs/catsdogs.yaml", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "3"),
    *("--model.widths", "[8,16]", "--model.blocks", "[1]", "--model.precise_bn", "0", "--model.compile_net", "false"),
    *("--data.size_schedule", "null", "--data.size", "16", "--data.measure_train", "false", "--data.workers", "2"),
]


def draw(photos: Path, count: int) -> None:
    """Writes `count` JPEGs of two classes, 64x64."""
    rng = np.random.default_rng(0)
    for number in range(DISTINCT_PHOTOS):
        folder = photos / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        first = folder / f"{number}.jpg"
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(first)
        for copy in range(number + DISTINCT_PHOTOS, count, DISTINCT_PHOTOS):
            os.link(first, folder / f"{copy}.jpg")


def memory_of(process: int) -> dict[str, float]:
    """Megabytes of a process, by the system's names for them; none once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {
        name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest
    }


def process_tree(process: int) -> list[int]:
    """A process and the processes it started, at any depth."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="utf-8").split()
    except OSError:
        return []
    return [process, *(descendant for child in children for descendant in process_tree(int(child)))]


def main() -> None:
    """Draws, trains, and prints a line each second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="number of photos")
    parser.add_argument("folder", type=Path, help="where to keep photos, cache and runs")
    arguments, flags = parser.parse_known_args()
    folder = arguments.folder.resolve()
    photos = folder / f"photos-{arguments.count}"
    if not photos.exists():
        unfinished = folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        draw(unfinished, arguments.count)
        unfinished.rename(photos)
    environment = os.environ | {"LIT_A1_DATA": str(photos), "LIT_A1_CACHE": str(folder / "cache")}
    logs = ["--trainer.logger.init_args.save_dir", str(folder / "logs")]
    fit = [sys.executable, "main.py", "fit", *FIT, *logs, *flags]
    started = time.monotonic()
    print("seconds  anonymous MB of the process, and of each worker  mapped MB of all", flush=True)
    with subprocess.Popen(fit, cwd=REPOSITORY, env=environment, stderr=subprocess.STDOUT) as training:
        while training.poll() is None:
            memories = list(filter(None, map(memory_of, process_tree(training.pid))))
            anonymous = "  ".join(f"{memory['RssAnon']:6.0f}" for memory in memories if "RssAnon" in memory)
            mapped = sum(memory.get("RssFile", 0) for memory in memories)
            print(f"{time.monotonic() - started:7.0f}  {anonymous}  {mapped:8.0f}", flush=True)
            time.sleep(1)
    raise SystemExit(training.returncode)


if __name__ == "__main__":
    main()
