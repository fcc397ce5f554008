"""A small report that has everything in it: all kinds of blocks, characters with a meaning in HTML or in Typst."""

from pathlib import Path

from PIL import Image, ImageDraw

from lit_a1.report.document import Document, Figure, Missing, Section, Table, Text

NASTY = (
    """<script>alert("1")</script> & 'quotes' "here" #set $x^2$ _under_score @label [bracket] {brace} ~ \\ / = + - %"""
)
GLYPHS = "± × ≤ ≥ − · … – “ ” é ² → α β ≈ °"  # noqa: RUF001
LONG = "lightning_logs/" + "a_very_long_name-" * 8 + "x" * 60


def line_art(folder: Path) -> Path:
    """A PNG of 1280 x 800 pixels, transparent where nothing is drawn."""
    drawing = Image.new("RGBA", (1280, 800), (255, 255, 255, 0))
    pen = ImageDraw.Draw(drawing)
    pen.line([(100, 700), (600, 300), (1200, 100)], fill="#0072B2", width=4)
    pen.rectangle((100, 100, 1200, 700), outline="black", width=2)
    path = folder / "line art.png"
    drawing.save(path)
    return path


def nasty_document(picture: Path) -> Document:
    """Sections three deep, and a picture that is not there."""
    markdown = f"""First **strong words**, *emphatic words*, `code_span <b>` and {GLYPHS}.

- outer item
  1. inner item

> quoted words

A hard break  \nafter it. [Inside](#second), [nowhere](#not-there), [outside](https://example.org/?a=b&c=d).

| left | right |
| --- | ---: |
| mark | 12.5 ± 0.3 % |

    indented --code

---

![not loaded](https://example.org/picture.png) and <img src="https://example.org/other.png">

# no heading

{LONG}
"""
    wide = Table(
        "Twelve columns.",
        [f"a_long_header_{column}" for column in range(12)],
        [
            [f"row{row}cell{column}" if column == 0 else f"{row}.{column:05}" for column in range(12)]
            for row in range(3)
        ],
        source="`results.csv`, seed 0",
    )
    return Document(
        f"Title {NASTY}",
        "Subtitle <i> & commit 0123abc",
        [Text("Summary of **all**.")],
        [
            Section(
                f"First {NASTY}",
                "first",
                [Text(markdown), wide],
                [
                    Section(
                        "Below <b>", "first-below", [Figure(picture, "A *line*, 5 < 6.", 'alt "of" <line>', "run 7")]
                    ),
                    Section("Beside", "beside", [], [Section("Deep", "deep", [Text("Deep words.")])]),
                ],
            ),
            Section(
                "Second",
                "second",
                [
                    Table("", ["nothing", "here"], []),
                    Table("No columns at all.", [], []),
                    Table("Nasty.", ["", "`code` & text"], [[NASTY, "1"], [LONG, ""]], text_columns=2),
                    Figure(picture.with_name("lost.png"), "Gone.", "what was seen", "run 8"),
                    Missing("`other` has **not** been run.", f"python main.py fit --data.root '{NASTY}'"),
                    Missing("Nothing can be done."),
                ],
            ),
        ],
    )
