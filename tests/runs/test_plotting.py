from pathlib import Path

import pytest
from PIL import Image

from lit_a1.runs.plotting import figure


@pytest.mark.usefixtures("full_size")
def test_a_figure_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.png"
    with figure(path, width=3, height=2) as (_, axes):
        axes.plot([1, 2])
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (600, 400))
    before = path.read_bytes()
    with pytest.raises(RuntimeError), figure(path) as (_, axes):
        raise RuntimeError
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_names_in_any_script_are_drawn_in_silence(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with figure(tmp_path / "x.png") as (_, axes):
        axes.set_title("\u732b \u72ac \u0639")  # of which matplotlib's own font has the last alone
    assert not recwarn.list
