"""TensorBoard's event files, and the charts that it shows first."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from lit_a1.data.files import naming

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


MEASURED = ("loss", "error")
PARTS = ("train", "train_eval", "val")


def add_layout(writer: "SummaryWriter") -> None:
    """Has the tab of custom scalars show training and validation in one chart, loss and error, for all runs."""
    charts = {name: ["Multiline", [f"({'|'.join(PARTS)})/{name}$"]] for name in MEASURED}
    writer.add_custom_scalars({"training and validation": charts})


class Curves:
    """The same in the tab that TensorBoard opens with: `curves/loss` and `curves/error`, before all others.

    A chart is a tag there, and a line is a run. So each part is a run of its own, in a folder below that of the run.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        self._folder, self._purge_step = folder, purge_step
        self._writers: dict[str, SummaryWriter] = {}

    def add(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Adds those of the metrics, by TensorBoard's tags, that belong to a curve."""
        for tag, value in metrics.items():
            part, _, name = tag.partition("/")
            if part in PARTS and name in MEASURED:
                self._writer(part).add_scalar(f"curves/{name}", value, step)

    def _writer(self, part: str) -> "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and `--help` comes this way

        if part not in self._writers:
            folder = self._folder / part
            with naming(folder), in_order(folder):
                self._writers[part] = SummaryWriter(folder, purge_step=self._purge_step)
        return self._writers[part]

    def flush(self) -> None:
        """Brings what was added to the disk."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Closes the files; what is added later goes to new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers, self._purge_step = {}, None


@contextmanager
def event_writer(folder: Path, **options: Any) -> Iterator["SummaryWriter"]:
    """Gives a writer into a folder, with options of `SummaryWriter`; an OSError names the folder."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and `--help` comes this way

    with naming(folder):
        with in_order(folder):
            writer = SummaryWriter(folder, **options)
        with writer:
            yield writer


@contextmanager
def in_order(folder: Path) -> Iterator[None]:
    """Has a new event file take a name after all others of a folder, even where the clock was put back.

    Their names begin with the second that they were made in, and TensorBoard reads them in the order of their names:
    what a resumed run drops would otherwise be dropped of its own events.
    """
    from tensorboard.summary.writer import event_file_writer

    matches = (re.match(r"events\.out\.tfevents\.(\d+)\.", path.name) for path in folder.glob("events.out.*"))
    newest = max((int(match[1]) for match in matches if match), default=0)
    with patch.object(event_file_writer, "time", SimpleNamespace(time=lambda: max(time.time(), newest + 1))):
        yield
