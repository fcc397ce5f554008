import struct

import numpy as np
import pytest

from lit_a1.data.errors import DataError
from lit_a1.data.sources.mnist import read_idx

PICTURES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


@pytest.mark.parametrize("array", [PICTURES, np.array([7, 0, 255], dtype=np.uint8)])
@pytest.mark.parametrize("name", ["set", "set.gz"])
def test_values_and_shape(write_idx, tmp_path, array, name):
    found = read_idx(write_idx(tmp_path / name, array))
    assert found.dtype == np.uint8
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_the_format_to_the_byte(tmp_path):
    data = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 1, 1]) + bytes(2 * 257)
    (tmp_path / "set").write_bytes(data)
    assert read_idx(tmp_path / "set").shape == (2, 257)


@pytest.mark.parametrize("gz", [True, False])
def test_the_name_does_not_tell_whether_it_is_packed(write_idx, tmp_path, gz):
    written = write_idx(tmp_path / f"a{'.gz' if gz else ''}", PICTURES)
    other = written.rename(tmp_path / f"b{'' if gz else '.gz'}")
    np.testing.assert_array_equal(read_idx(other), PICTURES)


@pytest.mark.parametrize(
    "start", [b"", b"\0\0\x08", b"\x89PNG\r\n\x1a\n", b"\0\0\x01\x03", b"\0\x01\x08\x01", b"\0\0\x08\0"]
)
def test_other_files_are_refused(tmp_path, start):
    path = tmp_path / "set"
    path.write_bytes(start)
    with pytest.raises(DataError, match=r"set is not an IDX file: it .*\.$"):
        read_idx(path)


@pytest.mark.parametrize(("code", "name"), [(9, "int8"), (0x0D, "float32")])
def test_other_types_are_refused(tmp_path, code, name):
    path = tmp_path / "set"
    path.write_bytes(struct.pack(">HBBI4x", 0, code, 1, 1))
    with pytest.raises(DataError, match=f"set holds {name} values; uint8 is what is read here"):
        read_idx(path)


def test_a_file_that_is_cut_short(write_idx, tmp_path):
    path = write_idx(tmp_path / "set", PICTURES)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(DataError, match=r"is cut short: its sizes \(3, 4, 5\) make 60 values, and it holds 59"):
        read_idx(path)
    path.write_bytes(data[:10])
    with pytest.raises(DataError, match="is cut short: it ends within the sizes of its 3 dimensions"):
        read_idx(path)


def test_a_file_that_is_too_long(write_idx, tmp_path):
    path = write_idx(tmp_path / "set", PICTURES)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataError, match=r"is longer than it says: its sizes \(3, 4, 5\) make 60 values.* 64"):
        read_idx(path)


def test_sizes_beyond_all_memory(tmp_path):
    path = tmp_path / "set"
    path.write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 12)
    with pytest.raises(DataError, match="is cut short"):
        read_idx(path)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:40] + b"?" + data[41:], lambda data: data + b"x"]
)
def test_a_damaged_gzip_file(write_idx, tmp_path, damage):
    path = write_idx(tmp_path / "set.gz", np.random.default_rng(0).integers(0, 256, (10, 28, 28)))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"set\.gz cannot be unpacked, it is damaged or cut short"):
        read_idx(path)


def test_an_empty_set(write_idx, tmp_path):
    with pytest.raises(DataError, match=r"holds nothing: its sizes are \(0, 28, 28\)"):
        read_idx(write_idx(tmp_path / "set", np.empty((0, 28, 28))))


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)
