"""Formulas reach HTML and PDF as mathematics."""

from pathlib import Path

from pypdf import PdfReader

from lit_a1.report import html, pdf
from lit_a1.report.document import Block, Document
from lit_a1.report.maths import mathml, nodes


def test_tex_becomes_mathml() -> None:
    assert "<msub><mi>x</mi><mi>k</mi></msub>" in mathml("x_k")
    assert 'display="block"' in mathml("x", {"display_mode": True})
    (formula,) = nodes(r"\frac{a}{2}")
    (row,) = formula["body"]
    (fraction,) = row["body"]
    assert (fraction["kind"], len(fraction["body"])) == ("mfrac", 2)


def test_both_show_formulas_and_no_money(tmp_path: Path) -> None:
    tex = r"a_{k-1}^2 \odot \sqrt{b} = \frac{c}{2} \sum_n \log(p_{n,y}) f'(z) \text{if } \max(1,500)"
    parts = [
        f"In ${tex}$ and",
        f"$$\n{tex}\n$$",
        "The price is $5 or $6.",
        "In `$HOME` it is.",
        "| $x^2$ |\n| --- |\n| $y$ |",
    ]
    document = Document("T", [], [Block("text", "\n\n".join(parts))], [])
    page = html.render(document)
    assert page.count("<math ") == 4
    assert page.count('display="block"') == 1
    assert "The price is $5 or $6" in page
    pdf.render(document, tmp_path / "report.pdf")
    shown = PdfReader(tmp_path / "report.pdf").pages[0].extract_text()
    assert "\\" not in shown
    assert "$5 or $6" in shown
    assert shown.count("log") == 2


def test_what_is_no_tex_stops_nothing(tmp_path: Path) -> None:
    wrong = [r"\unknown{x}", r"\frac{a", "x_", "}", "a & b"]
    document = Document("T", [], [Block("text", "\n\n".join(f"In ${tex}$." for tex in wrong))], [])
    assert "x_" in html.render(document)
    pdf.render(document, tmp_path / "report.pdf")
    assert "x_" in PdfReader(tmp_path / "report.pdf").pages[0].extract_text()
