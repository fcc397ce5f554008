"""The LightningModule of every CNN here: manual optimisation, metrics, weight averaging."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from lit_a1.data.batch import Batch
from lit_a1.layers import cross_entropy, part_of_batch, recompute_statistics
from lit_a1.models.evaluated import STAGES, EvaluatedModule
from lit_a1.models.inputs import VIEWS, Standardize, Views
from lit_a1.models.metrics import Mean
from lit_a1.models.rules import check_rules
from lit_a1.optim import (
    OptimizerName,
    Schedule,
    ScheduleName,
    WeightAverage,
    clip_gradient_norm_,
    gradient_norm,
    make_optimizer,
    parameter_groups,
    sam_perturbation,
    set_learning_rate,
)  # fmt: skip


def compile_in_place(net: nn.Module) -> None:
    """Compiles a network for training: one graph for each image size, since one graph for all is slower."""
    # networks of one class share torch's limit of eight graphs; a student, its teachers and sizes need more
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
    net.compile(dynamic=False)


class Classifier(EvaluatedModule):
    """Trains `net` with a hand-written optimiser and measures its averaged weights.

    Optimisation is manual: `training_step` sets the learning rate, computes the gradient, steps, and updates the
    averaged weights. All random numbers of a step are drawn from (seed, step). So a run that was killed and resumed
    goes on as if nothing had happened, and several devices, each with a share of the batch, train the network that one
    device would.

    With the trainer's precision `16-mixed` the loss is scaled up, so that small gradients are not lost in float16. The
    gradients are scaled back before they are measured, clipped and used (Micikevicius et al. 2018, "Mixed precision
    training", arXiv:1710.03740). A step whose gradients overflow is skipped: the scale is halved, while weights,
    averaged weights and schedule stay unchanged (batch norm's running statistics do not). After a few such
    steps the last learning rate is slightly higher.

    Args:
        net: maps standardised images (N,C,H,W) to logits (N,K).
        mean: mean of the training images in [0,1], one value per channel.
        std: their standard deviation, one value per channel.
        optimizer: `sgd`, `sgdw` (decoupled weight decay), `adam`, `adamw` or `muon`.
        lr: peak learning rate.
        momentum: momentum of SGD and Muon; the first beta of Adam.
        nesterov: looks ahead along the momentum (SGD and Muon only).
        weight_decay: of weights; biases and the parameters of norms have none.
        schedule: `constant`, `cosine`, `linear` or `one_cycle`.
        warmup: share of the steps over which the rate rises to its peak, in [0,1).
        final_factor: learning rate at the end, as a share of the peak.
        label_smoothing: in [0,1].
        clip_gradient: largest global gradient norm; 0 for no limit.
        sam_radius: sharpness-aware minimisation takes the gradient this far uphill, which doubles the time of a step;
            0 turns it off.
        sam_from: share of the steps without it, in [0,1]: starting late is enough (Zhou et al. 2025,
            "Sharpness-aware minimization efficiently selects flatter minima late in training", arXiv:2410.10373).
        accumulate: gradient accumulation: the number of micro-batches that a device's share of a batch is divided into
            (Lightning's `accumulate_grad_batches` multiplies the batch instead). Memory shrinks in proportion, and the
            sum of their gradients is that of the share. Only batch norm sees a difference: each micro-batch has its own
            statistics. 0 or 1 does not divide.
        average_decay: decay of the exponential moving average of the weights, which validation uses; 0 turns it off.
        precise_bn: training images, without augmentation and at the evaluation size, to recompute batch norm's
            statistics from before each validation of `fit`; 0 keeps the statistics of training.
        views: views to average a prediction over: `one`, `flip`, `shift` or `scale` (see `tta_views`).
        channels_last: uses this memory format for the net and the images.
        compile_net: compiles the net with `torch.compile` for training, but not for evaluation.
    """

    is_trained: ClassVar[bool] = True  # it has its own weights, which `fit` trains and a checkpoint holds

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.25, 0.25, 0.25),
        optimizer: OptimizerName = "sgd",
        lr: float = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 5e-4,
        schedule: ScheduleName = "linear",
        warmup: float = 0.1,
        final_factor: float = 0.0,
        label_smoothing: float = 0.0,
        clip_gradient: float = 0.0,
        sam_radius: float = 0.0,
        sam_from: float = 0.0,
        accumulate: int = 0,
        average_decay: float = 0.998,
        precise_bn: int = 0,
        views: Views = "flip",
        channels_last: bool = True,
        compile_net: bool = False,
    ) -> None:
        super().__init__()
        for name, value in {"warmup": warmup, "average_decay": average_decay}.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} is a share, at least 0 and below 1; got {value}")
        for name, value in {"label_smoothing": label_smoothing, "sam_from": sam_from}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie between 0 and 1; got {value}")
        for name, value in {"clip_gradient": clip_gradient, "sam_radius": sam_radius}.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be finite and at least 0; got {value}")
        for name, value in {"precise_bn": precise_bn, "accumulate": accumulate}.items():
            if value < 0:
                raise ValueError(f"{name} must be at least 0; got {value}")
        if views not in VIEWS:
            raise ValueError(f"views must be one of {', '.join(VIEWS)}; got {views!r}")
        self.automatic_optimization = False
        self._statistics_step = -1  # when batch norm's statistics were last recomputed
        self.net = nn.Sequential(Standardize(mean, std), net)
        if channels_last:
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.average = WeightAverage(self.net, average_decay) if average_decay else None
        if compile_net:  # the inner network alone, in place: compiling a LightningModule that logs fails
            compile_in_place(self.net)
        self.optimizer_name, self.lr, self.momentum, self.nesterov = optimizer, lr, momentum, nesterov
        self.weight_decay, self.clip_gradient = weight_decay, clip_gradient
        self.schedule_name, self.warmup, self.final_factor = schedule, warmup, final_factor
        self.label_smoothing, self.sam_radius, self.sam_from = label_smoothing, sam_radius, sam_from
        self.accumulate, self.precise_bn, self.views, self.channels_last = accumulate, precise_bn, views, channels_last
        self.compile_net, self.channels, self.run_seed = compile_net, len(mean), torch.initial_seed()
        self.metrics = nn.ModuleDict({f"{stage}_{name}": Mean() for stage in STAGES for name in ("loss", "error")})
        self.gradient_norm = Mean()
        # or DDP would overwrite the running statistics of other devices by the first's before each batch
        self._ddp_params_and_buffers_to_ignore = [name for name, _ in self.named_buffers()]
        self._make_optimizer(), self._make_schedule(1)  # refuses wrong values now, not when training starts

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The project's own optimiser for the network's weights, with a separate group for those without decay."""
        optimizer = self._make_optimizer()
        size = 128  # leaves some values per map to deep networks
        example = torch.zeros(2, self.channels, size, size, device=next(self.net.parameters()).device)
        check_rules(self.net, optimizer, example)
        optimizer.register_step_post_hook(self._after_step)
        return optimizer

    def _make_optimizer(self) -> torch.optim.Optimizer:
        groups = parameter_groups(self.net, self.weight_decay)
        options = {name: getattr(self, name) for name in ("lr", "momentum", "nesterov", "weight_decay")}
        return make_optimizer(self.optimizer_name, groups, **options)

    def _make_schedule(self, steps: int) -> Schedule:
        warmup_steps = max(1, round(self.warmup * steps)) if self.warmup else 0
        return Schedule(self.schedule_name, steps, warmup_steps, self.final_factor)

    def on_fit_start(self) -> None:
        """Fits the learning rate schedule to the run."""
        steps = self.trainer.estimated_stepping_batches
        if steps == math.inf:
            raise MisconfigurationException("The learning rate needs an end: set trainer.max_epochs or max_steps.")
        if (epochs := self.trainer.max_epochs or 0) > 0:  # trainer.max_steps stops a run early; it can be resumed
            steps = epochs * self.trainer.num_training_batches
        self.schedule = self._make_schedule(int(steps))
        self.sam_step = self.sam_from * steps if self.sam_radius else math.inf

    def _seed_draws(self) -> None:
        """Seeds dropout and stochastic depth with (seed, step) alone, so resuming repeats their draws."""
        # on the device's own generator: torch.manual_seed looks for every kind of device, 1 ms per step on a GPU
        seed = hash((self.run_seed, self.global_step, 0))
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.get_device_module(self.device).manual_seed(seed)

    def training_targets(self, batch: Batch) -> Tensor:
        """The targets of a training batch: classes (N,) or distributions (N,K)."""
        return batch.targets

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """One step of the optimiser; returns the batch's loss and error."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        self.in_step = True
        # counts steps taken, in the optimiser's own state; `global_step` also counts skipped ones
        steps_taken = optimizer.param_groups[0].setdefault("steps_taken", self.global_step)
        set_learning_rate(optimizer.optimizer, self.schedule(steps_taken))
        targets = self.training_targets(batch)
        optimizer.zero_grad()
        loss, logits = self._add_gradient(batch.images, targets)
        if steps_taken >= self.sam_step:
            with sam_perturbation(self.net, self.sam_radius):  # independent of the loss scale
                optimizer.zero_grad()
                self._add_gradient(batch.images, targets)
        optimizer.step()
        if optimizer.param_groups[0]["steps_taken"] > steps_taken:  # else float16 overflowed: the loss scale is lowered
            self.note("the loss", self.global_step, loss)
        self.in_step = False
        self.check_noted()

        error = self._measure("train", loss, logits, batch.targets)
        if self.trainer.is_last_batch:
            self.log("train/gradient_norm", self.gradient_norm, on_step=False, on_epoch=True)
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.trainer.is_last_batch or (every and (batch_idx + 1) % every == 0):
            self.log("train/learning_rate", optimizer.param_groups[0]["lr"], on_step=True, on_epoch=False)
        return {"loss": loss, "error": error}

    def _add_gradient(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Adds the gradient of the mean loss over a step's images, of all devices, to the parameters' gradients.

        Random draws equal those of one pass over all images, however they are divided, and repeat at each call.

        Returns:
            The mean loss over this device's images (N,C,H,W), and their logits (N,K).
        """
        count, total = len(images), len(images) * self.trainer.world_size
        parts, start = min(max(self.accumulate, 1), count), self.global_rank * count
        losses, logits = [], []
        no_sync = getattr(self.trainer.model, "no_sync", nullcontext)  # DDP: keeps gradients from being shared yet
        pairs = zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True)
        for part, (part_images, part_targets) in enumerate(pairs, start=1):
            self._seed_draws()
            with part_of_batch(start, total) if len(part_images) < total else nullcontext():
                part_logits = self.net(part_images)
            loss = cross_entropy(part_logits, part_targets, self.label_smoothing) * (len(part_images) / count)
            with no_sync() if part < parts else nullcontext():
                self.manual_backward(loss)
            losses.append(loss.detach())
            logits.append(part_logits.detach())
            start += len(part_images)
        return torch.stack(losses).sum(), torch.cat(logits)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Measures and clips the gradients, which Lightning has already scaled back."""
        parameters, max_norm = list(self.net.parameters()), self.clip_gradient
        self._norm = clip_gradient_norm_(parameters, max_norm) if max_norm else gradient_norm(parameters)

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Runs after each step that was not skipped; the optimiser calls it."""
        optimizer.param_groups[0]["steps_taken"] += 1
        self.note("the gradient", self.global_step + 1, self._norm)
        self.gradient_norm.update(self._norm, weight=1 / self.trainer.world_size)  # each device adds the same
        if self.average is not None:
            self.average.update(self.net)

    def on_validation_start(self) -> None:
        """Recomputes batch norm's statistics if `precise_bn` asks for it.

        All devices evaluate with the statistics of the first, which are in the checkpoint.
        """
        for buffer in self.evaluated_net().buffers() if self.trainer.world_size > 1 else ():
            torch.distributed.broadcast(buffer, 0)
        if not self.precise_bn or self.trainer.state.fn != "fit":
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        images = map(self._to_memory_format, data.training_sample(self.precise_bn, self.device))
        with torch.autocast(self.device.type, enabled=False):
            recompute_statistics(self.evaluated_net(), images)
        self._statistics_step = self.global_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Names the class and its layers, so that loading into another one can be refused in a sentence."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["model_class"], checkpoint["network"] = type(self).__qualname__, repr(self.net)
        if self.precise_bn:
            checkpoint["precise_bn"] = self._statistics_step == self.global_step
