import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from lit_a1.analysis import depths as depths_module
from lit_a1.analysis import feature_maps
from lit_a1.analysis.depths import depths
from lit_a1.analysis.feature_maps import analyze, chosen, measure, most_varied
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path, "feature_maps", "Feature maps", "a run")


def test_channels_are_ordered_by_their_variance_over_positions() -> None:
    maps = torch.zeros(3, 2, 2)
    maps[0] = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    maps[1] = 100  # large, but the same everywhere
    maps[2] = torch.tensor([[0.0, 3.0], [0.0, 0.0]])
    assert most_varied(maps).tolist() == [2, 0, 1]
    assert most_varied(maps, 1).tolist() == [2]


def test_sparsity_is_that_of_the_network(subject_of: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of("photos", count=10)
    subject.net.stem[0][1].bias[1] = -100  # this channel never answers
    monkeypatch.setattr(depths_module, "BATCH", 4)
    stem, *_, last = measure(subject, depths(subject.net), np.arange(10))
    with torch.inference_mode():
        maps = subject.net.stem(subject.standardize(subject.prepared(slice(None))))
    np.testing.assert_allclose(stem.zeros, (maps == 0).flatten(1).double().mean(1))
    np.testing.assert_allclose(stem.means, maps.flatten(1).mean(1), rtol=1e-5)
    assert stem.silent == 1
    assert stem.shape == (4, 16, 16)
    assert last.shape == (8, 4, 4)
    np.testing.assert_allclose(last.means, subject.features.mean(1), rtol=1e-4)


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_two_right_pictures_and_a_wrong_one_of_other_classes(subject_of: Callable[..., Subject], kind: str) -> None:
    subject = subject_of(kind)
    rows, looks = zip(*chosen(subject), strict=True)
    assert looks == ("right_1", "right_2", "wrong")
    assert subject.right[list(rows)].tolist() == [True, True, False]
    assert len(set(subject.labels[list(rows)])) == (2 if kind == "photos" else 3)
    perfect = replace(subject, labels=subject.answers)
    assert [look for _, look in chosen(perfect)] == ["right_1", "right_2"]


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_tables_figures_and_words(subject_of: Callable[..., Subject], part: Part, kind: str) -> None:
    subject = subject_of(kind)
    analyze(subject, part)
    with (part.folder / "feature_maps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sizes = [(row["depth"], row["channels"], row["height"], row["width"], row["receptive_field"]) for row in rows]
    assert sizes == (
        [("Stem", "4", "16", "16", "3"), ("Stage 1", "8", "8", "8", "25"), ("Stage 2", "8", "4", "4", "69")]
        if kind == "photos"
        else [("Stem", "4", "28", "28", "3"), ("Stage 1", "8", "14", "14", "9"), ("Stage 2", "8", "7", "7", "21")]
    )
    assert [drawn.file for drawn in part.figures] == ["maps_right_1.png", "maps_right_2.png", "maps_wrong.png"]
    assert all(drawn.shows_pictures for drawn in part.figures)
    row = chosen(subject)[2][0]
    assert f"validation picture {subject.indices[row]} ({subject.classes[subject.labels[row]]})" in (
        part.figures[2].caption
    )
    assert ("more than the picture" in part.words[0]) == (kind == "photos")  # 69 of 32 pixels, but 21 of 28
    assert part.numbers["zero_share_stage_2"] == pytest.approx(float(rows[2]["zero_share"]), rel=1e-5)


def test_without_a_rectifier_nothing_is_zero(
    subject_of: Callable[..., Subject], part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_maps, "chosen", lambda _: [])
    subject = subject_of("photos", count=8)
    subject.net.stem[1] = torch.nn.GELU()
    for stage in subject.net.stages:
        stage[1] = stage[-1].residual[1] = torch.nn.GELU()
    analyze(subject, part)
    assert part.words[-1] == "No activation of 8 pictures is exactly zero at any depth."


def test_the_field_is_drawn_where_the_middle_unit_sees(
    subject_of: Callable[..., Subject], part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    squares = []
    monkeypatch.setattr(feature_maps, "chosen", lambda _: [(0, "one")])
    monkeypatch.setattr(
        feature_maps, "Rectangle", lambda xy, *size, **look: (squares.append((*xy, *size)), Rectangle(xy, *size))[1]
    )
    analyze(subject_of("photos"), part)
    # stem: place 8 of 16 is at pixel 16, one pixel on either side; stage 1: 25 pixels from 5 on; then all 32
    assert squares[:6:2] == [(14.5, 14.5, 3, 3), (4.5, 4.5, 25, 25), (-0.5, -0.5, 32, 32)]
