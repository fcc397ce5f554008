"""Numbers that are not finite, in training and in what is made of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback, ModelCheckpoint, OnExceptionCheckpoint

from lit_a1.data.batch import Batch
from lit_a1.models import CatsDogsCNN
from lit_a1.runs.checkpoints import read
from lit_a1.runs.records import CheckpointError, DivergedError
from tests.models.conftest import SMALL, WITHOUT_COMMAND, fit
from tests.models.test_loss_scale import Overflow, float16
from tests.test_training import SMALL as FLAGS

pytestmark = WITHOUT_COMMAND
FEW = ["--trainer.limit_train_batches", "3", "--data.size_schedule", "{0: 16}"]


def spoiled(value: float, step: int = 5, where: str = "net") -> LambdaCallback:
    """Writes a number into a weight after a step."""

    def spoil(trainer: Any, model: Any, *_: Any) -> None:
        if trainer.global_step == step:
            getattr(model, where).state_dict()[next(iter(dict(getattr(model, where).named_parameters())))].fill_(value)

    return LambdaCallback(on_train_batch_end=spoil)


@pytest.mark.parametrize("where", ["net", "average"])
@pytest.mark.parametrize("options", [{"limit_val_batches": 0}, {}])
def test_weights_that_are_not_finite_are_not_kept(where: str, options: dict[str, Any], tmp_path: Path) -> None:
    """`last.ckpt` stays that of the epoch before, which is named; nothing is written while the error is told."""
    last = ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks = [spoiled(float("inf"), 6, where), last, OnExceptionCheckpoint(tmp_path)]
    with pytest.raises(DivergedError, match=r"not finite in step 6.* The last good checkpoint is .*last\.ckpt"):
        fit(CatsDogsCNN(**SMALL), enable_checkpointing=True, callbacks=callbacks, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert read(tmp_path / "last.ckpt")["global_step"] == 3


def test_a_gradient_that_overflows_float16_whatever_the_scale_is_seen() -> None:
    always = Overflow(0)
    always.on_after_backward = lambda trainer, model: model.net[1].linear.bias.grad.fill_(float("inf"))  # type: ignore
    with pytest.raises(DivergedError, match=r"float16 is not finite in step 4,.* or --trainer\.precision 32-true"):
        fit(CatsDogsCNN(**SMALL), max_epochs=9, plugins=float16(1e-3), callbacks=[always])


def test_a_run_that_diverges_is_told_and_recorded(photos: Path, refusal: Callable[..., str]) -> None:
    output = refusal("fit", *FLAGS, *FEW, "--trainer.max_epochs", "2", "--model.lr", "1e30", "--model.norm", "none")
    assert "diverged: the " in output
    assert "rate of 1e+30. No checkpoint was written before. Start again with a smaller --model.lr than 1e+30" in output
    text = Path("lightning_logs/catsdogs/version_0/record.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["diverged"] in output
    assert not list(Path().glob("lightning_logs/*/*/checkpoints/*"))
    assert "There is no best.ckpt" in refusal("predict", *FLAGS)


def test_such_weights_say_nothing(tmp_path: Path, save: Callable[..., Path]) -> None:
    model = CatsDogsCNN(**SMALL)
    path = save(model)
    state = read(path)
    state["state_dict"]["net.1.linear.bias"][0] = float("nan")
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="holds weights that are not finite: its training had diverged"):
        read(path)
    model.average = None
    model.net[1].linear.bias.data.fill_(float("nan"))
    with pytest.raises(DivergedError, match="A probability is not finite"):
        model.predict_step(Batch(torch.rand(1, 3, 16, 16), torch.zeros(1).long(), torch.zeros(1).long()), 0)
