"""Training in float16 with a loss scale; Lightning offers it on a GPU only, so its plugin is handed over here."""

import copy
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from lit_a1.data.batch import Batch
from lit_a1.layers import NORMS
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier
from tests.models import conftest
from tests.models.conftest import SMALL, Losses, RandomImages, check_equal, saving_after, weights
from tests.models.test_classifier import plain_loop

SHARP = {"sam_radius": 0.3, "sam_from": 0.5}


def float16(scale: float = 2.0**16, growth_interval: int = 2000) -> MixedPrecision:
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=growth_interval)
    return MixedPrecision("16-mixed", "cpu", scaler)


def scaled_float32() -> MixedPrecision:
    """The loss scale alone, all else in float32: a power of two then changes no digit."""
    plugin = float16(2.0**10)
    plugin.autocast_context_manager = lambda: torch.autocast("cpu", enabled=False)  # type: ignore[method-assign]
    return plugin


def make(**options: Any) -> CatsDogsCNN:
    torch.manual_seed(3)
    return CatsDogsCNN(**SMALL | options)


def fit(model: Classifier, resume: Path | None = None, count: int = 48, **options: Any) -> L.Trainer:
    torch.manual_seed(3)  # what the order of the images is drawn from
    return conftest.fit(model, RandomImages(count), resume, **options)


def taken(runner: L.Trainer) -> int:
    return runner.optimizers[0].param_groups[0]["steps_taken"]


class Overflow(L.Callback):
    """Makes a number of a batch's first gradients infinite; keeps what there was before and after that batch."""

    def __init__(self, step: int) -> None:
        self.step, self.is_over = step, False
        self.kept: list[Any] = []

    def on_after_backward(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.global_step == self.step and not self.is_over:  # of SAM's two passes only in the first
            pl_module.net[1].linear.bias.grad[0] = float("inf")
            self.is_over = True

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            self._keep(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if trainer.global_step == self.step + 1:
            self._keep(trainer, pl_module)

    def _keep(self, trainer: L.Trainer, model: Any) -> None:
        moved = {name: tensor for name, tensor in weights(model).items() if tensor.is_floating_point()}
        moved["updates"] = model.average.updates.clone()
        for number, state in trainer.optimizers[0].state_dict()["state"].items():
            moved |= {f"{number}.{name}": copy.deepcopy(torch.as_tensor(value)) for name, value in state.items()}
        self.kept.append(moved)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"clip_gradient": 0.05}, SHARP, SHARP | {"clip_gradient": 0.05}, {"optimizer": "adamw", "lr": 0.01},
        {"optimizer": "muon"},
    ],
    ids=str,
)  # fmt: skip
def test_scaling_the_loss_changes_nothing(options: dict[str, Any]) -> None:
    """Gradients are scaled back before the norm is measured, clipped, and stepped with, in both passes of SAM."""
    plain, scaled = make(**options), make(**options)
    runners = fit(plain), fit(scaled, plugins=[scaled_float32()])
    check_equal(weights(scaled), weights(plain))
    for name in ("train/gradient_norm", "train/loss", "val/loss"):
        assert runners[1].callback_metrics[name] == runners[0].callback_metrics[name], name
    assert taken(runners[0]) == taken(runners[1]) == 6


@pytest.mark.parametrize("step", [0, 1, 4])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_a_step_that_overflows_moves_nothing(step: int, optimizer: str) -> None:
    model = make(optimizer=optimizer, norm="none", clip_gradient=1.0, **SHARP)  # running statistics would move
    overflow, plugin = Overflow(step), scaled_float32()
    runner = fit(model, plugins=[plugin], callbacks=[overflow])
    before, after = overflow.kept
    check_equal(after, before)
    assert taken(runner) == model.average.updates == 5
    assert runner.global_step == 6
    assert plugin.scaler.get_scale() == 2.0**9
    assert runner.callback_metrics["train/gradient_norm"].isfinite()
    assert all(tensor.isfinite().all() for tensor in weights(model).values())


@pytest.mark.parametrize("step", [0, 3])
def test_the_steps_after_one_that_overflows_are_those_of_a_plain_loop(step: int) -> None:
    """At the rates that they would have had without it: the schedule stood still, as did the momentum."""
    data, model = RandomImages(), make(schedule="linear", warmup=0.25, label_smoothing=0.1)
    net = copy.deepcopy(model.net)
    losses = Losses()
    conftest.fit(model, data, max_epochs=3, plugins=[scaled_float32()], callbacks=[losses, Overflow(step)])
    assert losses.losses == pytest.approx(plain_loop(net, data, epochs=3, lr=0.05, skipped=step), abs=1e-5)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(model.net.state_dict()[name], tensor, msg=name)


def test_a_scale_that_is_too_large_comes_down_by_itself() -> None:
    """Logits' gradients of 1/32, times 2^23, are above the largest float16, 65504."""
    plugin, model = float16(2.0**23), make()
    runner = fit(model, count=192, max_epochs=1, plugins=[plugin])
    halved = 12 - taken(runner)
    assert 2 <= halved <= 8
    assert plugin.scaler.get_scale() == 2.0 ** (23 - halved)
    assert all(tensor.isfinite().all() for tensor in weights(model).values())


@pytest.mark.parametrize("norm", NORMS)
def test_float16_trains_close_to_float32(norm: str) -> None:
    half, single = (fit(make(norm=norm), plugins=plugins) for plugins in ([float16()], None))
    assert taken(half) == 6
    for name in ("train/loss", "val/loss"):
        assert float(half.callback_metrics[name]) == pytest.approx(float(single.callback_metrics[name]), abs=0.01), name


def test_a_run_that_is_resumed_ends_with_the_same_weights_and_scale() -> None:
    uninterrupted, resumed, old = (make(dropout=0.3, **SHARP) for _ in range(3))
    expected, plugin, path = float16(growth_interval=3), float16(growth_interval=3), Path("x.ckpt")
    fit(uninterrupted, max_epochs=4, plugins=[expected], callbacks=[Overflow(1), saving_after(1, path)])
    checkpoint = torch.load(path, weights_only=True)
    runner = fit(resumed, path, max_epochs=4, plugins=[plugin])
    check_equal(weights(resumed), weights(uninterrupted))
    assert plugin.state_dict() == expected.state_dict()
    assert plugin.state_dict()["scale"] == 2.0**18  # halved once, doubled three times
    assert plugin.state_dict()["_growth_tracker"] == 1
    assert taken(runner) == 11

    # Checkpoints of float32 have no scale, and old ones no count of the steps taken.
    del checkpoint["MixedPrecision"], checkpoint["optimizer_states"][0]["param_groups"][0]["steps_taken"]
    torch.save(checkpoint, path)
    plugin = float16()
    runner = fit(old, path, max_epochs=4, plugins=[plugin])
    assert plugin.scaler.get_scale() == 2.0**16
    assert taken(runner) == runner.global_step == 12


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("options", [{}, SHARP | {"clip_gradient": 0.1}, {"optimizer": "muon"}], ids=str)
@pytest.mark.parametrize("compile_net", [False, True])
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own tracing
def test_float16_trains_on_a_gpu(options: dict[str, Any], compile_net: bool) -> None:
    losses = []
    for precision in ("16-mixed", "32-true"):
        model = make(compile_net=compile_net, **options)
        runner = fit(model, max_epochs=4, accelerator="gpu", devices=1, precision=precision)
        assert 9 <= taken(runner) <= 12  # the first scale may be too large
        losses.append(float(runner.callback_metrics["val/loss"]))
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
