from pathlib import Path

import pytest

from lit_a1.data.module import ImageDataModule
from lit_a1.runs.settings import build, concise, flat, recipe_of
from lit_a1.training import parse

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "catsdogs.yaml"


def test_nested_settings_become_flat_and_plain() -> None:
    nested = {"model": {"class_path": "x", "init_args": {"lr": 0.1, "widths": [8, 16], "limit": None}}, "seed": 3}
    assert flat(nested) == {"model.class_path": "x", "model.lr": 0.1, "model.widths": "[8, 16]", "seed": 3}


def test_a_command_is_parsed_without_being_run() -> None:
    command = parse(["fit", "--config", str(CONFIG), "--model.lr", "0.3", "--trainer.max_epochs", "2"])
    recipe = recipe_of(command)
    assert recipe["model.lr"] == 0.3
    assert recipe["data.augment.mixup"] == 0.0  # a default, which the YAML does not name
    assert recipe["trainer.max_epochs"] == 2
    assert not any(name.startswith("trainer.logger") for name in recipe)


def test_a_part_of_a_yaml_is_built_as_fit_builds_it() -> None:
    part = {"class_path": "lit_a1.data.mnist_module.MNISTDataModule", "init_args": {"augment": {"shift": 2}}}
    data = build(ImageDataModule, part)
    assert type(data).__name__ == "MNISTDataModule"
    assert data.augment.shift == 2


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("one\n  - two", "one two"),
        ('Parser key "lr": Expected a float', "lr: Expected a float"),
        (
            'Parser key "data": Does not validate against any of the Union subtypes\nSubtypes: [A, None]\nErrors:\n'
            "  - size must be at least 1\n  - Expected a <class 'NoneType'>\nGiven value type: dict",
            "data: size must be at least 1",
        ),
    ],
)
def test_messages_become_one_sentence(message: str, sentence: str) -> None:
    assert concise(message) == sentence
