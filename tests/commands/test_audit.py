import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lit_a1.cli import main
from tests.conftest import Capture, Refusal, read_csv


def test_audit_leaves_a_table_and_a_sheet(course_photos: Callable[..., Path], capsys: Capture) -> None:
    root = course_photos(per_class=3, test=2)
    main(["audit"])
    said = capsys.readouterr().out
    assert re.search(r"images\W+6\W+2\b", said)
    assert "groups of copies: 0" in said
    folder = root / "own"
    for name in ("Cat", "Dog"):
        (folder / name).mkdir(parents=True)
        Image.new("L", (64, 64), 9).save(folder / name / "1.png")
        (folder / name / "2.jpg").write_bytes(b"no photo")
    main(["audit", "--dir", str(folder), "--out", "[bold]"])  # no markup
    problems = [row["problem"] for row in read_csv("[bold]/audit.csv")]
    assert problems == ["unreadable"] * 2 + ["conflicting labels"] * 2 + ["near-constant"] * 2 + ["greyscale"] * 2
    with Image.open("[bold]/audit.png") as sheet:
        assert sheet.width > 500
    said = capsys.readouterr().out
    assert re.search(r"conflicting labels: \D+2\b", said)
    assert "groups of copies: 1\ngroups of copies in train and test: 0\n" in said
    assert "groups of copies with conflicting labels: 1" in said
    assert "Contact sheet: [bold]/audit.png" in said.replace("\\", "/")


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_nothing_to_audit(folder: str, refusal: Refusal) -> None:
    assert refusal("audit", "--dir", folder).startswith("error: There ")


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(
    course_photos: Callable[..., Path], refusal: Refusal
) -> None:
    course_photos(per_class=3, test=2)
    Path("taken").write_text("a file")
    assert refusal("audit", "--out", "taken").endswith("'taken'")
