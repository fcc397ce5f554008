from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lit_a1.runs import CheckpointError, clock, new_version, resolve, version_of


def put(folder: Path, version: int, name: str) -> Path:
    path = folder / f"version_{version}" / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_keywords_mean_the_newest_run_that_has_one(tmp_path: Path) -> None:
    put(tmp_path, 2, "best.ckpt")
    newest = put(tmp_path, 10, "best.ckpt")
    last = put(tmp_path, 9, "last.ckpt")
    assert resolve(None, tmp_path) == resolve("best", tmp_path) == newest
    assert resolve("last", tmp_path) == last
    assert resolve(str(last), tmp_path) == last
    assert version_of(newest) == 10


def test_only_the_newest_run_is_resumed(tmp_path: Path) -> None:
    put(tmp_path, 1, "last.ckpt")
    (tmp_path / "version_2").mkdir()
    assert resolve("last", tmp_path).parts[-3] == "version_1"
    with pytest.raises(CheckpointError, match=r"newest run, .*version_2, has no last\.ckpt"):
        resolve("last", tmp_path, resume=True)


@pytest.mark.parametrize("wanted", [None, "best", "last", "nowhere.ckpt"])
def test_a_missing_checkpoint_is_refused(wanted: str | None, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"There is no .*ckpt"):
        resolve(wanted, tmp_path)


def test_each_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, 7, "best.ckpt")
    (tmp_path / "version_of_mine").mkdir()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_version(tmp_path).name, range(8)))
    assert set(made) == {f"version_{number}" for number in range(8, 16)}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3661, "1:01:01")]
)
def test_clock(seconds: float, words: str) -> None:
    assert clock(seconds) == words
