"""`python main.py report`: the assignment's answers, from recorded runs, as HTML and PDF."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lit_a1.environment import PROGRAM, quieten, show_messages
from lit_a1.report.about import About, web_link
from lit_a1.runs.settings import Parser, UsageError
from lit_a1.runs.wording import clock

if TYPE_CHECKING:
    from lit_a1.report.gather import RecordedRuns


def build_parser() -> Parser:
    """The command's options."""
    parser = Parser(
        prog=f"{PROGRAM} report",
        description="Write report.html, report.pdf and appendix.pdf from the runs in lightning_logs, question by "
        "question. They name what has not been run, with its command.",
    )
    parser.add_argument("-c", "--config", action="config", help="a YAML of these settings: configs/report.yaml")
    parser.add_argument(
        "--run",
        type=Literal["none", "missing", "quick"],
        default="none",
        help="first run what is missing (hours), or a reduced version of the whole assignment (quick: about 12 "
        "minutes on two cores, into the folder quick in --logs)",
    )
    parser.add_argument("--plan", action="store_true", help="with --run: print what would be run, and stop")
    parser.add_argument("--logs", type=Path, default=Path("lightning_logs"), help="the folder of all runs")
    parser.add_argument(
        "--out", type=Path | None, default=None, help="folder of the report (default: report; of quick: report/quick)"
    )
    parser.add_argument(
        "--source",
        type=Literal["auto", "real", "drawn"],
        default="auto",
        help="runs on real or on drawn images (auto: drawn if there are none on real ones)",
    )
    parser.add_class_arguments(About)
    return parser


def main(arguments: Sequence[str]) -> None:
    """Writes the report; raises a SystemExit if a command of the plan failed, an OSError if it can't be written."""
    parser = build_parser()
    options = parser.parse_args(list(arguments))
    if options.plan and options.run == "none":
        raise UsageError("--plan needs --run missing or --run quick")
    if options.run == "none" and not options.logs.is_dir() and options.logs != Path("lightning_logs"):
        raise UsageError(f"there is no folder {options.logs}")
    about = About(**{field.name: options[field.name] for field in fields(About)})
    about = replace(
        about, date=about.date or time.strftime("%Y-%m-%d"), repository=web_link(about.repository or _remote())
    )
    from lit_a1.report import plan  # after `--help`, which needs none of these
    from lit_a1.report.build import build
    from lit_a1.report.gather import gather

    show_messages()
    quieten()
    logs, out = options.logs, options.out or Path("report")
    if options.run == "quick":
        logs, out = logs / plan.QUICK, options.out or Path("report", plan.QUICK)
    failed: list[plan.Step] = []
    if options.run != "none":
        runs = gather(logs, options.source)
        if options.source == "auto" and not options.plan:
            runs = _with_available_images(runs)
        steps = plan.missing(runs) if options.run == "missing" else plan.quick(runs)
        print(plan.plan_text(steps) if steps else "Nothing is missing.")
        if options.plan:
            return
        failed = plan.run(steps)
    started = time.perf_counter()
    try:
        for path in build(gather(logs, options.source), out, about):
            print(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)")
    except OSError as error:
        raise OSError(f"the report can't be written: {error}") from error
    print(f"Written in {clock(time.perf_counter() - started)}.")
    if failed:
        raise SystemExit(f"error: failed: {'; '.join(step.command for step in failed)}")


def _with_available_images(runs: "RecordedRuns") -> "RecordedRuns":
    """The same runs, with drawn images in place of images that are not on disk and can't be downloaded."""
    from lit_a1.data.catsdogs import CatsDogsDataModule
    from lit_a1.data.mnist import locate_mnist
    from lit_a1.report.gather import RecordedRuns

    photos = CatsDogsDataModule()
    photos.locate("fit")
    return RecordedRuns(runs.logs, locate_mnist("auto") is None, photos.drawn)


def _remote() -> str:
    """The address of git's remote `origin`; empty if there is none."""
    try:
        result = subprocess.run(
            ["git", "config", "--get", "remote.origin.url"], capture_output=True, text=True, check=False
        )
    except OSError:  # no git
        return ""
    return result.stdout.strip()
