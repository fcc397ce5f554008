from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lit_a1.runs.folders import check_same_settings, new_version, resolve, trained_weights
from lit_a1.runs.records import CheckpointError, version_of


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
    put(tmp_path, 2, "other.ckpt")
    (tmp_path / "version_3").mkdir()  # of a run that never began
    assert resolve("last", tmp_path).parts[-3] == "version_1"
    with pytest.raises(CheckpointError, match=r"newest run, .*version_2, has no last\.ckpt"):
        resolve("last", tmp_path, resume=True)


def test_the_weights_that_another_training_needs_are_the_newest_finished_ones(tmp_path: Path) -> None:
    for version in (9, 10, 11, 12):
        put(tmp_path / "x", version, "best.ckpt")
        put(tmp_path / "x", version, "last.ckpt")
    for version in (9, 10):  # of the others none has ended
        (tmp_path / "x" / f"version_{version}" / "record.json").write_text("{}")
    tenth = tmp_path / "x" / "version_10"
    assert trained_weights(str(tmp_path / "x")) == tenth / "checkpoints" / "last.ckpt"
    assert trained_weights(str(tmp_path / "x" / "version_9")).parts[-3] == "version_9"
    best = tenth / "checkpoints" / "best.ckpt"
    assert trained_weights(str(best)) == trained_weights(str(best), drawn=True) == best
    for unfinished in (tmp_path / "x" / "version_12", tmp_path / "y"):
        with pytest.raises(CheckpointError, match=f"no finished training in {unfinished}"):
            trained_weights(str(unfinished))


def test_on_drawn_images_they_are_of_such_runs(tmp_path: Path) -> None:
    for name in ("x", "x-drawn"):
        put(tmp_path / name, 0, "last.ckpt")
        (tmp_path / name / "version_0" / "record.json").write_text("{}")
    drawn = tmp_path.joinpath("x-drawn", "version_0", "checkpoints", "last.ckpt")
    assert trained_weights(str(tmp_path / "x"), drawn=True) == drawn
    assert trained_weights(str(tmp_path / "x-drawn"), drawn=True) == drawn
    assert trained_weights(str(tmp_path / "x" / "version_0"), drawn=True).parts[-4] == "x"
    with pytest.raises(CheckpointError, match=r"no finished training in .*y-drawn"):
        trained_weights(str(tmp_path / "y"), drawn=True)


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


def test_a_run_goes_on_with_the_settings_that_decide_what_is_learnt(tmp_path: Path) -> None:
    started = {"model.lr": 0.1, "data.workers": 0, "data.source": "auto", "data.eval_batch_size": 250}
    here = started | {"data.workers": 4, "data.source": "real", "data.eval_batch_size": 7, "data.predict_dir": "photos"}
    check_same_settings(started, here | {"trainer.devices": 2, "model.compile_net": True}, tmp_path)
    check_same_settings(started | {"data.size_schedule": "{}"}, here, tmp_path)  # as `null`
    for changed, words in (
        ({"model.lr": 0.2}, "with model.lr=0.1, not 0.2"),
        ({"model.sync_norm": True}, "without model.sync_norm"),
        ({"trainer.overfit_batches": 2}, "without trainer.overfit_batches"),
        ({"data.n_valid": 5}, "without data.n_valid"),
    ):
        with pytest.raises(CheckpointError, match=words):
            check_same_settings(started, here | changed, tmp_path)
