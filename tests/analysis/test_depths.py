from collections.abc import Callable

import numpy as np
import pytest
import torch

from lit_a1.analysis import depths as module
from lit_a1.analysis.depths import Field, depths, feature_maps, field_after, sample
from lit_a1.analysis.subject import Subject, captured
from lit_a1.models.residual import ResidualNet


def test_fields_by_hand(subject_of: Callable[..., Subject]) -> None:
    # stem: 3x3 at stride 2; stage: 3x3, pooling 2x2 (stride 4 from here on), two 3x3; and so on
    assert [place.field for place in depths(subject_of("photos").net)] == [
        Field(3, 2, -1),
        Field(3 + 4 + 2 + 8 + 8, 4, -1 - 2 - 4 - 4),
        Field(25 + 8 + 4 + 16 + 16, 8, -11 - 4 - 8 - 8),
    ]
    # stem: 3x3 at stride 1; stage: 3x3 at stride 2, 3x3
    assert [place.field for place in depths(subject_of("digits").net)] == [
        Field(3, 1, -1),
        Field(3 + 2 + 4, 2, -1 - 1 - 2),
        Field(9 + 4 + 8, 4, -4 - 2 - 4),
    ]


@pytest.mark.parametrize(("kind", "depth", "place"), [("photos", 0, 7), ("photos", 1, 4), ("digits", 2, 3)])
def test_a_unit_sees_its_field_and_nothing_else(
    subject_of: Callable[..., Subject], kind: str, depth: int, place: int
) -> None:
    subject = subject_of(kind)
    spot = depths(subject.net)[depth]
    pictures = torch.rand(60, 3 if kind == "photos" else 1, subject.size, subject.size, requires_grad=True)
    with captured(spot.module) as seen:
        subject.net(subject.standardize(pictures))
    seen[0][:, :, place, place].sum().backward()
    assert pictures.grad is not None
    seen_rows = pictures.grad.abs().sum((0, 1, 3)).nonzero()
    assert (int(seen_rows.min()), int(seen_rows.max()) + 1) == spot.field.at(place)


def test_weight_norm_has_the_same_fields() -> None:
    nets = [ResidualNet((4, 4, 4), (1, 1), norm=norm, transition="max_pool") for norm in ("batch", "weight")]
    assert len({tuple(place.field for place in depths(net)) for net in nets}) == 1


def test_a_plain_layer_does_not_widen_the_field() -> None:
    assert field_after(Field(5, 2, -1), torch.nn.ReLU()) == Field(5, 2, -1)
    assert field_after(Field(), torch.nn.AvgPool2d(3, 2, 1)) == Field(3, 2, -1)


@pytest.mark.parametrize("transition", ["stride", "max_pool"])
def test_each_block_is_a_depth_where_there_are_few(transition: str) -> None:
    net = ResidualNet((4, 4, 4), (2, 1), transition=transition)  # type: ignore[arg-type]
    assert [place.name for place in depths(net)] == ["Stem", "Stage 1, block 1", "Stage 1, block 2", "Stage 2"]
    assert [place.name for place in depths(net, blocks=False)] == ["Stem", "Stage 1", "Stage 2"]
    assert depths(net)[-1].field == depths(net, blocks=False)[-1].field
    assert depths(net)[2].module is net.stages[0][-1]
    deep = ResidualNet((4, 4, 4), (4, 3), transition=transition)  # type: ignore[arg-type]
    assert [place.name for place in depths(deep)] == ["Stem", "Stage 1", "Stage 2"]


def test_maps_come_in_batches_and_in_order(subject_of: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 7)
    subject = subject_of("photos", count=20)
    rows = np.arange(19, 3, -1)
    batches = list(feature_maps(subject, rows, depths(subject.net)))
    assert [len(batch) for batch, _ in batches] == [7, 7, 2]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), rows)
    assert [maps.shape[1:] for maps in batches[0][1]] == [(4, 16, 16), (8, 8, 8), (8, 4, 4)]
    last = torch.cat([maps[-1] for _, maps in batches])
    np.testing.assert_allclose(last.mean((2, 3)), subject.features[rows], rtol=1e-4, atol=1e-6)


def test_a_sample_is_spread_evenly(subject_of: Callable[..., Subject]) -> None:
    subject = subject_of("digits", count=21)
    assert sample(subject, 5).tolist() == [0, 5, 10, 15, 20]
    assert sample(subject).tolist() == list(range(21))
