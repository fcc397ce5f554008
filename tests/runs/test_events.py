import errno
import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from lit_a1.runs.events import add_layout, event_writer


def test_a_new_file_comes_after_all_others_whatever_the_clock_says(tmp_path: Path) -> None:
    others = ["events.out.tfevents.9123456789.host.1.0", "events.out.tfevents.1.host.2.0.projector"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    with event_writer(tmp_path) as writer:
        writer.add_scalar("a", 1.0, 0)
    assert [path.name in others for path in sorted(tmp_path.iterdir())] == [True, True, False]


@pytest.mark.parametrize(("number", "named"), [(errno.ENOSPC, True), (errno.EPIPE, False)])
def test_a_full_disk_names_the_folder(number: int, named: bool, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="words") as refusing, event_writer(tmp_path):
        raise OSError(number, "words")
    assert refusing.value.filename == (str(tmp_path) if named else None)


def test_training_and_validation_share_a_chart_of_loss_and_one_of_error(tmp_path: Path) -> None:
    with event_writer(tmp_path) as writer:
        add_layout(writer)
    (event,) = EventAccumulator(str(tmp_path)).Reload().Tensors("custom_scalars__config__")
    charts = Layout.FromString(event.tensor_proto.string_val[0]).category[0].chart
    tags = [f"{part}/{name}" for part in ("train", "train_eval", "val", "test") for name in ("loss", "error", "epoch")]
    shown = {chart.title: [tag for tag in tags if re.match(chart.multiline.tag[0], tag)] for chart in charts}
    assert shown == {name: [f"{part}/{name}" for part in ("train", "train_eval", "val")] for name in ("loss", "error")}
