"""The benchmarks of steps, layers, batches, labels: both sides do the same, and each row is there."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lit_a1.benchmark import data, inference, layers, step
from lit_a1.benchmark.recipe import Recipe, convolutions_of
from lit_a1.layers import BatchNorm2d, Conv2d, MaxPool2d
from lit_a1.models.residual import ResidualNet


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network, a few small images, nothing compiled."""
    make = Recipe.__init__

    def small_recipe(self: Recipe, name: str = "catsdogs") -> None:
        make(self, name)
        self.settings["model"]["init_args"] |= {"widths": [8, 16, 16, 24]}
        self.compiled, self.batch, self.size = False, 4, 24

    monkeypatch.setattr(Recipe, "__init__", small_recipe)
    for module in (step, layers):
        monkeypatch.setattr(module, "STEPS", 1)


def test_torchs_layers_give_what_ours_do() -> None:
    ours = ResidualNet((8, 16), (1,), transition="max_pool")
    nn.init.normal_(ours.linear.weight)
    theirs = step.with_torch_layers(ours)
    assert not any(isinstance(module, BatchNorm2d | Conv2d | MaxPool2d) for module in theirs.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in theirs.modules()) == 4
    images = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(ours(images), theirs(images))


def test_the_limit_is_all_convolutions_of_the_network() -> None:
    net = ResidualNet((8, 16), (1,))
    found = convolutions_of(net, torch.Size((2, 3, 16, 16)))
    assert [(*conv.input[1:3], conv.output[1], conv.kernel, conv.stride) for conv in found] == [
        (3, 16, 8, 3, 2), (8, 4, 16, 1, 1), (8, 8, 16, 3, 2), (16, 4, 16, 3, 1),
    ]  # fmt: skip


def test_a_bare_step_trains() -> None:
    loop = step.BareLoop(Recipe())
    before = [parameter.clone() for parameter in loop.parameters]
    loop.steps()
    assert loop.loss.isfinite()
    assert not all(map(torch.equal, before, loop.parameters))
    assert loop.model.average is not None
    assert loop.model.average.updates == 1


def test_steps_are_timed_and_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = step.step(1)
    assert [row.other for row in rows] == ["torch's layers, loss and SGD", "its convolutions alone, forward, thrice"]
    assert all("4 images of 24x24" in row.name for row in rows)
    monkeypatch.setattr(
        "lit_a1.benchmark.loop.in_new_process", lambda function, *_: (2.0 if function.__name__ == "fit" else 0.5, 0)
    )
    parts = step.profile(1)
    assert parts["Lightning and callbacks"] == 1.5
    assert [name for name in parts if name.startswith("convolutions")] == [
        "convolutions, forward", "convolutions, gradient by the input", "convolutions, gradient by the weights",
    ]  # fmt: skip


def test_layers_and_optimizers_are_timed() -> None:
    names = [(row.name.partition(" ")[0].strip(","), row.other) for row in layers.layers(1)]
    ways = [(name, f"torch's, {way}") for name in ("sgd", "adamw") for way in ("foreach", "fused")]
    norms = [(name, "torch's") for name in ("batch", "layer", "group", "instance", "convolutions")]
    assert names == [*norms, *ways, ("muon", "torch's, which rounds to bfloat16")]


def test_batches_and_labels_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "PHOTOS", 16)
    monkeypatch.setattr(data, "WORKERS", 0)
    loader = data.DataLoader
    monkeypatch.setattr(data, "DataLoader", lambda *a, persistent_workers, **o: loader(*a, **o))
    (row,) = data.data(1)
    assert row.name == "an epoch of 16 photos, augmented, 24x24"
    monkeypatch.setattr(inference, "PHOTOS", 2)
    assert [row.at_most for row in inference.inference(1)] == [1 / 3, None]


def test_photos_that_are_written_differ(tmp_path: Path) -> None:
    folder = data.write_photos(tmp_path, 130)
    contents = {path.read_bytes() for path in folder.glob("*/*.jpg")}
    assert len(contents) == 130
