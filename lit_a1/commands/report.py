"""`python main.py report`: the assignment's answers, from recorded runs, as HTML and PDF."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lit_a1.environment import PROGRAM, show_messages
from lit_a1.runs.wording import clock

if TYPE_CHECKING:
    from lit_a1.report.gather import RecordedRuns


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        f"{PROGRAM} report",
        description="Write report.html and report.pdf from the runs below lightning_logs, question by question. What "
        "has not been run is named there with the command that runs it.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--run",
        choices=("none", "missing", "quick"),
        default="none",
        help="first run what is missing, in full (hours), or the whole assignment in reduced size (quick: less than 15 "
        "minutes on two cores, into a folder quick below --logs); default: nothing",
    )
    parser.add_argument("--plan", action="store_true", help="with --run: print what would be run, and stop")
    parser.add_argument("--logs", type=Path, default=Path("lightning_logs"), help="the folder of all runs")
    parser.add_argument("--out", type=Path, help="folder of the report (default: report; of --run quick: report/quick)")
    parser.add_argument(
        "--source",
        choices=("auto", "real", "drawn"),
        default="auto",
        help="runs on real images or on drawn ones (default: drawn where there are none on real ones)",
    )
    return parser


def main(arguments: Sequence[str]) -> None:
    """Writes the report; a SystemExit where a command of the plan failed, an OSError where it can't be written."""
    parser = build_parser()
    options = parser.parse_args(list(arguments))
    if options.plan and options.run == "none":
        parser.error("--plan needs --run missing or --run quick")
    if options.run == "none" and not options.logs.is_dir() and options.logs != Path("lightning_logs"):
        parser.error(f"there is no folder {options.logs}")
    from lit_a1.report import plan  # after `--help`, which needs none of it
    from lit_a1.report.build import build
    from lit_a1.report.gather import gather

    show_messages()
    logs, out = options.logs, options.out or Path("report")
    if options.run == "quick":
        logs, out = logs / plan.QUICK, options.out or Path("report", plan.QUICK)
    failed: list[plan.Step] = []
    if options.run != "none":
        found = gather(logs, options.source)
        if options.source == "auto" and not options.plan:
            found = _at_hand(found)
        steps = plan.missing(found) if options.run == "missing" else plan.quick(found)
        print(plan.plan_text(steps) if steps else "Nothing is missing.")
        if steps and options.plan:
            return
        failed = plan.run(steps)
    started = time.perf_counter()
    try:
        for path in build(gather(logs, options.source), out):
            print(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)")
    except OSError as error:
        raise OSError(f"the report can't be written: {error}") from error
    print(f"Written in {clock(time.perf_counter() - started)}.")
    if failed:
        raise SystemExit(f"error: failed: {'; '.join(step.command for step in failed)}")


def _at_hand(found: "RecordedRuns") -> "RecordedRuns":
    """The same, with drawn images in the place of those that are neither on disk nor can be fetched."""
    from lit_a1.data.catsdogs import CatsDogsDataModule
    from lit_a1.data.mnist import locate_mnist
    from lit_a1.report.gather import RecordedRuns

    photos = CatsDogsDataModule()
    photos.locate("fit")
    return RecordedRuns(found.logs, locate_mnist("auto") is None, photos.drawn)
