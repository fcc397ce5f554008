import errno
from pathlib import Path

import pytest

from lit_a1.runs.events import event_writer


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
