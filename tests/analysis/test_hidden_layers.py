from typing import Any, get_args

import numpy as np
import pytest
import torch

from lit_a1.analysis import hidden_layers as module
from lit_a1.analysis.hidden_layers import ReceptiveField, feature_maps, field_after, hidden_layers
from lit_a1.analysis.network import capture_outputs
from lit_a1.layers import MaxBlurPool2d
from lit_a1.models.residual import ResidualNet, Transition
from tests.analysis.networks import Kind, network_of


def test_fields_by_hand() -> None:
    assert field_after(ReceptiveField(5, 2, -1), torch.nn.ReLU()) == ReceptiveField(5, 2, -1)
    assert field_after(ReceptiveField(), torch.nn.AvgPool2d(3, 2, 1)) == ReceptiveField(3, 2, -1)
    assert field_after(ReceptiveField(), MaxBlurPool2d()) == ReceptiveField(4, 2, -1)
    nets = [ResidualNet((4, 4, 4), (1, 1), norm=norm, transition="max_pool") for norm in ("batch", "weight")]
    assert len({tuple(layer.field for layer in hidden_layers(net)) for net in nets}) == 1


@pytest.mark.parametrize(("kind", "depth", "place"), [("photos", 0, 7), ("photos", 1, 4), ("digits", 2, 3)])
def test_a_unit_sees_its_field_and_nothing_else(kind: Kind, depth: int, place: int) -> None:
    network = network_of(kind)
    layer = hidden_layers(network.net)[depth]
    images = torch.rand(60, 3 if kind == "photos" else 1, network.size, network.size, requires_grad=True)
    with capture_outputs(layer.module) as seen:
        network.net(network.standardize(images))
    seen[0][:, :, place, place].sum().backward()
    seen_rows = images.grad.abs().sum((0, 1, 3)).nonzero()
    assert (int(seen_rows.min()), int(seen_rows.max()) + 1) == layer.field.at(place)


@pytest.mark.parametrize("transition", get_args(Transition))
def test_each_block_is_a_layer_where_there_are_few(transition: Any) -> None:
    net = ResidualNet((4, 4, 4), (2, 1), transition=transition)
    assert [layer.name for layer in hidden_layers(net)] == ["Stem", "Stage 1, block 1", "Stage 1, block 2", "Stage 2"]
    assert [layer.name for layer in hidden_layers(net, blocks=False)] == ["Stem", "Stage 1", "Stage 2"]
    assert hidden_layers(net)[-1].field == hidden_layers(net, blocks=False)[-1].field
    assert hidden_layers(net)[2].module is net.stages[0][-1]
    deep = ResidualNet((4, 4, 4), (4, 3), transition=transition)
    assert [layer.name for layer in hidden_layers(deep)] == ["Stem", "Stage 1", "Stage 2"]


def test_maps_come_in_batches_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 7)
    network, rows = network_of("photos", 20), np.arange(19, 3, -1)
    batches = list(feature_maps(network, rows, hidden_layers(network.net)))
    assert [len(batch[0]) for batch in batches] == [7, 7, 2]
    assert [maps.shape[1:] for maps in batches[0]] == [(4, 16, 16), (8, 8, 8), (8, 4, 4)]
    last = torch.cat([batch[-1] for batch in batches])
    np.testing.assert_allclose(last.mean((2, 3)), network.features[rows], rtol=1e-4, atol=1e-6)
