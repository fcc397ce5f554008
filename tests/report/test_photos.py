from pathlib import Path

from lit_a1.report.document import Missing, Table, Text
from lit_a1.report.photos import photos

HEAD = "problem,group,name,part,label,detail\n"


def test_pictures_are_counted_by_problem_and_part(tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    rows = ["greyscale,0,a,train,Cat,", "greyscale,0,b,train,Dog,", "greyscale,0,c,test,,"]
    rows += [f"copies in train,{group},{name},train,Cat," for group, name in ((3, "d"), (3, "e"), (4, "f"), (4, "g"))]
    path.write_text(HEAD + "\n".join(rows) + "\n")
    _, table, words = photos(path).blocks
    assert isinstance(table, Table)
    assert [(row[0], *row[2:]) for row in table.rows] == [
        ("copies in train", "4", "0", "2"), ("greyscale", "2", "1", "")
    ]  # fmt: skip
    assert isinstance(words, Text)
    assert words.markdown.startswith("2 groups of exact copies")


def test_a_table_that_is_missing_damaged_or_empty_is_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    assert isinstance(photos(path).blocks[-1], Missing)
    path.write_text("problem,group\ngreyscale,0\n")
    assert isinstance(photos(path).blocks[-1], Missing)
    path.write_text(HEAD + "greyscale,0\n")
    assert isinstance(photos(path).blocks[-1], Missing)
    path.write_text(HEAD)
    last = photos(path).blocks[-1]
    assert isinstance(last, Text)
    assert "nothing wrong" in last.markdown
