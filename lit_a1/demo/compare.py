"""Compare: two networks on the same photos, with those on which they differ first."""

from collections.abc import Sequence
from typing import Any

from lit_a1.demo.networks import Networks
from lit_a1.demo.photos import predict, read_photos
from lit_a1.demo.pictures import html
from lit_a1.runs.settings import UsageError


def answer(networks: Networks, files: Sequence[str], first: str, second: str) -> str:
    """The answers of two networks for photos, as HTML."""
    if first == second:
        raise UsageError(f"Choose two different networks; both are {first}.")
    photos = read_photos(files)
    if not photos.names:
        return html("compare", rows=[], unreadable=photos.unreadable)
    predictions: list[list[tuple[str, float]]] = []
    for label in (first, second):
        with networks.lock:
            network = networks.cnn("photos", label).with_images(photos.small)
            probabilities, _ = predict(networks, label, network)
        predictions.append([(network.classes[int(row.argmax())], float(row.max())) for row in probabilities])
    rows: list[dict[str, Any]] = [
        {"name": name, "photo": photo, "answers": answers, "differ": answers[0][0] != answers[1][0]}
        for name, photo, *answers in zip(photos.names, photos.large, *predictions, strict=True)
    ]
    rows.sort(key=lambda row: not row["differ"])
    disagreements = sum(row["differ"] for row in rows)
    return html("compare", rows=rows, labels=(first, second), disagreements=disagreements, unreadable=photos.unreadable)
