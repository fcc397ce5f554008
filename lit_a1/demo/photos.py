"""Drop a photo: cat or dog, how sure, the evidence in the photo, and whether it is like the training photos."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_a1.data.decode import DecodeError, decode
from lit_a1.data.errors import DataError
from lit_a1.data.sources.layouts import data_root, find_train
from lit_a1.demo.networks import Networks
from lit_a1.demo.pictures import html, tinted
from lit_a1.runs.settings import UsageError

SIDE = 64  # pixels of photos for the networks, like the course's photos
PAGE_SIDE = 288  # pixels of photos on the page
MAX_PHOTOS = 20  # photos at once
OPACITY = 0.75  # of the evidence over a photo, where it is strongest
NEIGHBOURS, BANK = 4, 2000  # training photos shown beside a photo; training photos to choose them from


@dataclass(frozen=True)
class Photos:
    """N readable photos, and for the others the reason why they can't be read."""

    names: list[str]
    small: NDArray[np.uint8]  # (N,64,64,3), for the networks
    large: NDArray[np.uint8]  # (N,288,288,3), for the page
    unreadable: list[tuple[str, str]]


def read_photos(files: Sequence[str]) -> Photos:
    """Reads the dropped files; a UsageError for none or too many."""
    if not 0 < len(files) <= MAX_PHOTOS:
        raise UsageError(f"Choose 1 to {MAX_PHOTOS} photos at once; got {len(files)}.")
    names, small, large, unreadable = [], [], [], []
    for path in map(Path, files):
        try:
            data = path.read_bytes()
            pair = decode(data, SIDE), decode(data, PAGE_SIDE)
        except DecodeError as error:
            unreadable.append((path.name, f"{error}."))
            continue
        except FileNotFoundError:  # the page keeps files for a while only
            unreadable.append((path.name, "it is no longer here; drop it again."))
            continue
        names.append(path.name)
        small.append(pair[0])
        large.append(pair[1])
    large_array = np.array(large, np.uint8).reshape(-1, PAGE_SIDE, PAGE_SIDE, 3)
    return Photos(names, np.array(small, np.uint8).reshape(-1, SIDE, SIDE, 3), large_array, unreadable)


def answer(networks: Networks, files: Sequence[str], label: str) -> str:
    """What a network predicts for photos, as HTML, with their nearest training photos if it has a bank of them."""
    from lit_a1.analysis.attention import evidence, upsample

    photos = read_photos(files)
    if not photos.names:
        return html("photos", cards=[], unreadable=photos.unreadable)
    with networks.lock:
        network = networks.cnn("photos", label).with_images(photos.small)
        maps, _, (towards, against) = evidence(network, np.arange(len(photos.names)))
        probabilities, unlike = predict(networks, label, network)
        bank: Bank | None = networks.banks.get(label)
        neighbours = bank.nearest(network.features) if bank else [[] for _ in photos.names]
    cards = []
    for k, name in enumerate(photos.names):
        overlay = tinted(upsample(maps[k : k + 1], PAGE_SIDE)[0], photos.large[k].mean(2, keepdims=True), OPACITY)
        card = {"name": name, "photo": photos.large[k], "evidence": overlay, "neighbours": neighbours[k]}
        card |= {"probabilities": probabilities[k].tolist(), "unlike": None if unlike is None else bool(unlike[k])}
        cards.append(card | {"answer": network.classes[int(probabilities[k].argmax())]})
    facts: dict[str, Any] = {"classes": network.classes, "calibrated": unlike is not None}
    facts |= {"towards": network.classes[towards[0]], "against": network.classes[against[0]]}
    return html("photos", cards=cards, unreadable=photos.unreadable, **facts)


def predict(networks: Networks, label: str, network: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Probabilities (n,K), and which images (n,) are unlike the training images, or None if that is unknown.

    Only the note on published weights can tell; it also has the temperature for their probabilities.
    """
    from lit_a1.analysis.calibration import apply_temperature
    from lit_a1.analysis.familiarity import Familiarity

    note = networks.note("photos", label)
    log_probabilities = apply_temperature(network.log_probabilities.astype(np.float64), note.get("temperature", 1.0))
    unlike = Familiarity.from_note(note["familiarity"]).unlike(network.features) if "familiarity" in note else None
    return np.exp(log_probabilities), unlike


def has_training_photos() -> bool:
    """Whether there are training photos on this machine."""
    try:
        return find_train(data_root()) is not None
    except (DataError, OSError):  # the page needs none
        return False


@functools.cache
def _training_photos() -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """`BANK` training photos, evenly spread, with labels and classes; raises as the data module."""
    from lit_a1.data.catsdogs import CatsDogsDataModule

    data = CatsDogsDataModule(source="real")
    data.setup("fit")
    train = data.sets["train"]
    rows = train.index[np.linspace(0, len(train.index) - 1, min(BANK, len(train.index))).astype(int)]
    return np.asarray(train.images)[rows], np.asarray(train.labels)[rows], tuple(map(str, data.classes))


class Bank(NamedTuple):
    """N training photos with a network's features for them."""

    images: NDArray[np.uint8]
    classes: list[str]  # of the photos
    directions: NDArray[np.float64]  # (N,F), features of unit length

    def nearest(self, features: NDArray[np.float32]) -> list[list[tuple[NDArray[np.uint8], str]]]:
        """For each of n images with features (n,F), the nearest photos by cosine, and their classes."""
        from lit_a1.analysis.familiarity import unit

        order = np.argsort(-(unit(features) @ self.directions.T), axis=1, kind="stable")[:, :NEIGHBOURS]
        return [[(self.images[row], self.classes[row]) for row in rows] for rows in order]


def fill_bank(networks: Networks, label: str, progress: Callable[[float], object]) -> None:
    """Makes the bank of a network, once; `progress` gets the share done. Raises as `Networks` and the data module."""
    if label in networks.banks:
        return
    from lit_a1.analysis.familiarity import unit
    from lit_a1.analysis.hidden_layers import hidden_layers
    from lit_a1.analysis.maximise import real_activations

    images, labels, classes = _training_photos()
    with networks.lock:
        network = networks.cnn("photos", label)
    features = []
    for start in range(0, len(images), 100):
        progress(start / len(images))
        batch = images[start : start + 100]
        with networks.lock:  # others get their answers between two batches
            (means,), _ = real_activations(
                network.with_images(batch), np.arange(len(batch)), hidden_layers(network.net)[-1:]
            )
        features.append(means)
    networks.banks[label] = Bank(images, [classes[k] for k in labels], unit(np.concatenate(features)))
