"""Times this code against PyTorch's own and against the machine's limit, side by side in one run, and prints ratios.

mlp        an epoch of the numpy network, against a PyTorch loop and numpy's matrix products alone
layers     each norm and each optimiser, against torch's
step       the network of configs/catsdogs.yaml with SGD, against torch's; a whole step, against its convolutions alone
data       an epoch of augmented batches, against torchvision's ImageFolder and transforms with two workers
loop       a step of `fit` and its memory, against a plain loop
inference  labels from the published weights, against float32 and the convolutions alone
start      `fit --help` and a `fit` of one step, against the import of Lightning
growth     20,000 photos, against 2,000
mnist      training to 99 % of MNIST's test images, against the PyTorch example's network and loop; it takes minutes
           and needs MNIST's files (downloaded if missing), so it runs only if named
"""

import argparse
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lit_a1.environment import PROGRAM, REPOSITORY, machine, quieten, versions
from lit_a1.runs.settings import PlainParser, UsageError

if TYPE_CHECKING:
    from lit_a1.benchmark.timing import Timing

PAIRS = {
    "mlp": 15, "layers": 15, "step": 15, "data": 7, "loop": 5, "inference": 7, "start": 5, "growth": 3, "mnist": 3,
}  # fmt: skip
ACCEPTED = REPOSITORY / "docs" / "benchmarks"
BAR = 40  # characters of the longest bar


def main(arguments: Sequence[str]) -> None:
    """Runs benchmarks, prints their table, and writes it as JSON on request."""
    parser = PlainParser(
        f"{PROGRAM} benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=PAIRS, help="what to time (default: all but mnist)")
    defaults = ", ".join(f"{pairs} for {name}" for name, pairs in PAIRS.items())
    parser.add_argument("--pairs", type=int, help=f"alternating pairs; medians are shown (default: {defaults})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the timings to FILE")
    words = "show what changed since FILE (default: this kind of machine's in docs/benchmarks)"
    parser.add_argument("--compare", type=Path, nargs="?", const=Path(), metavar="FILE", help=words)
    parser.add_argument("--profile", action="store_true", help="with `step`: show where a step's time goes, by part")
    options = parser.parse_args(arguments)
    if options.pairs is not None and options.pairs < 1:
        parser.error(f"--pairs must be at least 1; got {options.pairs}")
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json must name a file in a folder that is there; got {options.json}")  # now, not minutes later
    if options.profile and (options.name != "step" or options.json or options.compare):
        parser.error("--profile goes with `benchmark step`, and without --json and --compare")
    ratios_before = {} if options.compare is None else accepted_ratios(options.compare)
    import torch  # after `--help`, which needs none of it

    quieten()
    packages = f"torch {versions()['torch']}, numpy {versions()['numpy']}"
    variable = "OPENBLAS_CORETYPE"  # keeps numpy from using the best kernels for the processor
    kernels = f"; {variable}={os.environ[variable]}" if variable in os.environ else ""
    title = f"{machine()}; {torch.get_num_threads()} threads; {packages}{kernels}"
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if options.profile:
        from lit_a1.benchmark.step import profile

        console.print(profile_table(title, profile(options.pairs or PAIRS["step"])))
        return
    timings: list[Timing] = []
    for name in [options.name] if options.name else [name for name in PAIRS if name != "mnist"]:
        timings += getattr(import_module(f"lit_a1.benchmark.{name}"), name)(options.pairs or PAIRS[name])
    console.print(table_of(title, timings, ratios_before))
    if options.json:
        content = {"machine": title, "timings": [timing.as_json() for timing in timings]}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def accepted_ratios(path: Path) -> dict[tuple[str, str], float]:
    """The ratios in a file of `--json`, by the names of both sides; by default the file for this machine."""
    path = path if path.name else ACCEPTED / (re.sub(r"[^a-z0-9]+", "-", machine().lower()).strip("-") + ".json")
    try:
        timings: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["timings"]
        return {(row["name"], row["other"]): row["ratio"] or math.inf for row in timings}
    except FileNotFoundError as error:
        words = "make it with `benchmark --json FILE`" if path.parent == ACCEPTED else "--compare names it"
        raise UsageError(f"there is no file {path}; {words}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no file that `benchmark --json` wrote") from error


def table_of(title: str, timings: Sequence["Timing"], before: Mapping[tuple[str, str], float]) -> Table:
    """A row for each comparison, with the ratio accepted before, if there is one."""
    table = Table(title=title)
    headings = ("", "ours", "theirs", "ratio", "quartiles", "at most", *(["before"] if before else []))
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    for t in timings:
        ratio, spread = (
            ("", "") if t.ratio == math.inf else (f"{t.ratio:.3f}", f"{t.spread[0]:.2f} to {t.spread[1]:.2f}")
        )
        limit = "" if t.at_most is None else f"{t.at_most:.2f}"
        cells = ["\n".join((f"{t.name}: {t.other}", *t.notes)), _in_unit(t.ours, t.unit), _in_unit(t.theirs, t.unit)]
        cells += [ratio, spread, limit]
        if before:
            ratio_before = before.get((t.name, t.other))
            change = f" ({t.ratio / ratio_before - 1:+.0%})" if ratio_before and math.isfinite(ratio_before) else ""
            cells.append("new" if ratio_before is None else f"{ratio_before:.3f}{change}")
        table.add_row(*cells)
    return table


def profile_table(title: str, parts: Mapping[str, float]) -> Table:
    """A row with a bar for each part of a step, the longest first."""
    total, longest = sum(parts.values()), max(parts.values())
    table = Table("part", title=title)
    for heading in ("ms", "share"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for name, seconds in sorted(parts.items(), key=lambda part: -part[1]):
        table.add_row(name, f"{seconds * 1e3:.2f}", f"{seconds / total:.0%}", "█" * round(BAR * seconds / longest))
    table.add_row("a step of `fit`", f"{total * 1e3:.2f}", "", "")
    return table


def _in_unit(value: float, unit: str) -> str:
    if value == math.inf:
        return "not reached"
    prefixes = {1e9: "G", 1e6: "M", 1e3: "k", 1: "", 1e-3: "m", 1e-6: "\u00b5"}
    scale, prefix = next(
        (pair for pair in prefixes.items() if value >= pair[0] and (pair[0] <= 1 or unit == "B")), (1, "")
    )
    return f"{value / scale:.2f} {prefix}{unit}"
