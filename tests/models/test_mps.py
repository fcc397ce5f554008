"""Nothing of training or evaluation asks a Mac's GPU (MPS) for what it lacks, as far as another machine can tell."""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lit_a1.data.augment import Augment
from lit_a1.data.module import ImageDataModule, ImageSet
from lit_a1.layers import NORMS
from lit_a1.models import CatsDogsCNN, Classifier, DistilledCNN, Ensemble
from lit_a1.optim import OPTIMIZERS
from lit_a1.runs.settings import build
from lit_a1.training import parse
from tests.conftest import CONFIGS
from tests.models.conftest import TINY, RandomImages, Save, trainer

RECIPES = [
    path.stem
    for path in sorted(CONFIGS.glob("*.yaml"))
    if not path.stem.startswith(("mlp", "catsdogs_ensemble", "report"))
]
SMALL = [
    "--model.widths=[4,8]", "--model.blocks=[1]", "--model.compile_net=false", "--data.source=drawn",
    "--data.batch_size=8", "--data.eval_batch_size=8",
]  # fmt: skip


def read(path: Path) -> str:
    if not path.is_file():
        pytest.skip(f"this torch comes without {path.name}, which says what MPS lacks")
    return path.read_text(encoding="utf-8")


@cache
def has_kernel() -> dict[str, bool]:
    """Whether MPS has an operation, by its name and overload, as torch declares its kernels."""
    package = importlib.util.find_spec("torchgen")
    folder = Path(package.origin).parent if package is not None and package.origin is not None else Path()
    entries = yaml.load(read(folder / "packaged/ATen/native/native_functions.yaml"), yaml.CSafeLoader)
    declared = {entry["func"].partition("(")[0]: entry for entry in entries}

    def has(name: str) -> bool:
        if "structured_delegate" in declared[name]:
            return has(declared[name]["structured_delegate"])
        devices = ", ".join(declared[name].get("dispatch", {"Composite": ""})).split(", ")
        return any(device == "MPS" or device.startswith("Composite") for device in devices)

    return {f"aten::{name}": has(name) for name in declared}


@cache
def known_to_fail() -> set[str]:
    """Operations that torch's own tests expect to fail on MPS in float32."""
    source = read(Path(torch.__file__).parent / "testing/_internal/common_mps.py")  # imports what only its tests need
    names = {
        ast.literal_eval(key)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)
        if ast.unparse(node.target) == "UNIMPLEMENTED_XFAILLIST"
        for key, types in zip(node.value.keys, node.value.values, strict=True)
        if key is not None and (ast.unparse(types) == "None" or "float32" in ast.unparse(types))
    }
    assert names
    names.remove("to")  # as it can ask for float64, which is refused by itself
    return {"aten::" + name.removeprefix("nn.functional.").replace(".", "_") for name in names}


class LikeMPS(TorchDispatchMode):
    """Refuses tensors in float64, and operations that MPS lacks."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        if not has_kernel().get(name, True) or name.partition(".")[0] in known_to_fail():
            raise NotImplementedError(f"MPS lacks {name}")
        result = func(*args, **kwargs or {})
        for value in tree_leaves((args, kwargs, result)):
            if isinstance(value, Tensor) and value.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"MPS has no float64; {name} takes or returns it")
        return result


def run(model: Classifier, data: ImageDataModule) -> None:
    """Trains for two steps, validates and predicts."""
    runner = trainer(max_epochs=1, limit_train_batches=2)
    with LikeMPS():
        runner.fit(model, data)
        runner.predict(model, data)
    assert model.global_step == 2


def test_what_mps_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = torch.ones(1)
    assert not all(has_kernel().values())  # which ones differs from torch to torch
    monkeypatch.setitem(has_kernel(), "aten::heaviside", False)
    with LikeMPS():
        one.add(one)
        with pytest.raises(TypeError, match="float64"):
            one.double()
        with pytest.raises(NotImplementedError, match="MPS lacks aten::heaviside"):
            torch.heaviside(one, one)


@pytest.mark.long
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parse(["fit", "--config", str(CONFIGS / f"{recipe}.yaml"), *SMALL])
    model, data = build(Classifier, settings.model), build(ImageDataModule, settings.data)
    side, channels = (28, 1) if "mnist" in recipe else (64, 3)
    images = np.random.default_rng(0).integers(0, 256, (16, side, side, channels), dtype=np.uint8)
    data.sets = {part: ImageSet(images, np.arange(16) % 2) for part in ("train", "val", "predict")}
    for name in ("prepare_data", "setup"):
        monkeypatch.setattr(type(data), name, lambda *_, **__: None)
    run(model, data)


EVERYTHING = Augment(
    flip="random", crop_scale=(0.5, 1.0), shift=2, rotation=10.0, brightness=0.2,
    saturation=0.2, grayscale=0.1, trivial=1.0, cutout=0.3, cutout_fill="noise", mixup=0.2, cutmix=1.0,
)  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_with_all_that_recipes_may_turn_on(optimizer: Any) -> None:
    options: dict[str, Any] = {"clip_gradient": 0.5, "sam_radius": 0.1, "precise_bn": 16, "views": "shift"}
    options |= {"activation": "gelu", "squeeze_excite": 2, "dropout": 0.1, "stochastic_depth": 0.1}
    options |= {"transition": "blur_pool"}
    run(CatsDogsCNN(**TINY | options, optimizer=optimizer), RandomImages(augment=EVERYTHING, keep_on_device=True))


@pytest.mark.parametrize("norm", NORMS)
def test_every_norm(norm: Any) -> None:
    run(
        CatsDogsCNN(**TINY, norm=norm, activation="silu"),
        RandomImages(augment=Augment(cutout=0.3, cutout_fill="mean")),
    )


def test_students_and_ensembles(save: Save) -> None:
    teacher = str(save(CatsDogsCNN(**TINY)))
    run(DistilledCNN(teachers=[teacher], **TINY), RandomImages())
    with LikeMPS():
        trainer().validate(Ensemble(members=[teacher]), RandomImages())
