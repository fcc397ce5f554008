"""Pictures that it gets wrong, that it is least decided about, and that are the most like their class."""

from itertools import zip_longest

import numpy as np

from lit_a1.analysis.choose import nearest_even, surest_wrong, typical
from lit_a1.analysis.contact_sheet import across, contact_sheet, in_lines
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.runs.wording import counted, listed

TITLE = "Mistakes, close calls and typical pictures"
LINES = 4  # of pictures on a sheet
DIGITS = 5  # of the most typical digits of each class
HEADER = ("index", "truth", "answer", "probability", "margin")


def analyze(subject: Subject, part: Part) -> None:
    """Draws contact sheets of the surest mistakes, the closest calls and typical pictures; lists all mistakes.

    Args:
        subject: the network and its pictures.
        part: to leave figures, tables, numbers and words in.
    """
    count, width = LINES * across(subject), across(subject)
    wrong = surest_wrong(subject, len(subject.labels))
    surest, close = wrong[:count], nearest_even(subject, count)
    if len(surest):
        caption = (
            f"The {counted(len(surest), 'mistake')} that the network is surest of, of {len(wrong):,} in all, the "
            "surest first: the largest difference of log-probability between its answer and the truth."
        )
        contact_sheet(part, "mistakes_surest", caption, subject, in_lines(surest, width))
    caption = (
        f"The {counted(len(close), 'picture')} that it is least decided about, right or wrong, the closest call "
        "first: the smallest difference of log-probability between the truth and the likeliest other class."
    )
    contact_sheet(part, "mistakes_close", caption, subject, in_lines(close, width))
    part.table("mistakes", HEADER, _table(subject, wrong))
    _describe(subject, part, wrong, close)
    _draw_typical(subject, part)


def _table(subject: Subject, rows: np.ndarray) -> list[list[object]]:
    """Of each picture what `HEADER` names: its number, truth, answer, the answer's probability, the margin in nats."""
    answers, margins = subject.answers, subject.margins()
    return [
        [
            subject.indices[row],
            subject.classes[subject.labels[row]],
            subject.classes[answers[row]],
            subject.probabilities[row, answers[row]],
            margins[row],
        ]
        for row in rows
    ]


def _draw_typical(subject: Subject, part: Part) -> None:
    """A block of lines for each class of photos, a column for each digit."""
    width = across(subject)
    if subject.is_photos:
        count = width * (LINES // 2)
        found = [typical(subject, k, count) for k in range(len(subject.classes))]
        lines = [line for rows in found for line in in_lines(rows, width)]
    else:
        found = [typical(subject, k, DIGITS) for k in range(len(subject.classes))]
        lines = [list(line) for line in zip_longest(*(map(int, rows) for rows in found))]
    if not lines:
        part.say("No picture of any class is told right, so none is shown as typical of its class.")
        return
    caption = (
        "Pictures that are told right and are the most typical of their class, the most typical first: those whose "
        "features ahead of the last layer point most nearly the way of the class's mean (cosine)."
    )
    contact_sheet(part, "mistakes_typical", caption, subject, lines)
    if lacking := [name for name, rows in zip(subject.classes, found, strict=True) if not len(rows)]:
        part.say(f"No picture of {listed(lacking)} is told right, so none is shown as typical.")


def _describe(subject: Subject, part: Part, wrong: np.ndarray, close: np.ndarray) -> None:
    sure = subject.probabilities.max(1)
    margins = subject.margins()
    part.number(mistakes=len(wrong), pictures=len(subject.labels), closest_margin=np.abs(margins).min())
    if len(wrong):
        middle = float(np.median(sure[wrong]))
        part.number(surest_mistake=sure[wrong].max(), median_mistake=middle)
        text = (
            f"It gets {len(wrong):,} of {counted(len(subject.labels), 'picture')} wrong. Its wrong answers have a "
            f"probability of {_share(middle)} in the median and of {_share(float(sure[wrong].max()))} at most"
        )
        if subject.right.any():
            middle = float(np.median(sure[subject.right]))
            part.number(median_right=middle)
            text += f"; its right ones of {_share(middle)} in the median"
        part.say(text + ".")
    else:
        part.say(f"It gets all of the {counted(len(subject.labels), 'picture')} right, so there is no mistake to show.")
    bad, near = int((~subject.right[close]).sum()), sure[close]
    part.say(
        f"Of the {counted(len(close), 'closest call')} {bad} {'is' if bad == 1 else 'are'} wrong; the probability of "
        f"their answers goes from {_share(float(near.min()))} to {_share(float(near.max()))}."
    )


def _share(probability: float) -> str:
    return f"{100 * probability:.1f} %"
