"""`export` and `mlp export`, from the command line to predictions by ONNX alone."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_a1.cli import main
from lit_a1.data.sources.drawn import draw_cats_and_dogs, draw_digits
from lit_a1.export import folder, networks
from lit_a1.export.graph import ExportedModel
from lit_a1.runs.folders import PRETRAINED
from lit_a1.training import parse
from tests.conftest import CONFIGS, Capture, Refusal
from tests.export.conftest import REASON

CATSDOGS = ["--config", str(CONFIGS / "catsdogs.yaml")]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[ExportedModel]:
    """The graph is not made, which takes half of a minute; what it would be made of is noted here."""
    pytest.importorskip("safetensors", reason=REASON)
    seen: list[ExportedModel] = []
    monkeypatch.setattr(folder, "to_onnx", lambda exported: (seen.append(exported), (b"onnx", 1e-7))[1])
    return seen


def test_published_weights_and_ensembles_need_no_images(
    quick: list[ExportedModel], refusal: Refusal, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_a1.data.catsdogs.fetch", lambda *_, **__: pytest.fail("fetched"))
    main(["export", *CATSDOGS, "--ckpt_path", "pretrained", "--model.views", "one"])
    assert "export/catsdogs: model.onnx, model.safetensors and README.md." in capsys.readouterr().out
    assert [(part.views, part.size) for part in quick[-1].parts] == [("one", 64)]
    assert "None are recorded for the network as exported." in Path("export/catsdogs/README.md").read_text()
    main(["export", *CATSDOGS, "--ckpt_path", "pretrained", "--out", "as_measured"])
    assert "| validation | 2,000 | 4.00 % |" in Path("as_measured/README.md").read_text()
    members = f"[{PRETRAINED / 'catsdogs.ckpt'}, {PRETRAINED / 'catsdogs_best.ckpt'}]"
    ensemble = ["export", "--config", str(CONFIGS / "catsdogs_ensemble.yaml"), "--model.members", members]
    main([*ensemble, "--out", "both"])
    assert [part.size for part in quick[-1].parts] == [64, 72]
    assert "The mean of 2 networks" in Path("both/README.md").read_text()
    assert "takes its checkpoints from --model.members" in refusal(*ensemble, "--ckpt_path", "best")


def test_what_cant_be_exported_is_refused(refusal: Refusal) -> None:
    said = refusal("export", *CATSDOGS, "--ckpt_path", "pretrained", "--model.widths", "[4,8]", "--model.blocks", "[1]")
    assert "with other hyperparameters" in said
    assert "There is no best.ckpt in any run under lightning_logs/catsdogs" in refusal("export", *CATSDOGS)
    assert "name a network" in refusal("export")
    assert "is of the numpy network: `python main.py mlp export`" in refusal("export", "-c", str(CONFIGS / "mlp.yaml"))
    assert not Path("export").exists()


def test_the_numpy_network(quick: list[ExportedModel], refusal: Refusal, capsys: Capture) -> None:
    main(["mlp", "export", "--ckpt_path", "pretrained"])
    assert "export/mlp: model.onnx" in capsys.readouterr().out
    assert quick[-1].shape == (28, 28, 1)
    said = Path("export/mlp/README.md").read_text()
    assert "| test | 10,000 |" in said
    assert "| `model.lr` | 0.2 |" in said
    assert "no last.npz in any run" in refusal("mlp", "export", "--ckpt_path", "last", "--data.source", "drawn")


def run_snippet(card: str, image: np.ndarray, name: str) -> dict[str, float]:
    """What the card's own example prints of an image."""
    Image.fromarray(image.squeeze()).save(name)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names: dict[str, object] = {"print": lambda answer: names.update(answer=answer)}
    exec(code.replace("model.onnx", "out/model.onnx").replace("photo.jpg", name).replace("digit.png", name), names)
    return {label: float(p) for label, p in names["answer"].items()}  # type: ignore[attr-defined]


@pytest.mark.long
@pytest.mark.parametrize("name", ["catsdogs", "mnist", "mlp"])
def test_published_weights_answer_the_same_as_onnx(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnxscript", "onnxruntime", "safetensors"):
        pytest.importorskip(package, reason=REASON)
    config = str(CONFIGS / f"{name}.yaml")
    command = ["mlp", "export"] if name == "mlp" else ["export"]
    main([*command, "--config", config, "--ckpt_path", "pretrained", "--out", "out"])
    drawn = draw_cats_and_dogs(200, 3, 64)[0] if name == "catsdogs" else draw_digits(200, 3)[0][..., None]
    from lit_a1.export.predict import OnnxNetwork

    found = OnnxNetwork(Path("out/model.onnx"))(drawn)
    expected = np.concatenate([exported_of(name, config).probabilities(part) for part in np.array_split(drawn, 8)])
    assert np.abs(found - expected).max() < 1e-4
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    said = run_snippet(Path("out/README.md").read_text(), drawn[0], "photo.png")
    assert list(said.values()) == pytest.approx(found[0].tolist(), abs=1e-5)


def exported_of(name: str, config: str) -> ExportedModel:
    if name == "mlp":
        from lit_a1.mlp import options

        return networks.load_mlp(
            options.setup_of(options.parse(["export", "--config", config]), "export"), "pretrained"
        )[1]
    return networks.load_cnns(parse(["validate", "--config", config, "--ckpt_path", "pretrained"]))[1]
