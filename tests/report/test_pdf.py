import re
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader

from lit_a1.report import pdf
from lit_a1.report.document import Block, Document, Section
from lit_a1.report.pdf import ZERO_WIDTH_SPACE, breakable

MARGIN = 19 / 25.4 * 72  # points


def letters(text: str) -> str:
    """Without what a line break adds or takes away: spaces, hyphens, backquotes that stand for code."""
    return re.sub(rf"[\s{ZERO_WIDTH_SPACE}\u00ad`-]", "", text)


def rendered(document: Document, folder: Path) -> PdfReader:
    path = folder / "report.pdf"
    pdf.render(document, path)
    return PdfReader(path)


def text_of(reader: PdfReader) -> str:
    return letters("".join(page.extract_text() for page in reader.pages))


def places(reader: PdfReader) -> list[tuple[str, float, float]]:
    """Runs of text with how far from the left and from the lower edge, in points, each begins."""
    found: list[tuple[str, float, float]] = []

    def note(text: str, matrix: list[float], text_matrix: list[float], *_: object) -> None:
        if text.strip():
            x, y = text_matrix[4:6]
            a, b, c, d, e, f = matrix
            found.append((text, a * x + c * y + e, b * x + d * y + f))

    for page in reader.pages:
        page.extract_text(visitor_text=note)
    return found


def test_texts_properties_and_links(document: Document, tmp_path: Path, shown_texts: list[str]) -> None:
    reader = rendered(document, tmp_path)
    shown = text_of(reader)
    for text in shown_texts:
        assert letters(text) in shown
    assert reader.metadata is not None
    assert reader.metadata.title == document.title
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [595, 842]  # A4
    first, below, *_ = reader.outline
    assert letters(document.sections[0].title) in letters(first["/Title"])
    assert isinstance(below, list)
    assert letters(reader.pages[0].extract_text()).endswith(f"1/{len(reader.pages)}")
    assert sum(len(page.images) for page in reader.pages) == 1
    pdf.render(document, tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == (tmp_path / "report.pdf").read_bytes()
    notes = [note.get_object() for page in reader.pages for note in page.get("/Annots", [])]
    outside = {note["/A"]["/URI"] for note in notes if "/URI" in note.get("/A", {})}
    assert outside == {
        "https://example.org/?a=b&c=d", "https://example.org/image.png", "https://example.org/front?a=b&c",
    }  # fmt: skip
    inside = [note for note in notes if "/URI" not in note.get("/A", {})]
    assert len(inside) > len(document.sections) - 1  # the contents, and one in the text


@pytest.mark.parametrize("columns", [12, 40])
def test_a_wide_table_stays_on_the_page(columns: int, tmp_path: Path) -> None:
    header = [f"measured_quantity_{column}" for column in range(columns)]
    rows = [
        ["an experiment of some name", *(f"{row}.{column:06}" for column in range(columns - 1))] for row in range(3)
    ]
    reader = rendered(Document("T", "", [Block("table", "Wide.", header=header, rows=rows)], []), tmp_path)
    width = float(reader.pages[0].mediabox.width)
    assert all(MARGIN - 1 <= x < width - MARGIN for _, x, _ in places(reader))
    shown = text_of(reader)
    assert all(letters(cell) in shown for row in (header, *rows) for cell in row)


def test_a_long_table_repeats_its_header(tmp_path: Path) -> None:
    rows = [[f"row {row}", str(row)] for row in range(120)]
    table = Block("table", "Long.", header=["name", "number"], rows=rows)
    pages = [page.extract_text() for page in rendered(Document("T", "", [table], []), tmp_path).pages]
    assert len(pages) > 2
    assert all("name" in page and "number" in page for page in pages)
    assert "Long." in pages[0]


def test_a_tall_figure_fits_a_page(image: Path, tmp_path: Path) -> None:
    with Image.open(image) as drawn:
        drawn.resize((1280, 6000)).save(image)
    reader = rendered(Document("T", "", [Block("figure", "Tall.", path=str(image), alt="alt")], []), tmp_path)
    (page,) = (page for page in reader.pages if page.images)
    assert "Tall." in page.extract_text()
    (height,) = (y for text, _, y in places(reader) if "Tall." in text)
    assert MARGIN < height < 842 - MARGIN


def test_without_sections(tmp_path: Path) -> None:
    reader = rendered(Document("", "", [], []), tmp_path)
    assert len(reader.pages) == 1
    assert "Contents" not in reader.pages[0].extract_text()


def test_a_report_that_can_not_be_set_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "TEMPLATE", tmp_path / "lost.typ")
    with pytest.raises(FileNotFoundError):
        rendered(Document("", "", [], []), tmp_path)
    assert not (tmp_path / "report.pdf").exists()


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("3. three\n\n   more of it\n4. four\n   - five\n     - six", ["3.three", "moreofit", "4.four", "five", "six"]),
        ("a **b *c*** `d`\ne [f](#here) [](x) [g]()", ["abcdefg"]),
        ("| a | |\n| --- | ---: |\n| | **`x`** [y](z) |\n| | |", ["a", "xy"]),
    ],
)
def test_markdown(markdown: str, words: list[str], tmp_path: Path) -> None:
    shown = text_of(rendered(Document("T", "", [Block("text", markdown)], []), tmp_path))
    assert all(word in shown for word in words)


def test_long_words_can_be_broken() -> None:
    assert breakable("short words, 0.123456 and 1e-10", 10) == "short words, 0.123456 and 1e-10"
    assert breakable("training_seconds", 10) == f"training_{ZERO_WIDTH_SPACE}seconds"
    assert breakable("-123456789.5", 10) == "-123456789.5"  # not within a number
    broken = breakable("x" * 100)
    assert broken.replace(ZERO_WIDTH_SPACE, "") == "x" * 100
    assert max(map(len, broken.split(ZERO_WIDTH_SPACE))) <= 24


@pytest.mark.parametrize(("inches", "side_by_side"), [(3.0, True), (4.0, False)])
def test_small_figures_stand_side_by_side(inches: float, side_by_side: bool, tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", (round(200 * inches), 400), "white").save(path)
    figures = [Block("figure", f"Number{number}.", path=str(path), alt="alt") for number in range(2)]
    found = {text.strip(): (x, y) for text, x, y in places(rendered(Document("T", "", figures, []), tmp_path))}
    (left, first), (right, second) = (found[f"Number{number}."] for number in range(2))
    assert (first == second and left < right) == side_by_side


def test_a_figure_stands_where_it_is_put(image: Path, tmp_path: Path) -> None:
    texts = [Block("text", "\n\n".join(["Words of a line."] * count)) for count in (36, 10)]
    figure = Block("figure", "Large.", path=str(image), alt="alt")
    first, second = rendered(Document("T", "", [texts[0], figure, texts[1]], []), tmp_path).pages
    assert first.extract_text().count("Words of") == 36
    assert second.extract_text().index("Large.") < second.extract_text().index("Words of")


def test_the_appendix_is_a_file_of_its_own(tmp_path: Path) -> None:
    sections = [Section("Answer", "answer", 1, [Block("text", "See [](#detail).")])]
    report = Document("T", [("Author", "Ada")], [Block("text", "Summary.")], sections, [Section("Detail", "detail")])
    shown = text_of(rendered(report, tmp_path))
    assert "SeeA." in shown
    assert "Detail" not in shown
    pdf.render(report, tmp_path / "appendix.pdf", appendix=True)
    shown = text_of(PdfReader(tmp_path / "appendix.pdf"))
    assert shown.startswith("T:appendixAuthorAda")
    assert "ADetail" in shown
    assert "Summary" not in shown
