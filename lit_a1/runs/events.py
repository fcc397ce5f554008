"""TensorBoard's event files, and its first charts."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from lit_a1.data.files import errors_naming

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def add_layout(writer: "SummaryWriter") -> None:
    """Makes the custom scalars tab show a chart of loss and one of error, with training and validation of all runs."""
    charts = {name: ["Multiline", [f"(train|train_eval|val)/{name}$"]] for name in ("loss", "error")}
    writer.add_custom_scalars({"training and validation": charts})


@contextmanager
def event_writer(folder: Path, **options: Any) -> Iterator["SummaryWriter"]:
    """Yields a writer of a new event file, with options of `SummaryWriter`; an OSError names the folder."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and `--help` comes this way

    with errors_naming(folder):
        with in_order(folder):
            writer = SummaryWriter(folder, **options)
        with writer:
            yield writer


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
