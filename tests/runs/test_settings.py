from pathlib import Path

import pytest
import yaml

from lit_a1.data.module import ImageDataModule
from lit_a1.runs.settings import build, concise, flat, recipe_of
from lit_a1.training import parse
from tests.conftest import CONFIGS, Refusal

CONFIG = CONFIGS / "catsdogs.yaml"


def test_nested_settings_become_flat_and_plain() -> None:
    nested = {"model": {"class_path": "x", "init_args": {"lr": 0.1, "widths": [8, 16], "limit": None}}, "seed": 3}
    assert flat(nested) == {"model.class_path": "x", "model.lr": 0.1, "model.widths": "[8, 16]", "seed": 3}


@pytest.mark.parametrize("yaml_flag", [["-c", str(CONFIG)], ["--config", str(CONFIG)], [f"--config={CONFIG}"]])
def test_a_flag_counts_before_the_yaml_too(yaml_flag: list[str]) -> None:
    command = parse(["fit", "--model.lr", "0.3", "--trainer.max_epochs=2", *yaml_flag, "--model.sync_norm", "false"])
    recipe = recipe_of(command)
    assert recipe["model.lr"] == 0.3
    assert recipe["trainer.max_epochs"] == 2
    assert recipe["data.augment.mixup"] == 0.0  # a default, which the YAML does not name
    assert not any(name.startswith("trainer.logger") for name in recipe)
    assert recipe["model.widths"] == "[32, 64, 128, 256]"
    assert command.model.init_args.sync_norm is False


def test_a_part_of_a_yaml_is_built_as_fit_builds_it() -> None:
    part = {"class_path": "lit_a1.data.mnist_module.MNISTDataModule", "init_args": {"augment": {"shift": 2}}}
    data = build(ImageDataModule, part)
    assert type(data).__name__ == "MNISTDataModule"
    assert data.augment.shift == 2


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("one\n  - two", "one two"),
        ("Parser key \"lr\": Expected a <class 'float'>. Got value: ['high']", "lr: expected float, got ['high']"),
        (
            'Parser key "epochs":\n  Does not validate against any of the Union subtypes\n  Errors:\n'
            "    - Expected a <class 'int'>\n    - Expected a <class 'NoneType'>\n"
            "  Given value type: x\n  Given value: one",
            "epochs: expected int, got one",
        ),
        (
            'Parser key "data": Does not validate against any of the Union subtypes\nSubtypes: [A, None]\nErrors:\n'
            "  - size must be at least 1\n  - Expected a <class 'NoneType'>\nGiven value type: dict",
            "data: size must be at least 1",
        ),
    ],
)
def test_messages_become_one_sentence(message: str, sentence: str) -> None:
    assert concise(message) == sentence


def test_what_is_no_recipe_is_refused_in_a_sentence(refusal: Refusal) -> None:
    Path("broken.yaml").write_text("model:\n  lr: [0.1\n")
    for command in ("fit", "mlp fit"):
        assert "broken.yaml is not valid YAML: " in refusal(*command.split(), "--config", "broken.yaml")
    assert refusal("validate").endswith("error: name a network, with --config configs/catsdogs.yaml for example")


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("fit --max_epochs 3", "--trainer.max_epochs"),
        ("fit --lr=3", "--model.lr"),  # of a class that is not named yet
        ("fit configs/catsdogs.yaml", "--config configs/catsdogs.yaml"),
        ("fit --config configs/catsdogs.yaml --model CatDogCNN", "CatsDogsCNN"),
        ("fit --config configs/catsdogs.yaml --data.augment.flp none", "flip"),
        ("fit --config configs/catsdog.yaml", "configs/catsdogs.yaml"),
        ("search --space=spaces/catdogs.yaml", "configs/spaces/catsdogs.yaml"),
        ("search --config configs/catsdogs.yaml --trails 3", "--trials"),
        ("mlp fit --epochs 4", "--trainer.max_epochs"),
        ("mlp gradchek", "gradcheck"),
        ("fti", "fit"),
    ],
)
def test_a_mistake_names_what_was_probably_meant(command: str, meant: str, refusal: Refusal) -> None:
    assert refusal(*command.split()).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("trainer.max_epoch", "trainer.max_epochs"),
        ("model.init_args.label_smothing", "label_smoothing"),
        ("model.init_args.blurb", None),
        ("model.class_path", "CatsDogsCNN"),
    ],
)
def test_so_does_one_in_a_yaml(path: str, meant: str | None, tmp_path: Path, refusal: Refusal) -> None:
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    *parts, last = path.split(".")
    part = settings
    for name in parts:
        part = part[name]
    part[last] = "lit_a1.models.catsdogs.CatDogCNN"
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    sentence = refusal("fit", "--config", str(tmp_path / "x.yaml"))
    assert sentence.endswith(f"; did you mean {meant}?") if meant else "did you mean" not in sentence
