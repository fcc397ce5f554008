import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import pytest
from PIL import Image

from lit_a1.report import html
from lit_a1.report.document import Block, Document, Section
from lit_a1.report.images import encode

STYLE = Path(html.__file__).with_name("style.css").read_text(encoding="utf-8")


def parsed(text: str) -> Element:
    """Strictly: any error in the HTML raises."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(element: Element) -> str:
    """The text in an element, spaces of all kinds as one."""
    return " ".join("".join(element.itertext()).split())


def with_class(root: Element, name: str) -> Iterator[Element]:
    return (element for element in root.iter() if name in element.get("class", "").split())


@pytest.fixture
def page(document: Document) -> Element:
    return parsed(html.render(document))


def test_nothing_is_loaded_from_elsewhere(page: Element) -> None:
    for element in page.iter():
        for name in ("src", "srcset", "data", "poster", "action", "background"):
            assert element.get(name, "data:").startswith("data:")
        if element.tag != "a":
            assert element.get("href", "data:").startswith("data:")
        assert "url(" not in element.get("style", "")
    policy = page.find("head/meta[@http-equiv='Content-Security-Policy']").get("content", "")
    assert policy.startswith("default-src 'none'; img-src data:;")
    for style in page.iter("style"):
        assert "url(" not in words(style)
        assert "@import" not in words(style)
    assert len(list(page.iter("script"))) == len(list(page.iter("style"))) == 1
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|Storage", words(next(page.iter("script"))))


def test_contents_lead_to_every_section(page: Element, document: Document) -> None:
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = [link.get("href", "") for link in page.find(".//nav").iter("a")]
    listed = [section.anchor for section in document.sections if section.anchor != "deep"]
    assert links == [f"#{anchor}" for anchor in listed]  # two levels
    for link in page.iter("a"):
        if link.get("href") != "#not-there":
            assert not link.get("href", "").startswith("#") or link.get("href", "")[1:] in ids


def test_head_and_headings(page: Element, document: Document) -> None:
    assert page.get("lang") == "en"
    assert words(page.find("head/title")) == document.title
    assert "width=device-width" in page.find("head/meta[@name='viewport']").get("content", "")
    headings = [(element.tag, words(element)) for element in page.iter() if re.fullmatch("h[1-6]", element.tag)]
    assert headings == [
        ("h1", document.title),
        ("h2", f"1 {document.sections[0].title}"),
        ("h3", "1.1 Below <b>"),
        ("h3", "1.2 Beside"),
        ("h4", "1.2.1 Deep"),
        ("h2", "2 Second"),
    ]


def test_images_have_their_size_and_a_description(page: Element, image: Path) -> None:
    drawn, lost = with_class(page, "image")
    image = drawn.find(".//img")
    assert image.get("alt") == 'alt "of" <line>'
    assert (image.get("width"), image.get("height")) == ("1280", "800")
    assert image.get("decoding") == "async"
    with Image.open(io.BytesIO(base64.b64decode(image.get("src").partition("base64,")[2]))) as shown:
        assert shown.size == (1280, 800)
    assert words(drawn.find("figcaption")) == "Figure 1. A line, 5 < 6. run 7"
    assert words(lost) == "The image lost.png is gone. what was seen Figure 2. Gone. run 8"
    assert lost.find(".//img") is None
    assert all(words(figure.find("figcaption")) for figure in page.iter("figure"))
    assert all(image.get("alt") for image in page.iter("img"))


def test_no_text_is_lost_and_a_command_is_kept_to_the_letter(
    page: Element, shown_texts: list[str], document: Document
) -> None:
    shown = words(page)
    for text in shown_texts:
        assert " ".join(text.split()) in shown
    (command,) = (block.command for block in document.blocks if block.command)
    (note,) = (note for note in with_class(page, "missing") if note.find("pre") is not None)
    assert "".join(note.find("pre").itertext()) == command


def test_tables_scroll_and_numbers_stand_to_the_right(page: Element) -> None:
    wide = next(with_class(page, "table"))
    assert all(row[0].tag == "th" and row[0].get("class") != "number" for row in wide.find(".//tbody"))
    assert {cell.get("class") for row in wide.find(".//tbody") for cell in row[1:]} == {"number"}
    assert [cell.get("class") for cell in page.find(".//div[@class='text']//tbody/tr")] == [None, "number"]
    boxes = list(with_class(page, "scroll"))
    assert all(box.find("table") is not None and box.get("tabindex") == "0" for box in boxes)
    assert len(boxes) == len(list(page.iter("table"))) == 3


def luminance(colour: str) -> float:
    """Relative luminance as of WCAG 2.2."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_contrast(mode: int) -> None:
    """AA of WCAG 2.2 asks for 4.5 to 1."""
    pairs = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", STYLE)
    colours = {name: luminance((light, dark)[mode]) for name, light, dark in pairs}
    for ink in ("ink", "strong", "muted", "accent"):
        for ground in ("paper", "shade", "code"):
            low, high = sorted((colours[ink], colours[ground]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_size(document: Document, image: Path) -> None:
    """An image costs what its bytes cost in base64, once."""
    plain = replace(document, sections=[])
    assert html.render(document) == html.render(document)
    figures = [Block("figure", f"Figure {number}.", path=str(image), alt="alt") for number in range(3)]
    size = len(base64.b64encode(encode(image).data))
    growth = len(html.render(replace(plain, summary=figures))) - len(html.render(replace(plain, summary=[])))
    assert 3 * size < growth < 3 * size + 3000


def test_numbers_and_their_units_stay_in_one_line() -> None:
    page = html.render(Document("", "", [Block("text", "It is 98.71 ± 0.06 % of them, `5 %`.")], []))
    assert "98.71\u00a0±\u00a00.06\u00a0% of" in page
    assert "<code>5 %</code>" in page


def test_figures_that_follow_one_another_share_a_row(image: Path) -> None:
    figures = [Block("figure", str(number), path=str(image), alt="alt") for number in range(3)]
    page = parsed(html.render(Document("T", "", [*figures[:2], Block("text", "Between."), figures[2]], [])))
    assert [len(row.findall("figure")) for row in with_class(page, "figures")] == [2, 1]


def test_the_appendix_is_folded_away_and_in_the_contents() -> None:
    sections = [Section("One", "one", 1, [Block("text", "See [](#more), [](#one) and [x](#lost).")])]
    page = parsed(html.render(Document("T", [("Author", "**Ada**")], [], sections, [Section("More", "more")])))
    (appendix,) = with_class(page, "appendix")
    assert appendix.tag == "details"
    assert appendix.get("open") is None
    assert [section.get("id") for section in appendix.iter("section")] == ["more"]
    assert [link.get("href") for link in page.find(".//nav").iter("a")] == ["#one", "#more"]
    assert words(next(with_class(page, "text"))) == "See A, 1 and x."
    assert (words(page.find(".//dt")), words(page.find(".//dd"))) == ("Author", "Ada")
