"""Checkpoints that are damaged, foreign or hostile: refused in a sentence, and nothing of them is run."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.runs.checkpoints import read
from lit_a1.runs.records import CheckpointError
from tests.hostile import FILES, GONE, MLP, TINY, changed, saved

pytest_plugins = ["tests.hostile"]


@pytest.mark.long
@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_no_checkpoint_is_refused_and_nothing_of_it_is_run(
    what: str, ckpt: bytes, tried: Callable[..., str]
) -> None:
    (path := Path("hostile.ckpt")).write_bytes(FILES[what](ckpt))
    for command in ("validate", "predict", "fit"):
        assert "hostile.ckpt" in tried(path, command, *TINY)
    assert {each.name for each in Path().iterdir()} == {"hostile.ckpt"}


@pytest.mark.long
def test_a_folder_is_no_checkpoint(tried: Callable[..., str]) -> None:
    Path("folder.ckpt").mkdir()
    for command in ("validate", "predict", "fit", "mlp test", "mlp fit"):
        options = MLP if command.startswith("mlp") else TINY
        assert "There is no checkpoint folder.ckpt" in tried(Path("folder.ckpt"), *command.split(), *options)


@pytest.mark.long
def test_flipped_bits_are_seen_or_change_nothing(ckpt: bytes) -> None:
    rng, path, seen = np.random.default_rng(0), Path("flipped.ckpt"), 0
    path.write_bytes(ckpt)
    whole = read(path)
    for _ in range(1000):
        data, place = bytearray(ckpt), int(rng.integers(len(ckpt)))
        data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            found = read(path)
        except CheckpointError:
            seen += 1
            continue
        assert found.keys() == whole.keys()
        torch.testing.assert_close(found["state_dict"], whole["state_dict"], rtol=0, atol=0)
    assert seen > 500


VALUES: tuple[Any, ...] = (GONE, None, "x", "../../x", -1, 0, 10**18, 1.5, float("nan"))
VALUES += ([], ["x"], [[-1]], {}, {"x": 1}, True, torch.ones(3))


def weights(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], Any]:
    return lambda found: found | {name: change(value) if value.ndim == 4 else value for name, value in found.items()}


Change = tuple[tuple[Any, ...], Any]  # where, and what is put there: a value, or a function of the old one
CHANGES: dict[str, Change] = {
    "other shapes": (("state_dict",), weights(lambda each: torch.zeros(3, 3, 3, 3))),
    "fewer weights": (("state_dict",), lambda found: dict(list(found.items())[1:])),
    "more weights": (("state_dict",), lambda found: found | {"more": torch.ones(1)}),
    "weights beyond memory": (("state_dict",), weights(lambda each: torch.ones(1).expand(10**6, 10**6, 3, 3))),
    "weights of nothing": (("state_dict",), weights(lambda each: torch.empty(each.shape, device="meta"))),
    "sparse weights": (("state_dict",), weights(lambda each: each.flatten(1).to_sparse())),
    "complex weights": (("state_dict",), weights(lambda each: each + 1j)),
    "weights of eight bits": (("state_dict",), weights(lambda each: each.to(torch.float8_e4m3fn))),
    "NaN": (("state_dict",), weights(lambda each: each * torch.nan)),
    "weights that are numbers": (("state_dict",), weights(lambda each: 1.0)),
    "another class": (("model_class",), "MNISTCNN"),
    "no class of ours": (("model_class",), "os.system"),
    "other layers": (("network",), lambda text: text.replace("ReLU", "GELU")),
    "momentum of other shapes": (
        ("optimizer_states", 0, "state"),
        lambda states: {place: {"momentum_buffer": torch.ones(3)} for place in states},
    ),
    "momentum beyond memory": (
        ("optimizer_states", 0, "state"),
        lambda states: {place: {"momentum_buffer": torch.ones(1).expand(10**12)} for place in states},
    ),
    "other classes": (("CatsDogsDataModule", "classes"), ["Fox", "Hen"]),
}
PLACES: tuple[tuple[Any, ...], ...] = (
    *(
        (name,)
        for name in ("epoch", "global_step", "state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers")
    ),
    *((name,) for name in ("hyper_parameters", "CatsDogsDataModule", "run", "model_class", "network", "hparams_name")),
    *((name,) for name in ("pytorch-lightning_version", "nobody_knows_this")),
    *(("CatsDogsDataModule", name) for name in ("size", "classes", "validation")),
    *(("run", name) for name in ("steps_per_epoch", "devices", "torn", "events", "measured")),
    ("loops", "fit_loop"),
    ("callbacks", "RunRecord"),
    ("callbacks", "BestCheckpoint"),
    *(("callbacks", "RunRecord", name) for name in ("settings", "epochs", "seconds", "peak_memory_gb", "made_by")),
    *(("callbacks", "RunRecord", "epochs", 0, name) for name in ("epoch", "step", "val/error")),
    *(
        ("callbacks", "BestCheckpoint", name)
        for name in ("best_model_path", "best_model_score", "dirpath", "kth_value")
    ),
    ("optimizer_states", 0),
    *(("optimizer_states", 0, name) for name in ("state", "param_groups")),
    *(("optimizer_states", 0, "param_groups", 0, name) for name in ("lr", "params", "steps_taken", "momentum")),
    ("state_dict", "net.0.mean"),
)

OF_RUNS = ("loops", "callbacks", "optimizer_states", "lr_schedulers", "run")  # which `fit` alone looks at


def test_reading_alone_refuses_what_is_no_checkpoint_and_what_is_more_than_it_says() -> None:
    path, layer = Path("hostile.ckpt"), torch.nn.Conv2d(2, 2, 2)
    sound = saved({"model_class": "x", "network": "", "epoch": 1, "global_step": 2, "state_dict": layer.state_dict()})
    with pytest.raises(CheckpointError, match=r"^There is no checkpoint hostile\.ckpt\.$"):
        read(path)
    path.write_bytes(sound)
    assert read(path)["epoch"] == 1
    of_weights = [("state_dict",), ("epoch",), ("global_step",)]
    changes = {what: change for what, change in CHANGES.items() if change[0] in of_weights}
    changes |= {f"step {value}": (("global_step",), value) for value in (-1, "x", None, 1.5, True)}
    makers = FILES | {what: lambda data, change=change: changed(data, *change) for what, change in changes.items()}
    others = {"other shapes", "fewer weights", "more weights", "complex weights", "weights of eight bits", "a list"}
    for what in makers.keys() - others:  # which reading can't tell, or not with every version of torch
        path.write_bytes(makers[what](sound))
        words = r"^hostile\.ckpt (can't be read as|is not|holds weights that are not)"
        with pytest.raises(CheckpointError, match=words):
            read(path)
    assert not Path("touched").exists()


@pytest.mark.long
@pytest.mark.parametrize("what", CHANGES)
def test_contents_that_do_not_fit_are_refused(what: str, ckpt: bytes, tried: Callable[..., str]) -> None:
    (path := Path("hostile.ckpt")).write_bytes(changed(ckpt, *CHANGES[what]))
    for command in ("fit",) if "momentum" in what else ("validate", "fit"):
        said = tried(path, command, *TINY)
        assert "hostile.ckpt" in said or "The checkpoint knows Fox and Hen" in said


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_any_value_in_any_place_is_refused_or_does_no_harm(
    place: tuple[Any, ...], ckpt: bytes, tried: Callable[..., str]
) -> None:
    commands = ("fit",) if place[0] in OF_RUNS else ("validate", "fit", "predict")
    values = VALUES[1:] if place[-1] == "nobody_knows_this" else VALUES
    for value, command in zip(values, itertools.cycle(commands), strict=False):
        (path := Path("hostile.ckpt")).write_bytes(changed(ckpt, place, value))
        tried(path, command, *TINY)
