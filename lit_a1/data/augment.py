"""Augmentation of whole batches, on their own device, with new random draws for each image.

torchvision's v2 transforms draw once a batch; these draw once an image. All draws come from one `torch.Generator`, so
an augmented batch is a pure function of the images and the generator's state. Crop, shift, zoom and flip are one
resampling (`resample`). Brightness, contrast and saturation are one affine map (`colour`).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_a1.data.colour import colour
from lit_a1.data.mix import Fill, cutout, mix
from lit_a1.data.resample import flip, random_boxes, resample, resize, rotate, to_float, whole_boxes
from lit_a1.data.trivial import trivial_augment

Flip = Literal["none", "random", "alternating"]

LARGEST_VALUES = {  # options of at least 0, and their largest value
    "brightness contrast saturation grayscale trivial cutout cutout_probability mix_probability": 1,
    "rotation": 180,
    "shift mixup cutmix mix_until": math.inf,
}


def alternating_flip_mask(index: Tensor, epoch: int) -> Tensor:
    """Which images to flip in an epoch: half of them, by a hash of the index, alternating with the other half.

    Two successive epochs show both sides of each image; independent draws would show half of the images the same side
    twice (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498). `index` (N,) holds the
    images' places in the dataset; the result is (N,) bools.
    """
    # a 32-bit integer hash of xor-shifts and products (github.com/skeeto/hash-prospector); products stay below 2^63
    bits = index.long() & 0xFFFFFFFF
    for shift, multiplier in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        bits = ((bits ^ bits >> shift) * multiplier) & 0xFFFFFFFF
    return ((bits ^ bits >> 15) + epoch) % 2 == 1


@dataclass(frozen=True)
class Augment:
    """The augmentation of a training batch. With everything off, it is `to_float` and `resize`.

    The order is: one resampling for crop, shift and flip; rotation; colours and greyscale; TrivialAugment; cutout;
    mixup and CutMix.
    Every image has its own draws. Crops and flips as augmentation: Krizhevsky et al. 2012 ("ImageNet classification
    with deep convolutional neural networks"); the functions name the other sources.

    Attributes:
        flip: left to right: "none", "random" (each image with probability one half) or "alternating"
            (`alternating_flip_mask`).
        crop_scale: smallest and largest area of a crop, as shares of the image's area; (1, 1) for no crop. Its aspect
            ratio is between 3/4 and 4/3.
        shift: largest shift in each direction, in whole pixels of the input; the pixels of the edge are repeated.
        rotation: largest angle to either side, in degrees.
        brightness: factors are uniform in [1 - brightness, 1 + brightness].
        contrast: as `brightness`.
        saturation: as `brightness`.
        grayscale: probability of a grey image.
        trivial: probability that TrivialAugment changes an image (`trivial_augment`).
        cutout: side of the covered patch, as a share of the image's side; 0 for none.
        cutout_ratio: smallest and largest aspect ratio of the patch.
        cutout_fill: "zeros", "mean" or "noise".
        cutout_probability: probability that an image is covered.
        mixup: alpha of mixup; 0 for none.
        cutmix: alpha of CutMix; 0 for none.
        mix_probability: probability that an image is mixed.
        mix_until: first epoch without mixing; 0 mixes to the end. Images of the last epochs are then more like those
            of evaluation (He Z. et al. 2019, "Data augmentation revisited", arXiv:1909.09148).

    Raises:
        ValueError: a value is out of its range.
    """

    flip: Flip = "none"
    crop_scale: tuple[float, float] = (1.0, 1.0)
    shift: int = 0
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grayscale: float = 0.0
    trivial: float = 0.0
    cutout: float = 0.0
    cutout_ratio: tuple[float, float] = (1.0, 1.0)
    cutout_fill: Fill = "mean"
    cutout_probability: float = 1.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    mix_until: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("flip", Flip), ("cutout_fill", Fill)):
            if (value := getattr(self, name)) not in get_args(allowed):
                raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}; got {value!r}")
        for names, largest in LARGEST_VALUES.items():
            for name in names.split():
                value = getattr(self, name)
                if not 0 <= value <= largest or value == math.inf:
                    limits = "finite and at least 0" if largest == math.inf else f"between 0 and {largest}"
                    raise ValueError(f"{name} must be {limits}; got {value}")
        for name, largest in (("crop_scale", 1), ("cutout_ratio", math.inf)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= largest or high == math.inf:
                limits = "above 0" if largest == math.inf else "above 0 and at most 1"
                raise ValueError(f"{name} must be two numbers {limits}, the smaller first; got {(low, high)}")

    @property
    def is_mixing(self) -> bool:
        """Whether targets are soft, up to `mix_until`."""
        return self.mixup > 0 or self.cutmix > 0

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        index: Tensor,
        *,
        size: int,
        epoch: int,
        generator: torch.Generator,
        num_classes: int = 2,
    ) -> tuple[Tensor, Tensor]:
        """Augments one batch.

        Args:
            images: (N, C, H, W) uint8 (C = 3 if colours change).
            labels: (N,) int64.
            index: (N,) integers, the images' places in the dataset.
            size: S, height and width of the result.
            epoch: counted from 0.
            generator: on the images' device.
            num_classes: K.

        Returns:
            Images (N, C, S, S), float32 in [0, 1], channels-last; and the labels themselves, or soft targets (N, K)
            float32 if mixup or CutMix is on in this epoch.
        """
        with torch.autocast(images.device.type, enabled=False):  # float32 whatever the trainer's precision
            result = self._transform(to_float(images), index, size, epoch, generator)
            result = self._recolour(result, generator)
            if self.trivial > 0:
                result = trivial_augment(result, generator, self.trivial)
            if self.cutout > 0:
                ratio, fill, probability = self.cutout_ratio, self.cutout_fill, self.cutout_probability
                result = cutout(result, self.cutout, generator, ratio=ratio, fill=fill, probability=probability)
            if not self.is_mixing or 0 < self.mix_until <= epoch:
                return result, labels
            mixing = {"mixup": self.mixup, "cutmix": self.cutmix, "probability": self.mix_probability}
            return mix(result, labels, num_classes=num_classes, generator=generator, **mixing)

    def _transform(self, images: Tensor, index: Tensor, size: int, epoch: int, generator: torch.Generator) -> Tensor:
        """Flip, crop, shift and rotation: (N, C, H, W) -> (N, C, size, size)."""
        count, _, height, width = images.shape
        device = images.device
        if self.flip == "alternating":
            mirrored = alternating_flip_mask(index, epoch)
        elif self.flip == "random":
            mirrored = torch.rand(count, generator=generator, device=device) < 0.5
        else:
            mirrored = None
        boxes = whole_boxes(images)
        if self.crop_scale != (1, 1):
            boxes = random_boxes(count, height, width, scale=self.crop_scale, generator=generator)
        if self.shift > 0:
            offsets = torch.randint(-self.shift, self.shift + 1, (count, 2), generator=generator, device=device)
            boxes = boxes + F.pad(offsets, (0, 2))
        if self.crop_scale != (1, 1) or self.shift > 0:
            result = resample(images, boxes, size, mirrored)
        else:
            result = resize(images, size)
            result = result if mirrored is None else flip(result, mirrored)
        if self.rotation > 0:
            result = rotate(result, self.rotation * (2 * torch.rand(count, generator=generator, device=device) - 1))
        return result.clamp_(0, 1)  # by rounding, the weights may not sum to exactly one

    def _recolour(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Brightness, contrast, saturation and greyscale."""
        strengths = (self.brightness, self.contrast, self.saturation)
        if not any((*strengths, self.grayscale)):
            return images
        *draws, chance = torch.rand((4, len(images)), generator=generator, device=images.device)
        factors = [1 + strength * (2 * draw - 1) for strength, draw in zip(strengths, draws, strict=True)]
        factors[2] = factors[2].where(chance >= self.grayscale, 0.0)
        return colour(images, *factors)
