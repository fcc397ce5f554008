"""TensorBoard's event files."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from lit_a1.data.files import naming

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


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
