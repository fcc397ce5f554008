import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

NOTEBOOK = REPOSITORY / "docs" / "colab.ipynb"
SHORT = (
    "--data.source drawn --trainer.max_epochs 1 --trainer.limit_train_batches 3 --trainer.accelerator cpu "
    "--model.compile_net false --model.widths [4,8] --model.blocks [1]"
)


def test_the_address_of_the_repository_is_the_one_that_pyproject_names() -> None:
    address = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    project = address.removeprefix("https://github.com/")
    named = re.findall(r"https://github\.com/([\w-]+/[\w-]+)", NOTEBOOK.read_text(encoding="utf-8"))
    assert set(named) == {project}
    badge = f"(https://colab.research.google.com/github/{project}/blob/main/docs/colab.ipynb)"
    assert badge in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # what Jupyter itself warns of
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that holds main.py, as a clone does, so that nothing is fetched; without the real photos."""
    why = "needs nbclient and ipykernel, of requirements.txt"
    nbformat, nbclient, _ = (pytest.importorskip(name, reason=why) for name in ("nbformat", "nbclient", "ipykernel"))
    shutil.copy(REPOSITORY / "main.py", "main.py")
    monkeypatch.setenv("LIT_A1_FLAGS", SHORT)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(Path("jupyter").resolve()))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # so that the kernel sets its own
    ran = nbclient.NotebookClient(nbformat.read(NOTEBOOK, as_version=4), timeout=None, kernel_name="python3").execute()
    (record,) = Path("lightning_logs").glob("*-drawn/version_0/record.json")
    said = "".join(output.get("text", "") for cell in ran.cells for output in cell.get("outputs", []))
    assert "Best epoch: 1 of 1" in said, said
    assert "1 image: " in said
    assert "drawn.png" in said.splitlines()[-1]
    assert record.stat().st_size
    shown = [output["data"] for output in ran.cells[-1].outputs if output.output_type == "display_data"]
    assert [set(data) & {"image/png"} for data in shown] == [{"image/png"}]
