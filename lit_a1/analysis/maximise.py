"""What excites a unit: pictures made so that a class or a channel answers to them as strongly as can be."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_a1.analysis.ascent import STEPS, Paint, Score, ascend
from lit_a1.analysis.depths import Depth, depths, feature_maps, sample
from lit_a1.analysis.maximise_figure import Made, draw_best, draw_channels, draw_classes
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.models.residual import ResidualBlock
from lit_a1.runs.wording import counted, number

TITLE = "What excites a unit"
CHANNELS = 5  # of each stage
BEST = 4  # validation pictures of each channel
SEARCHED = 2000  # validation pictures, at most, among which these are looked for
COLOURED = 200  # of them, from which the colours of the data are taken
STARTS = 6  # made pictures of the classes, at least; each begins with noise of its own
Floats = NDArray[np.float64]


def class_score(subject: Subject, classes: Sequence[int]) -> Score:
    """What n pictures are made to raise, each for its class: its logit, of two classes less that of the other one."""
    rows = torch.arange(len(classes))

    def score(pictures: Tensor) -> Tensor:
        logits = subject.net(subject.standardize(pictures))
        own = logits[rows, list(classes)]
        return own if logits.shape[1] > 2 else 2 * own - logits.sum(1)

    return score


def channel_score(subject: Subject, stage: int, channels: Sequence[int]) -> Score:
    """Likewise for channels of a stage (from 0), each the mean over positions after the stage's last activation.

    Where a channel is silent it has no gradient; that of its mean ahead of the activation stands in, until it answers.
    """
    net = subject.net
    until = nn.Sequential(subject.standardize, net.stem, *list(net.stages)[: stage + 1])
    block = net.stages[stage][-1]  # type: ignore[index]
    assert isinstance(block, ResidualBlock)
    rows = torch.arange(len(channels))

    def score(pictures: Tensor) -> Tensor:
        ahead: list[Tensor] = []
        # the block's activation, called within it and then at its end; it may work in place, so its input is copied
        note = block.residual[1].register_forward_pre_hook(lambda _, inputs: ahead.append(inputs[0].clone()))
        try:
            after = until(pictures)
        finally:
            note.remove()
        answer, before = (maps[rows, list(channels)].mean((1, 2)) for maps in (after, ahead[-1]))
        return answer + torch.where(answer == 0, before - before.detach(), 0)

    return score


def analyze(subject: Subject, part: Part) -> None:
    """Makes and draws the pictures, and says how far they exceed what validation pictures excite."""
    rows = sample(subject, SEARCHED)
    stages = depths(subject.net, blocks=False)[1:]
    means, logits = real_answers(subject, rows, stages)
    colours = subject.prepared(rows[:: max(1, len(rows) // COLOURED)])

    classes = range(len(subject.classes))
    each = max(1, STARTS // len(classes))
    odds = 2 * logits - logits.sum(1, keepdims=True) if len(classes) == 2 else logits
    repeated = [k for k in classes for _ in range(each)]
    made = _make("Classes", repeated, subject.classes, class_score(subject, repeated), colours, odds, rows)
    of_channels = []
    for k, (place, values) in enumerate(zip(stages, means, strict=True)):
        channels = [int(c) for c in np.argsort(-values.std(0), kind="stable")[:CHANNELS]]
        score = channel_score(subject, k, channels)
        names = [f"channel {c}" for c in range(values.shape[1])]
        of_channels.append(_make(place.name, channels, names, score, colours, values, rows))

    draw_classes(part, made, two=len(classes) == 2)
    draw_channels(part, of_channels, len(rows))
    draw_best(part, subject, of_channels, len(rows))
    units = [*made, *(unit for line in of_channels for unit in line)]
    part.table(
        "maximise",
        ["layer", "unit", "name", "reached", "best_real", "best_real_picture"],
        [[unit.layer, unit.unit, unit.name, unit.reached.max(), unit.values[0], int(subject.indices[unit.best[0]])]
         for unit in units],
    )  # fmt: skip
    _say(part, made, of_channels, len(rows), each)


def real_answers(subject: Subject, rows: NDArray[np.int64], stages: Sequence[Depth]) -> tuple[list[Floats], Floats]:
    """What n validation pictures excite: mean over positions of each stage's channels (n,C), and the logits (n,K)."""
    batches = [[maps.mean((2, 3)).double() for maps in seen] for _, seen in feature_maps(subject, rows, stages)]
    means = [torch.cat([batch[k] for batch in batches]).numpy() for k in range(len(stages))]
    linear = subject.net.linear
    return means, means[-1] @ linear.weight.double().numpy().T + linear.bias.double().numpy()


def _make(
    layer: str,
    units: Sequence[int],
    names: Sequence[str],
    score: Score,
    colours: Tensor,
    real: Floats,
    rows: NDArray[np.int64],
) -> list[Made]:
    """Makes a picture for each of `units`, which stand side by side where one is named several times.

    Args:
        layer: its name.
        units: columns of `real`.
        names: of all units of the layer.
        score: of a picture for each of `units`.
        colours: pictures whose colours the made ones begin with.
        real: (n,units) what the pictures `rows` excite.
        rows: of the subject.
    """
    generator = torch.Generator().manual_seed(0)
    pictures, reached = ascend(Paint(len(units), colours, generator), score, generator)
    shown = pictures.permute(0, 2, 3, 1).numpy()
    values, found = reached.double().numpy(), []
    for k in dict.fromkeys(units):
        own = np.flatnonzero(np.array(units) == k)
        best = np.argsort(-real[:, k], kind="stable")[:BEST]
        found.append(Made(layer, k, names[k], shown[own], values[own], rows[best], real[best, k]))
    return found


def _say(part: Part, classes: list[Made], stages: list[list[Made]], searched: int, starts: int) -> None:
    two = len(classes) == 2
    what = "the log-odds of a class against the other one" if two else "the logit of a class"
    reached = "; ".join(
        f"{each.name}: {number(each.reached.max())} against {number(each.values[0])}" for each in classes
    )
    part.number(**{f"reached_{each.name}": each.reached.max() for each in classes})
    part.number(**{f"best_real_{each.name}": each.values[0] for each in classes})
    part.say(
        f"Pictures were made from noise by {STEPS} steps of normalised gradient ascent on {what}, "
        f"{counted(starts, 'start')} for each class, seed 0. What the best made one reaches, against the most that one "
        f"of {counted(searched, 'validation picture')} reaches: {reached}."
    )
    said = []
    for line in stages:
        ratios = np.array([unit.reached[0] / unit.values[0] for unit in line if unit.values[0] > 0])
        name = line[0].layer
        if len(ratios):
            part.number(**{f"ratio_{name.lower().replace(' ', '_')}": float(np.median(ratios))})
            said.append(f"{name.lower()} {number(float(np.median(ratios)))} ({number(ratios.min())} to "
                        f"{number(ratios.max())})")  # fmt: skip
    unmoved = sum(unit.reached[0] <= unit.values[0] for line in stages for unit in line)
    total = sum(len(line) for line in stages)
    part.say(
        "A channel's answer is the mean over positions after the activation. Made for a channel, a picture reaches "
        f"this many times the most that a validation picture does (median and range over the channels shown): "
        f"{'; '.join(said)}. "
        + (
            f"In {unmoved} of {counted(total, 'channel')} the made picture reaches no more than the best of these."
            if unmoved
            else f"In all {counted(total, 'channel')} the made picture reaches more than any of these."
        )
    )
