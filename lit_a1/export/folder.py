"""The folder of an export: model.onnx, model.safetensors and README.md, written together or not at all."""

import json
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from lit_a1.data.files import replacing
from lit_a1.export import PACKAGES, check_packages
from lit_a1.export.card import WeightsInfo, card
from lit_a1.export.graph import ExportedModel, to_onnx

ONNX, SAFETENSORS, CARD = "model.onnx", "model.safetensors", "README.md"


def write(folder: Path, name: str, exported: ExportedModel, sources: Sequence[WeightsInfo]) -> float:
    """Writes the three files; returns the largest difference of a probability and raises errors, both as `to_onnx`.

    Raises:
        UsageError: a package is missing.
        OSError: the folder can't be written to; it stays unchanged.
    """
    check_packages(*PACKAGES)
    import safetensors.torch

    onnx, difference = to_onnx(exported)
    about = {"name": name, "classes": json.dumps(exported.classes), "format": "pt"}
    tensors = {name: tensor.contiguous() for name, tensor in exported.weights.items()}
    text = card(name, exported, sources, difference).encode(errors="surrogateescape")
    contents = {ONNX: onnx, SAFETENSORS: safetensors.torch.save(tensors, about), CARD: text}
    is_new = not folder.exists()
    try:
        with ExitStack() as stack:
            for file, content in contents.items():
                stack.enter_context(replacing(folder / file)).write_bytes(content)
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise
    return difference
