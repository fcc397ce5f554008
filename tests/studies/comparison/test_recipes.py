"""What differs between two trainings besides their architecture."""

from pathlib import Path
from typing import Any

from lit_a1.report.recipes import shipped_settings
from lit_a1.runs.finished import Run
from lit_a1.studies.comparison.recipes import differences, training_of


def run(suffix: str, epochs: int = 1, images: int = 50_000, **settings: Any) -> Run:
    record = {"settings": settings, "epochs": [{}] * epochs, "images": {"train": images}}
    return Run(Path("x/version_0"), Path(f"last{suffix}"), record)


def test_settings_of_both_kinds_of_network_are_read_in_the_same_words() -> None:
    mlp = run(".npz", **{
        "model.lr": 0.1, "model.lr_decay": "linear", "model.batch_size": 128, "model.momentum": 0.9,
        "model.nesterov": True, "model.weight_decay": 5e-5, "model.nonlinearity": "relu", "model.dropout": 0.3,
        "model.initialization": "glorot",
    })  # fmt: skip
    cnn = run(".ckpt", **{
        "model.lr": 0.1, "model.schedule": "linear", "data.batch_size": 128, "model.momentum": 0.9,
        "model.nesterov": True, "model.weight_decay": 5e-5, "model.optimizer": "sgd", "model.norm": "none",
        "model.dropout": 0.0, "model.warmup": 0.0, "model.mean": "[0.0]", "model.std": "[1.0]",
    })  # fmt: skip
    assert training_of(mlp)["weight decay"] == "0.00005"
    assert differences(mlp, cnn) == [
        ["dropout of hidden units", "0.3", "none"],
        ["initial weights", "glorot", "He"],
    ]


def test_the_recipes_of_the_like_for_like_comparison_differ_in_what_comes_with_the_architecture() -> None:
    mlp, cnn = (shipped_settings(f"{name}_ablation") for name in ("mlp", "mnist"))
    epochs = "trainer.max_epochs"
    found = differences(run(".npz", mlp[epochs], **mlp), run(".ckpt", cnn[epochs], **cnn))
    assert {name for name, *_ in found} == {"pixels", "initial weights"}


def test_sharpness_and_size_are_differences() -> None:
    found = differences(run(".ckpt"), run(".ckpt", **{"model.sam_radius": 0.1, "data.size": 32}))
    assert found == [["radius of sharpness-aware minimisation", "none", "0.1"], ["pixels per side", "28", "32"]]


def test_what_one_network_alone_is_trained_with_is_a_difference() -> None:
    settings = {
        "model.norm": "batch", "model.warmup": 0.05, "model.schedule": "linear", "model.label_smoothing": 0.1,
        "model.average_decay": 0.995, "model.mean": "[0.1307]", "model.std": "[0.3081]", "data.augment.shift": 2,
    }  # fmt: skip
    found = {row[0]: row[1:] for row in differences(run(".ckpt", 10, **settings), run(".ckpt", 20, 2560))}
    assert found["training images"] == ["50,000", "2,560"]  # --trainer.limit_train_batches
    assert found["epochs"] == ["10", "20"]
    assert found["norm"] == ["batch", "none"]
    assert found["label smoothing"] == ["0.1", "none"]
    assert found["pixels"] == ["standardised", "0 to 1"]
    assert found["augmentation"] == ["shift 2", "none"]
    assert found["learning rate schedule"][0] == "linear, warm-up over 5 % of the steps"
