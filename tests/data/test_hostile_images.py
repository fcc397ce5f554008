"""Some 330 damaged, odd and false pictures: each is read or named, without a crash, and in little memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from lit_a1.data.decode import DecodeError, decode, read_header
from tests.conftest import REPOSITORY
from tests.data import damaged

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")


def test_sound_pictures_of_every_kind_are_read() -> None:
    for name, data in (damaged.intact_pictures() | damaged.rare_pictures()).items():
        assert decode(data).shape == (64, 64, 3), name


def test_what_is_no_picture_or_too_large_is_refused() -> None:
    for name, data in (damaged.bombs() | damaged.other_files()).items():
        for read in (decode, read_header):
            with pytest.raises(DecodeError, match=r"^it (is empty|is not an image|declares)") as caught:
                read(data)
            assert len(str(caught.value)) < 120, name


READS_ALL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30,) * 2)
from lit_a1.data.cache import decode_all
from lit_a1.data.sources.layouts import Source
found = decode_all(Source(sys.argv[1], labelled=False))
print(len(found), len(found.skipped), len(set(found.names) | found.skipped.keys()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sets no limit to memory")
def test_a_folder_of_them_is_read_within_a_gigabyte_and_each_is_counted_and_named(tmp_path: Path) -> None:
    pictures = damaged.all_of_them()
    for name, data in pictures.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", READS_ALL, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    read, left_out, together = map(int, done.stdout.split())
    assert read + left_out == together == len(pictures) > 300
    assert read >= len(damaged.intact_pictures() | damaged.rare_pictures())
    lines = [line for line in done.stderr.splitlines() if line.startswith("  ")]
    assert len(lines) == left_out
    assert all(line.strip().partition(": ")[2].startswith("it ") for line in lines)
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sets no limit to memory")
def test_many_of_the_largest_allowed_need_no_more_memory_than_one(tmp_path: Path) -> None:
    """100 million pixels each, with an alpha channel: several at once would not fit."""
    side = 10_000
    data = damaged.png(side, side, 1, 0, bytes(side * (1 + side // 8)))
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(data)
    limited = READS_ALL.replace("1 << 30", "3 << 30").replace(
        "from lit_a1.data.cache", "import os\nos.cpu_count = lambda: 8\nfrom lit_a1.data.cache"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout.split() == ["6", "0", "6"], done.stderr
