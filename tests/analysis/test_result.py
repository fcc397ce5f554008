import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from lit_a1.analysis import result as module
from lit_a1.analysis.result import AnalysisResult, read_result


def test_a_result_is_kept_as_files_and_in_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Said **so**.\n\n![A caption. ](grid.png)\n\n![Another.](not_drawn.png)\n"
    monkeypatch.setattr(module, "render", lambda *_, **values: text if values["count"] == 3 else "")
    result = AnalysisResult(tmp_path, "kernels", "Kernels", "run, seed 0")
    with result.figure("grid") as (_, axes):
        axes.plot([0, 1])
    with pytest.raises(ZeroDivisionError), result.figure("failed"):
        raise ZeroDivisionError
    result.table("weights", {"a": [1, "x"], "b": [np.float32(1 / 3), 2.0], "c": [None, True]})
    result.number(count=np.int64(3), share=np.float32(0.5), lost=float("nan"), name="x")
    result.describe()
    result.write()
    with SummaryWriter(tmp_path) as writer:
        result.log(writer)
    assert not (tmp_path / "failed.png").exists()
    content = json.loads((tmp_path / "kernels.json").read_text())
    assert content["numbers"] == {"count": 3, "share": 0.5, "lost": None, "name": "x"}
    assert content["figures"] == [{"file": "grid.png", "caption": "A caption."}]
    assert (content["title"], content["words"], content["tables"]) == ("Kernels", ["Said **so**."], ["weights.csv"])
    assert (read := read_result(tmp_path / "kernels.json")) is not None
    assert (read.words, read.figures) == (result.words, result.figures)
    older = content | {"figures": [content["figures"][0] | {"shows_images": True}]}
    (tmp_path / "older.json").write_text(json.dumps(older))
    assert read_result(tmp_path / "older.json") == read
    with (tmp_path / "weights.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b", "c"], ["1", "0.333333", ""], ["x", "2", "True"]]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    scalars = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
    assert scalars == {"kernels/count": 3.0, "kernels/share": 0.5}
    assert events.Tags()["images"] == ["kernels/grid"]
    assert b"run, seed 0" in events.Tensors("kernels/text_summary")[0].tensor_proto.string_val[0]
