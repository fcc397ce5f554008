"""Images of an evaluated set to show: the most confident mistakes and the closest calls, with their predictions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lit_a1.data.contact_sheet import Tile, tile_grid

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SHOWN, COLUMNS = 8, 4  # images of each kind in TensorBoard, and how many in a row


def margins_of(log_probabilities: NDArray[np.float32], labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """(N,) log-probability of the true class minus the largest other one, from (N,K): below 0 if wrong."""
    others = log_probabilities.copy()
    rows = np.arange(len(others))
    others[rows, labels] = -np.inf
    return log_probabilities[rows, labels] - others.max(1)


def leads_of(log_probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) log-probability of the likeliest class minus that of the next one, from (N,K)."""
    return np.diff(np.partition(log_probabilities, -2, axis=1)[:, -2:], axis=1)[:, 0]


def smallest(values: NDArray[np.float32], mask: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Up to `count` of the rows selected by `mask`, the smallest values first; ties stay in order."""
    rows = np.flatnonzero(mask)
    return rows[np.argsort(values[rows], kind="stable")][:count].astype(np.int64)


def log_mistakes(
    writer: "SummaryWriter",
    step: int,
    images: NDArray[np.uint8],
    index: NDArray[np.int64],
    labels: NDArray[np.integer],
    log_probabilities: NDArray[np.float32],
    classes: Sequence[str],
) -> None:
    """Shows in TensorBoard the most confident mistakes, and the predictions closest to a tie.

    Of `images`, (M,H,W) or (M,H,W,C), those at `index` (N,) were measured: `labels` (N,), `log_probabilities` (N,K).
    """
    margins, predictions = margins_of(log_probabilities, labels), log_probabilities.argmax(1)
    found = {
        "most confident mistakes": smallest(margins, predictions != labels, SHOWN),
        "closest calls": smallest(leads_of(log_probabilities), np.ones(len(labels), np.bool_), SHOWN),
    }
    for name, rows in found.items():
        titles = [f"{classes[predictions[row]]} {np.exp(log_probabilities[row].max()):.1%}" for row in rows]
        notes = [f"is {classes[labels[row]]} ({index[row]})" for row in rows]
        pixels = [images[index[row]].squeeze() for row in rows]  # Pillow takes no axis for a single channel
        tiles = [Tile(*parts) for parts in zip(pixels, titles, notes, strict=True)]
        if tiles:
            writer.add_image(f"images/{name}", np.asarray(tile_grid(tiles, COLUMNS)), step, dataformats="HWC")
