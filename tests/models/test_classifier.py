"""The LightningModule: the bugs that such code tends to have, each looked for."""

import copy
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from lit_a1.data.augment import Augment
from lit_a1.data.batch import Batch
from lit_a1.data.module import ImageSet
from lit_a1.layers import Dropout
from lit_a1.models import inputs
from lit_a1.models.catsdogs import CatsDogsCNN
from lit_a1.models.classifier import Classifier
from lit_a1.optim import SGD, Schedule, parameter_groups
from lit_a1.runs.records import DivergedError
from tests.models.conftest import SMALL, Losses, RandomImages, fit


def plain_loop(
    net: nn.Module,
    data: RandomImages,
    epochs: int,
    lr: float,
    skipped: int = -1,
    radius: float = 0.0,
    sharp_from: int = 0,
) -> list[float]:
    """The losses of the same training without Lightning and with torch's own optimiser, as a textbook has it.

    One step may be left out. With a radius the gradient is taken uphill from the step `sharp_from` on.
    """
    steps = epochs * (len(data.sets["train"]) // data.batch_size)
    groups = parameter_groups(net, 5e-4)
    sgd = torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)
    schedule = Schedule("linear", steps, round(0.25 * steps))
    sampler = data.train_dataloader().sampler
    losses: list[float] = []
    net.train()
    for epoch in range(epochs):
        sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        order = list(sampler)
        for start in range(0, len(order) - data.batch_size + 1, data.batch_size):
            batch = data.sets["train"].__getitems__(order[start : start + data.batch_size])
            for group in sgd.param_groups:
                group["lr"] = lr * schedule(len(losses) - (0 <= skipped < len(losses)))
            loss = F.cross_entropy(net(batch.images.float() / 255), batch.targets, label_smoothing=0.1)
            sgd.zero_grad()
            loss.backward()
            if radius and len(losses) >= sharp_from:
                uphill = copy.deepcopy(net)
                norm = torch.cat([weight.grad.flatten() for weight in net.parameters()]).norm()
                for there, here in zip(uphill.parameters(), net.parameters(), strict=True):
                    there.data += radius * here.grad / norm
                high = F.cross_entropy(uphill(batch.images.float() / 255), batch.targets, label_smoothing=0.1)
                gradients = torch.autograd.grad(high, list(uphill.parameters()))
                for here, gradient in zip(net.parameters(), gradients, strict=True):
                    here.grad = gradient
            if len(losses) != skipped:
                sgd.step()
            losses.append(loss.item())
    return losses


def test_a_plain_loop_gives_the_same_losses() -> None:
    """Catches a missing zero_grad, a step at the wrong time, a wrong rate and a softmax before the cross-entropy."""
    data = RandomImages()
    model = CatsDogsCNN(**SMALL, schedule="linear", warmup=0.25, label_smoothing=0.1)
    net = copy.deepcopy(model.net)
    losses = Losses()
    runner = fit(model, data, max_epochs=3, callbacks=[losses])
    expected = plain_loop(net, data, epochs=3, lr=0.05)
    assert losses.losses == pytest.approx(expected, abs=1e-5)
    assert runner.callback_metrics["train/loss"].item() == pytest.approx(sum(expected[-3:]) / 3, abs=1e-5)
    assert len(set(expected)) == len(expected) == 9


def check_measured(runner: L.Trainer, net: nn.Module, data: RandomImages, part: str, count: int, tag: str = "") -> None:
    """Compares a stage's logged loss and error with those of one batch of all its images."""
    batch = data.sets[part].__getitems__(range(count))
    with torch.no_grad():
        logits = net.eval()(batch.images.float() / 255)
    wrong = (logits.argmax(1) != batch.targets).float().mean().item()
    expected = {"loss": F.cross_entropy(logits, batch.targets).item(), "error": wrong}
    for name, value in expected.items():
        assert runner.callback_metrics[f"{tag or part}/{name}"].item() == pytest.approx(value, abs=1e-5)


def test_validation_is_measured_on_its_own_images_from_zero() -> None:
    """Catches validation counters started from the training counters, and means of unequal batches (8, 8 and 4).

    The loss is not smoothed: otherwise runs with different smoothing could not be compared.
    """
    data = RandomImages()
    model = CatsDogsCNN(**SMALL, views="one", average_decay=0, label_smoothing=0.5)
    runner = fit(model, data)
    check_measured(runner, model.net, data, "val", 20)
    assert "train_eval/error" not in runner.callback_metrics


def test_training_images_are_measured_as_validation_is() -> None:
    """At the end of the epoch, all of them, by the averaged weights, neither augmented nor with dropout."""
    data = RandomImages(count=37, measure_train=True, augment=Augment(flip="random", crop_scale=(0.2, 0.4)))
    model = CatsDogsCNN(**SMALL, views="one", dropout=0.5, average_decay=0.9)
    runner = fit(model, data)
    assert model.average is not None
    assert not torch.equal(model.average.net[1].linear.weight, model.net[1].linear.weight)
    check_measured(runner, model.average.net, data, "val", 20)
    check_measured(runner, model.average.net, data, "train", 37, tag="train_eval")
    assert runner.callback_metrics["train/loss"] != runner.callback_metrics["train_eval/loss"]
    runner.validate(model, data, verbose=False)
    check_measured(runner, model.average.net, data, "train", 37, tag="train_eval")


class Spy(nn.Module):
    """Keeps what it was given, whether it was training, and what its dropout kept."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.dropout = Dropout(0.5)
        self.seen: list[tuple[bool, Tensor, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        kept = self.dropout(torch.ones(x.shape[:2]))
        self.seen.append((self.training, x.detach().clone(), kept))
        return self.linear(x.mean((2, 3)) * kept)


def test_only_training_images_are_augmented_and_only_training_drops() -> None:
    data, spy = RandomImages(augment=Augment(flip="random", crop_scale=(0.2, 0.4), brightness=0.5)), Spy()
    options: dict[str, Any] = {"views": "one", "average_decay": 0, "schedule": "constant", "warmup": 0.0}
    model = Classifier(spy, mean=(0, 0, 0), std=(1, 1, 1), **options)
    fit(model, data, max_epochs=1)
    both = [torch.from_numpy(data.sets[part].images) for part in ("train", "val")]
    clean = torch.cat(both).permute(0, 3, 1, 2) / 255

    def is_clean(images: Tensor) -> list[bool]:
        return [bool((image - clean).abs().flatten(1).amax(1).min() < 1e-6) for image in images]

    assert [training for training, *_ in spy.seen] == [True] * 3 + [False] * 3
    for training, images, _ in spy.seen:
        assert not any(is_clean(images)) if training else all(is_clean(images))
    model.eval()
    assert torch.equal(*(model(spy.seen[-1][1]) for _ in range(2))), "dropout is on at test time"


def test_a_prediction_is_the_mean_over_its_views() -> None:
    images = torch.rand(5, 3, 16, 16)
    model = CatsDogsCNN(**SMALL, views="flip", average_decay=0).eval()
    nn.init.normal_(model.net[1].linear.weight)
    with torch.no_grad():
        mirrored = (model.net(images).softmax(1) + model.net(images.flip(3)).softmax(1)) / 2
        torch.testing.assert_close(model(images).exp(), mirrored)
        assert not torch.allclose(model(images), model.net(images).log_softmax(1))
        model.views = "one"
        torch.testing.assert_close(model(images), model.net(images).log_softmax(1))
        model.views = "shift"
        torch.testing.assert_close(model(images).exp().sum(1), torch.ones(5))
        assert not torch.allclose(model(images).exp(), mirrored)


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    def trained(seed: int) -> Tensor:
        torch.manual_seed(seed)
        model = CatsDogsCNN(**SMALL, dropout=0.5)
        fit(model, RandomImages(augment=Augment(flip="random", crop_scale=(0.5, 1))), max_epochs=1)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_the_optimiser_is_the_projects_own_and_spares_norms_and_biases() -> None:
    optimizer = CatsDogsCNN(**SMALL, weight_decay=0.1).configure_optimizers()
    assert isinstance(optimizer, SGD)
    decayed, spared = optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0)
    assert {p.ndim for p in spared["params"]} == {1}
    # momentum is the first beta of Adam
    optimizer = CatsDogsCNN(**SMALL, optimizer="adamw", momentum=0.8).configure_optimizers()
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)


def test_gradients_are_clipped() -> None:
    norms: list[float] = []

    def watch(trainer: L.Trainer, model: Classifier, *_: Any) -> None:
        norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in model.net.parameters()])))

    fit(CatsDogsCNN(**SMALL, clip_gradient=0.01), max_epochs=1, callbacks=[LambdaCallback(on_train_batch_end=watch)])
    assert len(norms) == 3
    assert max(norms) <= 0.01 + 1e-6


def test_a_loss_that_is_not_a_number_ends_the_training() -> None:

    def spoil(trainer: L.Trainer, model: Classifier, batch: Batch, index: int) -> None:
        if index == 1:
            batch.images.fill_(float("nan"))

    with pytest.raises(DivergedError, match=r"the gradient is not finite in step 2, at a learning rate of 0\.05"):
        fit(CatsDogsCNN(**SMALL), max_epochs=1, callbacks=[LambdaCallback(on_train_batch_start=spoil)])


@pytest.mark.parametrize("views", ["one", "scale"])
def test_a_large_batch_says_what_its_images_say(views: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is evaluated in parts."""
    monkeypatch.setattr(inputs, "CACHED", 50 * 16 * 16)
    model = CatsDogsCNN(**SMALL, views=views).eval()
    images = torch.rand(120, 3, 16, 16)
    with torch.no_grad():
        torch.nn.init.normal_(model.evaluated_net()[1].linear.weight)
        expected = torch.cat([model(images[:7]), model(images[7:50]), model(images[50:90]), model(images[90:])])
        torch.testing.assert_close(model(images), expected)
    assert expected.std(0).min() > 1e-3


def test_soft_targets_train_too_and_logging_of_steps_can_be_turned_off() -> None:
    data = RandomImages(augment=Augment(mixup=0.4, cutmix=1.0))
    runner = fit(CatsDogsCNN(**SMALL), data, max_epochs=1, log_every_n_steps=0)
    assert 0 <= runner.callback_metrics["train/error"] <= 1
    assert "train/learning_rate" in runner.callback_metrics


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"warmup": 1.0}, "warmup is a share"),
        ({"std": (0.0, 1.0, 1.0)}, "std 0.001 or more"),
        ({"widths": (8,), "blocks": (1,)}, "blocks needs one value"),
        ({"optimizer": "lion"}, "sgd, sgdw, adam, adamw, muon"),
        ({"schedule": "square"}, "constant, cosine, linear, one_cycle"),
        ({"label_smoothing": 2.0}, "label_smoothing"),
        ({"lr": -1.0}, "lr must be"),
        ({"views": "all"}, "views must be one of one, flip, shift, scale; got 'all'"),
        ({"clip_gradient": float("inf")}, "clip_gradient must be finite and at least 0; got inf"),
        ({"sam_radius": -0.1}, "sam_radius must be finite and at least 0; got -0.1"),
        ({"sam_radius": float("nan")}, "sam_radius must be finite"),
        ({"sam_from": 1.5}, "sam_from must lie between 0 and 1; got 1.5"),
        ({"activation": "sin"}, "activation must be one of relu, leaky_relu, gelu, silu; got 'sin'"),
        ({"transition": "average"}, "transition must be one of stride, max_pool, blur_pool; got 'average'"),
        ({"precise_bn": -1}, "precise_bn must be at least 0; got -1"),
    ],
)
def test_bad_values_are_refused_when_the_model_is_built(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CatsDogsCNN(**SMALL | options)


def test_a_network_too_deep_for_small_images_trains_on_large_ones() -> None:
    CatsDogsCNN(widths=(8,) * 6, blocks=(1,) * 5, norm="instance").configure_optimizers()


def test_a_schedule_needs_an_end() -> None:
    with pytest.raises(MisconfigurationException, match="needs an end"):
        fit(CatsDogsCNN(**SMALL), max_epochs=-1)


def test_one_batch_can_be_overfitted() -> None:
    options: dict[str, Any] = {"schedule": "constant", "warmup": 0.0, "average_decay": 0.9, "views": "one"}
    data = RandomImages(count=16, val=16)
    noise = torch.randint(0, 256, (16, 16, 16, 3), dtype=torch.uint8).numpy()  # nothing but the images to go by
    for part in ("train", "val"):
        data.sets[part] = ImageSet(noise, data.sets[part].labels)
    runner = fit(
        CatsDogsCNN(widths=(16, 32), blocks=(1,), lr=0.1, **options), data, max_epochs=60, check_val_every_n_epoch=60
    )
    assert runner.callback_metrics["train/error"] == runner.callback_metrics["val/error"] == 0
    assert runner.callback_metrics["train/loss"] < 0.02


def test_bf16_trains_close_to_float32() -> None:
    def last_loss(precision: Any) -> float:
        torch.manual_seed(0)
        return fit(CatsDogsCNN(**SMALL), precision=precision).callback_metrics["val/loss"].item()

    assert last_loss("bf16-mixed") == pytest.approx(last_loss("32-true"), abs=0.05)
