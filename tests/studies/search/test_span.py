import math

import pytest

from lit_a1.studies.search.span import Span


@pytest.mark.parametrize(
    ("span", "drawn", "meaning"),
    [
        (Span(0.005, 1.0, log=True), 0.0123456, 0.0123),
        (Span(1e-5, 1e-2, log=True), 1.23456e-5, 1.23e-5),
        (Span(0.02345, 1.0, log=True), 0.02345, 0.02345),  # 0.0234 is below
        (Span(0.9, 0.9999), 0.99876, 0.9988),  # three digits of what the range spans
        (Span(0.9, 0.9999), 0.99989, 0.9999),
        (Span(0.8, 0.95, step=0.05), 0.8 + 3 * 0.05, 0.95),
        (Span(0.0, 0.5, step=0.0005), 0.1005, 0.1005),
        (Span(0.0, 0.5, none_below=0.1), 0.0989, 0.0),
        (Span(1, 4096, whole=True), 1234.0, 1234),
        (Span(-1.0, 1.0), -0.25, -0.25),
    ],
)
def test_what_a_drawn_number_stands_for(span: Span, drawn: float, meaning: float) -> None:
    assert span.meaning(drawn) == meaning
    assert isinstance(span.meaning(drawn), int) == span.whole


def test_the_nearest_number_can_be_drawn() -> None:
    spans = (
        Span(0.8, 0.95, step=0.05),
        Span(8, 16, whole=True),
        Span(0.1, 1, log=True),
        Span(16, 64, step=16, whole=True),
    )
    for span in spans:
        for value in (span.low - 1, span.low, (span.low + span.high) / 2.03, span.high, span.high + 1):
            found = span.nearest(value)
            assert span.low <= found <= span.high
            steps = (found - span.low) / (span.step or (1 if span.whole else math.inf))
            assert steps == pytest.approx(round(steps))
    assert Span(0.8, 0.95, step=0.05).nearest(0.87) == pytest.approx(0.85)


def test_all_that_tells_ranges_apart() -> None:
    spans = [
        Span(1, 2), Span(1, 2, whole=True), Span(1, 2, log=True), Span(1, 2, step=0.5), Span(1, 2, step=0.25),
        Span(0, 2), Span(0, 2, none_below=1), Span(0, 3),
    ]  # fmt: skip
    assert len({span.in_full() for span in spans}) == len(spans)
