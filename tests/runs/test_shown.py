from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_a1.runs import shown
from lit_a1.runs.events import event_writer
from lit_a1.runs.shown import COLUMNS, leads_of, log_mistakes, margins_of, smallest

LOGITS = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.51, 0.49], [0.6, 0.4]], np.float32))
LABELS = np.array([1, 1, 0, 1])


def test_margins_are_below_zero_where_the_answer_is_wrong() -> None:
    margins = margins_of(LOGITS, LABELS)
    np.testing.assert_allclose(margins, np.log([1 / 9, 4, 51 / 49, 2 / 3]), rtol=1e-5)
    assert smallest(margins, margins < 0, 8).tolist() == [0, 3]
    np.testing.assert_array_equal(leads_of(LOGITS), np.abs(margins))
    three = np.log(np.array([[0.1, 0.5, 0.4]], np.float32))
    np.testing.assert_allclose(leads_of(three), np.log([5 / 4]), rtol=1e-5)  # whatever the true class


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (64, 64, 3)])
def test_mistakes_and_close_calls_are_shown(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = []
    drawn = shown.tile_grid
    monkeypatch.setattr(shown, "tile_grid", lambda tiles, columns: titles.append(tiles) or drawn(tiles, columns))
    images, index = np.zeros((9, *shape), np.uint8), np.array([5, 6, 7, 8])
    with event_writer(tmp_path) as writer:
        log_mistakes(writer, 3, images, index, LABELS, LOGITS, ("Cat", "犬"))
        log_mistakes(writer, 4, images, index, LOGITS.argmax(1), LOGITS, ("Cat", "Dog"))  # none is wrong
    wrong, close, _ = ([(tile.name, tile.note) for tile in tiles] for tiles in titles)
    assert wrong == [("Cat 90.0%", "is 犬 (5)"), ("Cat 60.0%", "is 犬 (8)")]
    assert close[0] == ("Cat 51.0%", "is Cat (7)")
    events = EventAccumulator(str(tmp_path)).Reload()
    steps = {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}
    assert steps == {"images/most confident mistakes": [3], "images/closest calls": [3, 4]}
    assert events.Images("images/closest calls")[0].width == COLUMNS * 108
