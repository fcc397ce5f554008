"""Zip files that are damaged, hostile or merely unusual: what can be read is read, the rest named, memory bounded."""

import io
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lit_a1.data.cache import decode_all
from lit_a1.data.errors import DataError
from lit_a1.data.sources.layouts import Source, natural_key
from tests.conftest import encoded
from tests.data.damaged import picture

JPEG = encoded(picture(), "JPEG")
MIB = 1 << 20
Edit = Callable[[bytearray], Any]


def archive(*entries: tuple[str | zipfile.ZipInfo, bytes], kind: int = zipfile.ZIP_STORED, edit: Edit = id) -> bytes:
    """A zip file of `good.jpg` and other entries, whose bytes are then edited."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as made:
        for name, data in (("good.jpg", JPEG), *entries):
            made.writestr(name, data)
    data = bytearray(file.getvalue())
    edit(data)
    return bytes(data)


def last(kind: str, place: int, values: str, *numbers: int) -> Edit:
    """Writes numbers at a place of the last entry: in its header (`local`), in the list of entries, or in its end."""
    start = {"local": b"PK\3\4", "central": b"PK\1\2", "end": b"PK\5\6"}[kind]

    def edit(data: bytearray) -> None:
        struct.pack_into(f"<{values}", data, data.rindex(start) + place, *numbers)

    return edit


def both(local: int, central: int, values: str, number: int) -> Edit:
    """Writes a number in the last entry's header and in the list of entries."""
    return each(last("local", local, values, number), last("central", central, values, number))


def each(*edits: Edit) -> Edit:
    return lambda data: [edit(data) for edit in edits]


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("bad.jpg")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def lies(size: int) -> Edit:
    """Has the last entry say that it is of another size once it is unpacked."""
    return both(22, 24, "I", size)


KINDS = {"deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "LZMA": zipfile.ZIP_LZMA}
ZEROS = bytes(160 * MIB)
NUMBER = "9" * 5000
BAD = ("bad.jpg", JPEG)
READ: dict[str, tuple[Callable[[], bytes], str]] = {  # the archive, and why bad.jpg is left out of it
    "a bomb": (lambda: archive(BAD, edit=lies(300 * MIB)), "larger than 256 MiB"),
    **{
        f"a bomb that lies, {name}": (lambda kind=kind: archive(("bad.jpg", ZEROS), kind=kind, edit=lies(5000)), "CRC")
        for name, kind in KINDS.items()
    },
    "encrypted": (lambda: archive(BAD, edit=both(6, 8, "H", 1)), "encrypted"),
    "Deflate64": (lambda: archive(BAD, edit=both(8, 10, "H", 9)), "deflate64|not supported"),
    "a link": (lambda: archive((link(), b"/etc/passwd")), "not an image"),
    "another checksum": (lambda: archive(BAD, edit=last("central", 16, "I", 7)), "CRC"),
    "cut inside": (lambda: archive(BAD, edit=last("central", 42, "I", 2**31 - 2)), "from the zip file"),
    "another name in its header": (lambda: archive(BAD, edit=last("local", 30, "3s", b"sad")), "differ"),
    "no header": (lambda: archive(BAD, edit=last("local", 0, "I", 0)), "from the zip file"),
    "a header that ends early": (lambda: archive(BAD, edit=last("central", 42, "I", 0xFFFFFFF0)), "from the zip file"),
    "an archive in it": (lambda: archive(("bad.jpg", archive())), "not an image"),
    "longer than it says": (lambda: archive(BAD, edit=lies(len(JPEG) - 9)), "CRC"),
}
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no end": (lambda: archive(BAD)[:-10], "damaged or cut short"),
    "half of its list": (lambda: archive(BAD)[:-70], "damaged or cut short"),
    "a list that begins elsewhere": (lambda: archive(edit=last("end", 16, "I", 2**31)), "cannot be read from the zip"),
    "of a later version": (lambda: archive(BAD, edit=last("central", 6, "H", 99)), "damaged or cut short"),
    "names that are no UTF-8": (
        lambda: archive(BAD, edit=each(last("central", 8, "H", 0x800), last("central", 46, "3s", b"\xff\xfe\xfd"))),
        "damaged or cut short",
    ),
    "nothing": (lambda: b"", "damaged or cut short"),
}


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[pytest.mark.long] if "lies" in what else []) for what in READ]
)
def test_what_can_be_read_is_read_and_the_rest_is_named(what: str, tmp_path: Path) -> None:
    make, why = READ[what]
    (path := tmp_path / "photos.zip").write_bytes(make())
    tracemalloc.start()
    try:
        found = decode_all(Source(path, labelled=False), 16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.names == ("good.jpg",)
    assert found.skipped.keys() == {"bad.jpg"}
    assert re.search(why, found.skipped["bad.jpg"])
    assert peak < 128 * MIB  # a block of bzip2 has 45, and is read while the buffer for it grows


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_at_all_is_refused(what: str, tmp_path: Path) -> None:
    make, why = REFUSED[what]
    (path := tmp_path / "photos.zip").write_bytes(make())
    with pytest.raises(DataError, match=rf"photos\.zip.*{why}"):
        decode_all(Source(path, labelled=False))


def test_unusual_archives_are_read(tmp_path: Path) -> None:
    """Whatever packs them, whatever stands before them, whatever the names."""
    path = tmp_path / "photos.zip"
    for kind in (zipfile.ZIP_STORED, *KINDS.values()):
        names = ("deep/2.jpg", f"{NUMBER}.jpg", f"1{NUMBER}.jpg", "10.jpg", "été ①.jpg", "😺.JPG", "back\\slash.jpg")
        path.write_bytes(b"#!/bin/sh\n" + archive(*((name, JPEG) for name in names), kind=kind))
        found = decode_all(Source(path, labelled=False), 16)
        assert found.skipped == {}
        assert set(found.names) == {"good.jpg", *(name.replace("\\", "/") for name in names)}
        assert list(found.names) == sorted(found.names, key=natural_key)
        assert found.names.index("10.jpg") < found.names.index(f"{NUMBER}.jpg") < found.names.index(f"1{NUMBER}.jpg")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_of_two_entries_of_one_name_the_last_is_meant_as_when_unpacking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lit_a1")
    (path := tmp_path / "photos.zip").write_bytes(
        archive(("good.jpg", b"no picture"), ("x\\1.jpg", b"y"), ("x/1.jpg", JPEG))
    )
    source = Source(path, labelled=False)
    assert [image.name for image in source.images] == ["good.jpg", "x/1.jpg"]
    assert source.read(source.images[0]) == b"no picture"
    assert "photos.zip has several entries of the same name, and the last is read: good.jpg, x/1.jpg." in caplog.text
