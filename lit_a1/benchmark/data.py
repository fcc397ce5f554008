"""Augmented batches on the device against torchvision's ImageFolder and transforms, and a DataLoader with processes."""

import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from lit_a1.benchmark.recipe import Recipe
from lit_a1.benchmark.timing import Timing, alternate
from lit_a1.data.catsdogs import CatsDogsDataModule

PHOTOS, WORKERS = 2048, 2


def data_variables(folder: str) -> dict[str, str]:
    """Environment variables that make a folder the only place to find and cache photos."""
    return {"LIT_A1_DATA": folder, "LIT_A1_CACHE": str(Path(folder, "cache"))}


def write_photos(folder: Path, count: int) -> Path:
    """Writes JPEGs of 64x64 pixels in two classes: blurred noise, which takes as long to decode as a photo."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 20, 20, 3), np.uint8)
    images = [Image.fromarray(part).resize((64, 64), Image.Resampling.BICUBIC) for part in noise]
    for number in range(count):
        path = folder / "PetImages" / ("Cat", "Dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = images[number % len(images)].copy()
        image.putpixel((number % 64, number // 64 % 64), (number % 256,) * 3)  # unique, as copies stay in one split
        image.save(path, quality=90)
    return folder / "PetImages"


def our_epoch(data: CatsDogsDataModule, size: int, device: torch.device) -> None:
    """Makes all training batches of an epoch, augmented."""
    generator = torch.Generator(device)
    for batch in data.train_dataloader():
        tensors = (tensor.to(device) for tensor in batch)
        data.augment(*tensors, size=size, epoch=0, generator=generator)


def data(pairs: int) -> list[Timing]:
    """Times an epoch of batches, after our photos are decoded and the DataLoader's processes started."""
    recipe = Recipe()
    augment = recipe.settings["data"]["init_args"]["augment"]
    crop = v2.RandomResizedCrop(recipe.size, scale=tuple(augment["crop_scale"]))
    jitter = v2.ColorJitter(**{name: augment[name] for name in ("brightness", "contrast", "saturation")})
    steps = [crop, v2.RandomHorizontalFlip(), jitter, v2.RandomGrayscale(augment["grayscale"])]
    steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, data_variables(name)):
        photos = write_photos(Path(name), PHOTOS)
        module = CatsDogsDataModule(source="real", n_valid=2, batch_size=recipe.batch, augment=recipe.data.augment)
        module.setup("fit")
        folder = ImageFolder(photos, v2.Compose(steps))
        loader: DataLoader[tuple[torch.Tensor, int]] = DataLoader(
            folder, recipe.batch, shuffle=True, num_workers=WORKERS, persistent_workers=True
        )

        def their_epoch() -> None:
            for batch in loader:
                for part in batch:
                    part.to(recipe.device)

        title = f"an epoch of {PHOTOS:,} photos, augmented, {recipe.size}x{recipe.size}"
        other = f"ImageFolder, {WORKERS} processes, torchvision's v2"
        return alternate(
            title, lambda: our_epoch(module, recipe.size, recipe.device), {other: (their_epoch, 0.2)}, pairs
        )
