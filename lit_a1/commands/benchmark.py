"""Times this code against PyTorch's own, side by side in one run. Ratios, not verdicts.

mlp    an epoch of the numpy network: a PyTorch loop, and numpy's matrix products alone
step   a training step of the Cats-vs-Dogs network: torch's batch norm, loss and SGD
mnist  training until 99 % of MNIST's test images are right: the PyTorch example's network and loop; it takes
       minutes and needs MNIST's files (fetched where they are missing), so that it runs only when it is named
"""

import argparse
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lit_a1.environment import PROGRAM, machine, versions
from lit_a1.runs.settings import PlainParser

PAIRS = {"mlp": 15, "step": 15, "mnist": 3}


def main(arguments: Sequence[str]) -> None:
    """Runs a benchmark, prints its table and writes it as JSON where asked to."""
    parser = PlainParser(
        f"{PROGRAM} benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=PAIRS, help="what to time (default: mlp, then step)")
    by_default = ", ".join(f"{pairs} for {name}" for name, pairs in PAIRS.items())
    parser.add_argument("--pairs", type=int, help=f"alternating pairs that the medians are of (default: {by_default})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the timings there as well")
    options = parser.parse_args(arguments)
    if options.pairs is not None and options.pairs < 1:
        parser.error(f"--pairs must be at least 1; got {options.pairs}")
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json must name a file in a folder that is there; got {options.json}")  # not minutes later
    import torch  # after `--help`, which needs none of it

    from lit_a1.benchmark.speed import BENCHMARKS

    names = [options.name] if options.name else ["mlp", "step"]
    timings = [timing for name in names for timing in BENCHMARKS[name](options.pairs or PAIRS[name])]

    packages = f"torch {versions()['torch']}, numpy {versions()['numpy']}"
    forced = "OPENBLAS_CORETYPE"  # keeps numpy from the kernels that suit the processor best
    kernels = f"; {forced}={os.environ[forced]}" if forced in os.environ else ""
    table = Table(title=f"{machine()}; {torch.get_num_threads()} threads; {packages}{kernels}")
    for heading in ("", "ours", "theirs", "ratio", "limit"):
        table.add_column(heading, justify="right" if heading else "left")
    for t in timings:
        ratio = "" if t.ratio == math.inf else f"{t.ratio:.3f}"
        limit = "" if t.limit is None else f"{t.limit:.2f}"
        table.add_row("\n".join((t.name, *t.notes)), _words(t.ours_s), _words(t.theirs_s), ratio, limit)
    Console(highlight=False, soft_wrap=True).print(table)
    if options.json:
        options.json.write_text(json.dumps([timing.as_json() for timing in timings], indent=1) + "\n", encoding="utf-8")


def _words(seconds: float) -> str:
    if seconds == math.inf:
        return "not reached"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms"
