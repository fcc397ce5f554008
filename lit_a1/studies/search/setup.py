"""What a search is set to."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lit_a1.data.module import PictureDataModule
from lit_a1.environment import PROGRAM
from lit_a1.runs.folders import DRAWN
from lit_a1.runs.settings import UsageError, build, recipe_of
from lit_a1.runs.wording import typed
from lit_a1.studies.search.space import check_space, flags_of, own_values, read_space
from lit_a1.studies.search.span import Space, Span
from lit_a1.training import experiment_of, parse

OF_THE_MACHINE = (
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.precision"),
    *("trainer.enable_", "trainer.log_every_n_steps", "trainer.profiler"),
    *("model.compile_net", "model.channels_last", "data.workers", "data.keep_on_device"),
)
"""Settings in which processes that share a study may differ."""
USUAL = {
    **{"max_steps": -1, "max_time": None, "min_epochs": None, "min_steps": None, "callbacks": None},
    **{"fast_dev_run": False, "overfit_batches": 0.0, "limit_val_batches": None},
}
"""Options of the trainer that, set otherwise, would end a training elsewhere, or measure it on fewer pictures."""


@dataclass(frozen=True)
class Setup:
    """What the command line and the YAMLs say.

    Args:
        arguments: of `fit`, which all trials share.
        settings: the same, parsed.
        space: that is searched.
        own: what the command itself is set to, of all that is searched.
    """

    arguments: Sequence[str]
    settings: Namespace
    space: Space
    own: Mapping[str, Any]

    @classmethod
    def of(cls, arguments: Sequence[str], space: Path) -> "Setup":
        """Reads all that a search needs, and refuses what can't be.

        Raises:
            SystemExit: an argument is refused.
            UsageError: the space is.
        """
        settings = parse(["fit", *arguments])
        if (settings.trainer.max_epochs or 0) < 1:
            raise UsageError(f"trainer.max_epochs must be 1 or above in a search; got {settings.trainer.max_epochs}")
        if settings.trainer.logger is False:
            raise UsageError("trainer.logger must not be false in a search: a trial's figures are read from its run")
        for name, usual in USUAL.items():
            if (value := settings.trainer.get(name)) not in (None, usual):
                raise UsageError(f"trainer.{name} must be left out in a search; got {value}")
        if isinstance(settings.seed_everything, bool):
            raise UsageError(f"seed_everything must be a number in a search; got {settings.seed_everything}")
        if settings.get("ckpt_path"):
            raise UsageError("--ckpt_path goes on with one run; a search goes on with --study")
        searched = read_space(space)
        own = own_values(settings, searched)
        check_space(settings, searched, own)
        return cls(arguments, settings, searched, own)

    @property
    def epochs(self) -> int:
        """Of a trial that is not stopped early."""
        return int(self.settings.trainer.max_epochs)

    @property
    def seed(self) -> int:
        """Of the search, and of the training of each network."""
        return int(self.settings.seed_everything)

    @cached_property
    def drawn(self) -> bool:
        """Whether the pictures are a stand-in.

        Raises:
            DataError: there are none.
        """
        data = build(PictureDataModule, deepcopy(self.settings.data))  # jsonargparse would put objects into these
        data.locate("fit")
        return data.drawn

    @property
    def runs(self) -> Path:
        """The folder of the studies; those on drawn pictures have one of their own."""
        logs, name = experiment_of(self.settings, drawn=False)
        return logs / f"{name}-search{DRAWN * self.drawn}"

    @property
    def words(self) -> str:
        """The network, its pictures and the seed."""
        model, data = (str(self.settings[part].class_path).rpartition(".")[2] for part in ("model", "data"))
        pictures = f"{data}{' (DRAWN pictures)' * self.drawn}"
        return f"{experiment_of(self.settings, drawn=False)[1]}: {model} on {pictures}, seed {self.seed}"

    @property
    def shared(self) -> dict[str, Any]:
        """What the trials of a study have in common, as JSON has it."""
        recipe = recipe_of(self.settings)
        shared: dict[str, Any] = {
            name: value
            for name, value in recipe.items()
            if name not in self.space and not name.startswith(OF_THE_MACHINE)
        }
        shared |= {"seed": self.seed, "drawn pictures": self.drawn}
        return shared | {f"the range of {name}": in_full(values) for name, values in self.space.items()}

    def command_of(self, settings: Mapping[str, Any]) -> str:
        """What to type to train a network with these values."""
        return typed(*PROGRAM.split(), "fit", *self.arguments, *flags_of(settings))


def short(name: str) -> str:
    """An option without the part that it is of: `lr`, `augment.crop_scale`."""
    return name.partition(".")[2]


def in_full(values: Span | Sequence[Any]) -> str:
    """What is searched of an option."""
    return values.in_full() if isinstance(values, Span) else ", ".join(map(str, values))


def in_words(settings: Mapping[str, Any]) -> str:
    """Values of options: `lr 0.15, norm batch`."""
    return ", ".join(f"{short(name)} {value}" for name, value in settings.items())
