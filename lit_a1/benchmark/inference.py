"""Classifying photos with the published weights, against the same network in float32 and its convolutions alone."""

from functools import partial

import torch

from lit_a1.benchmark.recipe import FLOOR, Recipe, convolutions_of, convolve
from lit_a1.benchmark.timing import Run, Timing, alternate
from lit_a1.data.augment import resize, to_float
from lit_a1.data.batch import Batch
from lit_a1.data.sources.drawn import draw_cats_and_dogs
from lit_a1.environment import REPOSITORY
from lit_a1.models.inputs import tta_views
from lit_a1.models.members import load_member

PHOTOS = 100


@torch.no_grad()
def inference(pairs: int) -> list[Timing]:
    """Times a batch of drawn photos, at the evaluation size of the weights, in all their views."""
    recipe = Recipe("catsdogs_best")
    member = load_member(REPOSITORY / "lit_a1" / "pretrained" / "catsdogs_best.ckpt")
    model, size = member.model.to(recipe.device).eval(), member.data["size"]
    drawn = torch.from_numpy(draw_cats_and_dogs(PHOTOS, 0)[0]).to(recipe.device).permute(0, 3, 1, 2)
    images = resize(to_float(drawn), size)
    batch = Batch(images, torch.zeros(PHOTOS), torch.arange(PHOTOS))
    shapes = [view.shape for view in tta_views(images, model.views)]
    convolutions = [convolution for shape in shapes for convolution in convolutions_of(model.evaluated_net(), shape)]
    others: dict[str, tuple[Run, float | None]] = {
        "in float32, norms and all": (partial(model, images), 1 / 3),
        FLOOR.replace(", thrice", ""): (convolve(convolutions, 1, recipe), None),
    }
    name = f"labels of {PHOTOS} photos, {size}x{size}, {len(shapes)} views, by catsdogs_best"
    return alternate(name, partial(model.predict_step, batch, 0), others, pairs)
