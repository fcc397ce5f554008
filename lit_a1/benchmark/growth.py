"""Ten times as many photos: is the time for each the same, and does memory grow only by the photos' bytes?"""

import os
import shutil
import tempfile
import time
from pathlib import Path

import torch

from lit_a1.benchmark.data import data_variables, our_epoch, write_photos
from lit_a1.benchmark.loop import in_new_process
from lit_a1.benchmark.timing import Timing, timing_of
from lit_a1.data.catsdogs import CatsDogsDataModule
from lit_a1.environment import peak_memory_gb

FEW, MANY = 2_000, 20_000
PHOTO_BYTES = 64 * 64 * 3


def read_all(folder: str) -> tuple[float, float]:
    """Seconds to decode a folder's photos and make an epoch of augmented batches, and the peak memory in bytes."""
    os.environ |= data_variables(folder)
    torch.manual_seed(0)
    start = time.perf_counter()
    data = CatsDogsDataModule(source="real", n_valid=2)
    data.prepare_data()
    data.setup("fit")
    our_epoch(data, 40, torch.device("cpu"))
    return time.perf_counter() - start, peak_memory_gb() * 1e9


def growth(pairs: int) -> list[Timing]:
    """Times few and many photos in turn, each time decoded anew in a separate process."""
    measurements: dict[int, list[tuple[float, float]]] = {FEW: [], MANY: []}
    with tempfile.TemporaryDirectory() as name:
        for count in measurements:
            write_photos(Path(name, str(count)), count)
        for _ in range(pairs):
            for count, results in measurements.items():
                shutil.rmtree(Path(name, str(count), "cache"), ignore_errors=True)
                results.append(in_new_process(read_all, str(Path(name, str(count)))))
    few, many = measurements[FEW], measurements[MANY]
    many_times, few_times = [seconds / MANY for seconds, _ in many], [seconds / FEW for seconds, _ in few]
    extra_bytes = [(b - a) / (MANY - FEW) for (_, a), (_, b) in zip(few, many, strict=True)]
    return [
        timing_of(f"a photo of {MANY:,}: decoded, cut, augmented", f"a photo of {FEW:,}", many_times, few_times, 1.1),
        timing_of("memory for a photo more", "its bytes", extra_bytes, [PHOTO_BYTES] * pairs, 1.2, "B"),
    ]
