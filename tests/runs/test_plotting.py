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
