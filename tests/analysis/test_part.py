import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from lit_a1.analysis.part import Part


def test_a_part_is_kept_as_files_and_in_tensorboard(tmp_path: Path) -> None:
    part = Part(tmp_path, "kernels", "Kernels", "run, seed 0")
    with part.figure("grid", "A caption.", shows_pictures=False) as (_, axes):
        axes.plot([0, 1])
    part.table("weights", ["a", "b", "c"], [[1, np.float32(1 / 3), None], ["x", 2.0, True]])
    part.number(count=np.int64(3), share=np.float32(0.5), lost=float("nan"), name="x")
    part.say("Said **so**.")
    part.write()
    with SummaryWriter(tmp_path) as writer:
        part.log(writer)
    about = json.loads((tmp_path / "kernels.json").read_text())
    assert about["numbers"] == {"count": 3, "share": 0.5, "lost": None, "name": "x"}
    assert about["figures"] == [{"file": "grid.png", "caption": "A caption.", "shows_pictures": False}]
    assert (about["title"], about["words"], about["tables"]) == ("Kernels", ["Said **so**."], ["weights.csv"])
    with (tmp_path / "weights.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b", "c"], ["1", "0.333333", ""], ["x", "2", "True"]]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]} == {
        "kernels/count": 3.0, "kernels/share": 0.5
    }  # fmt: skip
    assert events.Tags()["images"] == ["kernels/grid"]
    assert b"run, seed 0" in events.Tensors("kernels/text_summary")[0].tensor_proto.string_val[0]


def test_a_figure_that_fails_is_not_kept(tmp_path: Path) -> None:
    part = Part(tmp_path, "kernels", "Kernels", "")
    with pytest.raises(ZeroDivisionError), part.figure("grid", "c", shows_pictures=False):
        raise ZeroDivisionError
    assert part.figures == []
    assert not (tmp_path / "grid.png").exists()
