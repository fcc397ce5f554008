import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lit_a1.layers import BatchNorm2d, InstanceNorm2d, LayerNorm2d
from lit_a1.runs.checkpoints import AtomicCheckpointIO, check_fits, check_resumable
from lit_a1.runs.records import CheckpointError


class Model(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


class Other(Model):
    pass


def test_another_model_or_other_layers_are_refused(tmp_path: Path) -> None:
    model = Model(nn.Linear(2, 2))
    checkpoint = {"model_class": "Model", "state_dict": model.state_dict(), "network": repr(model.net)}
    check_fits(checkpoint, Model(nn.Linear(2, 2)), tmp_path)
    norms = [Model(BatchNorm2d(2, sync=sync)) for sync in (True, False)]  # only training has several devices
    there = {"model_class": "Model", "state_dict": norms[0].state_dict(), "network": repr(norms[0].net)}
    check_fits(there, norms[1], tmp_path)
    with pytest.raises(CheckpointError, match="of Model; the configuration asks for Other"):
        check_fits(checkpoint, Other(nn.Linear(2, 2)), tmp_path)
    with pytest.raises(CheckpointError, match=r"net.weight is \(2, 2\) in the file and \(3, 2\) in the model"):
        check_fits(checkpoint, Model(nn.Linear(2, 3)), tmp_path)
    with pytest.raises(CheckpointError, match=r"net.bias is \(2,\) in the file and absent"):
        check_fits(checkpoint, Model(nn.Linear(2, 2, bias=False)), tmp_path)
    norm = Model(LayerNorm2d(2))  # weights of the same names and shapes
    checkpoint = {"model_class": "Model", "state_dict": norm.state_dict(), "network": repr(norm.net)}
    with pytest.raises(CheckpointError, match=r"LayerNorm2d.* in the file and InstanceNorm2d"):
        check_fits(checkpoint, Model(InstanceNorm2d(2)), tmp_path)


def test_a_run_that_is_over_or_was_set_otherwise_is_not_resumed(tmp_path: Path) -> None:
    started = {"model.lr": 0.1, "trainer.max_epochs": 4, "seed": 1}
    checkpoint = {"epoch": 1, "optimizer_states": [], "callbacks": {"RunRecord": {"settings": started}}}
    check_resumable(checkpoint, started, 4, tmp_path)
    check_resumable(checkpoint, started | {"trainer.max_epochs": 9}, 9, tmp_path)
    with pytest.raises(CheckpointError, match=r"over: 2 epochs are done, and trainer\.max_epochs is 2"):
        check_resumable(checkpoint, started, 2, tmp_path)
    with pytest.raises(CheckpointError, match=r"started with model\.lr=0\.1, not 0\.2"):
        check_resumable(checkpoint, started | {"model.lr": 0.2}, 4, tmp_path)
    with pytest.raises(CheckpointError, match="started with seed=1, not None"):
        check_resumable(checkpoint, {"model.lr": 0.1}, 4, tmp_path)
    with pytest.raises(CheckpointError, match=r"started without data\.size_schedule\.16, which is 48 here: go on with"):
        check_resumable(checkpoint, started | {"data.size_schedule.16": 48}, 4, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sets no limit to the size of files")
def test_a_checkpoint_that_finds_no_room_keeps_the_last_one_and_says_so(tmp_path: Path) -> None:
    import resource

    path, soft_hard = tmp_path / "last.ckpt", resource.getrlimit(resource.RLIMIT_FSIZE)
    AtomicCheckpointIO().save_checkpoint({"a": 1}, path)
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, soft_hard[1]))  # as on a disk that is full
    try:
        with pytest.raises(OSError, match="too large") as refusing:
            AtomicCheckpointIO().save_checkpoint({"a": torch.zeros(9999)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft_hard)
    assert refusing.value.filename == str(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
