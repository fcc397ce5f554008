"""What the processes of several devices do together: gather their results, and end when one of them ends."""

import atexit
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from lit_a1.runs.checkpoints import kept_checkpoints
from lit_a1.runs.records import DeviceLostError

T = TypeVar("T")
GRACE = 5  # seconds for the first process to say why all end, before a launcher sees that another has ended
CONNECTION_LOST = ("gloo", "Connection closed by peer", "Connection reset by peer")  # torch has no error class for it


def check_process_count(trainer: L.Trainer) -> None:
    """Raises a ValueError if torchrun has started another number of processes than the trainer expects."""
    started, expected = int(os.environ.get("WORLD_SIZE") or 1), trainer.num_devices * trainer.num_nodes
    if dist.is_torchelastic_launched() and started != expected:
        problem = f"{expected} processes must be started for --trainer.devices and --trainer.num_nodes"
        raise ValueError(f"{problem}; torchrun has started {started}")


def gather_objects(value: T) -> list[T]:
    """The objects of all devices, in the order of the devices; every device must call this."""
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    values = [value] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def gather_batches(batches: Sequence[Sequence[Tensor]]) -> list[np.ndarray]:
    """Joins the batches of all devices, sorted by the first tensor of a batch; every device must call this.

    The first tensor (N,) has the indices of images; the other tensors (N,...) have a value for each image.
    """
    arrays = [torch.cat(parts).cpu().numpy() for parts in zip(*batches, strict=True)]
    joined = [np.concatenate(parts) for parts in zip(*gather_objects(arrays), strict=True)]
    order = joined[0].argsort(kind="stable")
    return [part[order] for part in joined]


@contextmanager
def ending_together(trainer: L.Trainer) -> Iterator[None]:
    """Ends the processes of all devices if one of them fails, or the first is told to end; that process says why.

    Raises a DeviceLostError if the process of another device has ended.
    """
    signals = trainer._signal_connector
    if trainer.world_size > 1:  # Lightning's handler would call processes that are waiting in another call
        vars(signals)["_sigterm_notifier_fn"] = lambda *_: setattr(signals, "received_sigterm", trainer.is_global_zero)
    try:
        yield
    except (Exception, SIGTERMException) as error:
        if not trainer.is_global_zero:
            atexit.register(time.sleep, GRACE)
        elif children := getattr(trainer.strategy.launcher, "procs", None):
            processes, children[:] = children[:], []  # or Lightning would kill this process without a message
            for process in processes:
                process.kill()
        if trainer.world_size == 1 or not (
            isinstance(error, dist.DistError)
            or (isinstance(error, RuntimeError) and any(part in str(error) for part in CONNECTION_LOST))
        ):
            raise
        message = "The process of another device has ended, without which this one can't go on."
        if kept_checkpoints(trainer):
            message += " Start the same command again with --ckpt_path last."
        raise DeviceLostError(message) from error
    if trainer.world_size > 1:  # otherwise its threads may end the process with an error
        dist.destroy_process_group()
