import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.analysis import ascent, maximise, maximise_figure
from lit_a1.analysis.depths import depths
from lit_a1.analysis.maximise import analyze, channel_score, class_score, real_answers
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject, captured


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path, "maximise", "What excites a unit", "a run")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ascent.ascend, "__defaults__", (12,))


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_scores_are_what_the_network_says(subject_of: Callable[..., Subject], kind: str) -> None:
    subject = subject_of(kind)
    pictures = subject.prepared([3, 4, 5])
    with captured(subject.net.stages[0]) as seen:
        logits = subject.net(subject.standardize(pictures))
    found = class_score(subject, [1, 0, 1])(pictures)
    expected = logits[[0, 1, 2], [1, 0, 1]] - (logits[[0, 1, 2], [0, 1, 0]] if kind == "photos" else 0)
    torch.testing.assert_close(found, expected)
    found = channel_score(subject, 0, [6, 2, 7])(pictures)
    torch.testing.assert_close(found, seen[0][[0, 1, 2], [6, 2, 7]].mean((1, 2)))


def test_a_silent_channel_has_a_gradient_all_the_same(subject_of: Callable[..., Subject]) -> None:
    subject = subject_of("photos")
    subject.net.stages[1][-1].residual[2][1].bias[3] = -50
    pictures = subject.prepared([0, 1]).requires_grad_()
    values = channel_score(subject, 1, [3, 4])(pictures)
    assert values[0] == 0
    (gradient,) = torch.autograd.grad(values.sum(), pictures)
    assert gradient[0].abs().max() > 0
    # where a channel answers its gradient is its own: that of a small step
    step = 1e-2 * gradient[1] / gradient[1].norm()
    with torch.no_grad():
        rise = channel_score(subject, 1, [3, 4])(torch.stack([pictures[0], pictures[1] + step]))[1] - values[1]
    assert rise == pytest.approx(float((step * gradient[1]).sum()), rel=0.1)


def test_what_real_pictures_excite(subject_of: Callable[..., Subject]) -> None:
    subject, rows = subject_of("digits"), np.array([4, 9, 2])
    means, logits = real_answers(subject, rows, depths(subject.net, blocks=False)[1:])
    with torch.inference_mode(), captured(subject.net.stages[0]) as seen:
        expected = subject.net(subject.standardize(subject.prepared(rows)))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(means[0], seen[0].mean((2, 3)), rtol=1e-4, atol=1e-6)
    assert [each.shape for each in means] == [(3, 8), (3, 8)]


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_tables_figures_and_words(subject_of: Callable[..., Subject], part: Part, kind: str) -> None:
    subject = subject_of(kind)
    analyze(subject, part)
    with (part.folder / "maximise.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == ["Classes"] * len(subject.classes) + ["Stage 1"] * 5 + ["Stage 2"] * 5
    shown = {drawn.file: drawn.shows_pictures for drawn in part.figures}
    assert shown == {"maximise_classes.png": False, "maximise_channels.png": False, "maximise_best.png": True}
    for channel in (row for row in rows if row["layer"] == "Stage 2"):
        answers = subject.features[:, int(channel["unit"])]
        assert float(channel["best_real"]) == pytest.approx(answers.max(), rel=1e-4)
        assert int(channel["best_real_picture"]) == subject.indices[answers.argmax()]
    varied = np.argsort(-subject.features.std(0))[:5]
    assert [int(row["unit"]) for row in rows[-5:]] == varied.tolist()
    beaten = sum(float(row["reached"]) > float(row["best_real"]) for row in rows if row["layer"] != "Classes")
    assert beaten >= 8  # of 10: pictures made to excite do so
    said = "In all 10 channels" if beaten == 10 else f"In {10 - beaten} of 10 channels"
    assert said in part.words[1]
    assert ("log-odds of a class against the other" in part.words[0]) == (kind == "photos")
    assert f"{subject.classes[1]}: " in part.words[0]


def test_there_are_several_starts_where_classes_are_few(
    subject_of: Callable[..., Subject], part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(maximise, "draw_classes", lambda _, made, two: drawn.append((made, two)))
    for name in ("draw_channels", "draw_best"):
        monkeypatch.setattr(maximise, name, lambda *_: None)
    analyze(subject_of("photos"), part)
    ((made, two),) = drawn
    assert two
    assert [(unit.name, unit.pictures.shape) for unit in made] == [("Cat", (3, 32, 32, 3)), ("Dog", (3, 32, 32, 3))]
    assert part.numbers["reached_Dog"] == made[1].reached.max()
    subject = subject_of("photos")
    for unit in made:  # each was made for its own class
        score = class_score(subject, [unit.unit] * 3)
        found = score(torch.from_numpy(unit.pictures).permute(0, 3, 1, 2))
        np.testing.assert_allclose(found, unit.reached, rtol=1e-3, atol=1e-4)
        assert unit.reached.min() > 0


def test_real_pictures_stand_two_by_two() -> None:
    sheet = maximise_figure._montage(np.stack([np.full((2, 2, 1), k / 10, np.float32) for k in range(3)]))
    assert sheet.shape == (6, 6, 1)
    np.testing.assert_allclose([sheet[0, 0, 0], sheet[0, 4, 0], sheet[4, 1, 0], sheet[5, 5, 0]], [0, 0.1, 0.2, 1])
    assert (sheet[2:4] == 1).all()
