"""TensorBoard's event files, and its first charts."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from lit_a1.data.files import errors_naming

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

MEASURED = ("loss", "error")
PARTS = ("train", "train_eval", "val")


def add_layout(writer: "SummaryWriter") -> None:
    """Makes the custom scalars tab show a chart of loss and one of error, with training and validation of all runs."""
    charts = {name: ["Multiline", [f"({'|'.join(PARTS)})/{name}$"]] for name in MEASURED}
    writer.add_custom_scalars({"training and validation": charts})


class Curves:
    """The same charts in TensorBoard's first tab: `curves/loss` and `curves/error`, before all others.

    There, a chart is a tag, and a line is a run. So each part has its own run, in a subfolder of the run's folder.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        self._folder, self._purge_step = folder, purge_step
        self._writers: dict[str, SummaryWriter] = {}

    def add(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Adds the metrics, by TensorBoard's tags, that belong to a curve."""
        for tag, value in metrics.items():
            part, _, name = tag.partition("/")
            if part not in PARTS or name not in MEASURED:
                continue
            if part not in self._writers:
                self._writers[part] = _open_writer(self._folder / part, purge_step=self._purge_step)
            self._writers[part].add_scalar(f"curves/{name}", value, step)

    def flush(self) -> None:
        """Flushes the files to disk."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Closes the files; later additions go to new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers, self._purge_step = {}, None


@contextmanager
def event_writer(folder: Path, **options: Any) -> Iterator["SummaryWriter"]:
    """Yields a writer for a folder, with options of `SummaryWriter`; an OSError names the folder."""
    with errors_naming(folder), _open_writer(folder, **options) as writer:
        yield writer


def _open_writer(folder: Path, **options: Any) -> "SummaryWriter":
    """A writer of a new event file, which sorts after all others in the folder; an OSError names the folder."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and `--help` comes this way

    with errors_naming(folder), in_order(folder):
        return SummaryWriter(folder, **options)


@contextmanager
def in_order(folder: Path) -> Iterator[None]:
    """Makes the name of a new event file sort after all others in a folder, even if the clock was set back.

    Names begin with the second of creation, and TensorBoard reads files in the order of their names. In the wrong
    order, a resumed run would purge its own events instead of the earlier ones.
    """
    from tensorboard.summary.writer import event_file_writer

    matches = (re.match(r"events\.out\.tfevents\.(\d+)\.", path.name) for path in folder.glob("events.out.*"))
    newest = max((int(match[1]) for match in matches if match), default=0)
    with patch.object(event_file_writer, "time", SimpleNamespace(time=lambda: max(time.time(), newest + 1))):
        yield
