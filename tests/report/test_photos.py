"""What is said of the photos is what the split, the settings and the weights say."""

from pathlib import Path
from typing import Any

import pytest

from lit_a1.data.split import COLUMNS, CONFLICT, IN_TEST
from lit_a1.report.document import write_section
from lit_a1.report.gather import gather
from lit_a1.report.photos import data_of, split_of
from lit_a1.report.plan import Commands
from lit_a1.report.problems import problem3
from lit_a1.report.verdicts import unprefixed_settings
from tests.report.conftest import LOGS, Add


def test_the_split_is_counted_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_A1_CACHE", str(tmp_path))
    settings = unprefixed_settings("catsdogs_best") | {"n_valid": "2"}
    commands, folder = Commands(gather(LOGS, "real")), tmp_path / "trainset-split-0"
    assert split_of("2", "6135") is None
    folder.mkdir()
    (folder / "split-valid2-seed6135.csv").write_text("damaged")
    assert split_of("2", "6135") is None
    assert "can't be counted" in write_section("data", data=data_of(commands, None, settings))
    parts = [("train", "")] * 5 + [("valid", "")] * 2 + [("left_out", CONFLICT)] * 3 + [("left_out", IN_TEST)]
    lines = [f"{number}.jpg,Cat,{part},,{reason}" for number, (part, reason) in enumerate(parts)]
    (folder / "split-valid2-seed6135-without-test-copies.csv").write_text("\n".join([",".join(COLUMNS), *lines]))
    assert split_of("2", "6135") == {"train": 5, "valid": 2, "conflicts": 3, "in_test": 1}
    assert split_of("3", "6135") is None
    text = " ".join(write_section("data", data=data_of(commands, None, settings)).split())
    assert "5 photos are for training and 2 for validation" in text
    assert "3 photos whose copies have different labels, and 1 also found in the test set" in text


def test_the_submission_is_that_of_the_network_with_the_fewest_errors(add_run: Add, tmp_path: Path) -> None:
    def submitted() -> dict[str, Any]:
        return problem3(gather(LOGS, "real"), tmp_path)["data"]["submission"]

    published = submitted()
    assert published["command"].endswith("predict --config configs/catsdogs_best.yaml --ckpt_path pretrained")
    assert published["trained_by"].startswith("python main.py fit --config configs/catsdogs_best.yaml")
    assert (published["error"], len(published["sha256"])) == (0.0295, 64)
    add_run("catsdogs", [0.5])
    assert submitted() == published
    better = add_run("catsdogs_gpu", [0.01])
    own = submitted()
    assert str(better / "checkpoints" / "last") in own["command"]
    assert (own["error"], own["sha256"], own["trained_by"]) == (0.01, "", "")
