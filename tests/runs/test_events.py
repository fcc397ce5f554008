import errno
from pathlib import Path

import pytest

from lit_a1.runs.events import Curves, event_writer
from tests.conftest import scalars


def test_a_new_file_comes_after_all_others_whatever_the_clock_says(tmp_path: Path) -> None:
    others = ["events.out.tfevents.9123456789.host.1.0", "events.out.tfevents.1.host.2.0.projector"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    with event_writer(tmp_path) as writer:
        writer.add_scalar("a", 1.0, 0)
    assert [path.name in others for path in sorted(tmp_path.iterdir())] == [True, True, False]


@pytest.mark.parametrize(("number", "named"), [(errno.ENOSPC, True), (errno.EPIPE, False)])
def test_a_full_disk_names_the_folder(number: int, named: bool, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="words") as refusing, event_writer(tmp_path):
        raise OSError(number, "words")
    assert refusing.value.filename == (str(tmp_path) if named else None)


def test_training_and_validation_are_lines_of_the_same_charts(tmp_path: Path) -> None:
    """A chart is a tag, a line is a run; of a run that goes on, what comes after its checkpoint is dropped."""
    measured = {"train/loss": 1.0, "val/error": 0.5, "train/learning_rate": 0.1, "epoch": 0, "test/loss": 2.0}
    for purge_step, steps in ((None, (7, 15)), (15, (15,))):
        curves = Curves(tmp_path, purge_step)
        for step in steps:
            curves.add(measured, step)
        curves.flush()
        curves.close()
    assert {path.name for path in tmp_path.iterdir()} == {"train", "val"}
    assert scalars(tmp_path / "train") == {"curves/loss": [(7, 1.0), (15, 1.0)]}
    assert scalars(tmp_path / "val") == {"curves/error": [(7, 0.5), (15, 0.5)]}
