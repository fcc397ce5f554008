"""Before a command runs: the versions that it needs, the YAMLs that are meant, and Lightning without what is unused."""

import gc
import itertools
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from lit_a1.environment import REPOSITORY

RANGES = {"Python": ">=3.11,<3.15", "torch": ">=2.11,<2.16"}  # as in pyproject.toml
NAMES_A_YAML = ("-c", "--config", "--space")
COMPILER_CACHE = "TORCHINDUCTOR_CACHE_DIR"
UNUSED = ("matplotlib", "scipy", "torchvision")  # torchmetrics loads them for plots and metrics that are not used here


class VersionError(Exception):
    """A package is missing, or older than what this project needs."""


def usage(program: str, about: str, commands: Mapping[str, str]) -> str:
    """The text of `--help` of a program that has commands."""
    width = max(map(len, commands))
    lines = "\n".join(f"  {name:{width}}  {line}" for name, line in commands.items())
    last = f"{program} COMMAND --help lists a command's options."
    return f"usage: {program} COMMAND [options]\n\n{about}\n\n{lines}\n\n{last}"


def check_versions() -> None:
    """Raises a VersionError for a Python or torch that is older than `RANGES` allow; only warns of a newer one."""
    from packaging.specifiers import SpecifierSet

    try:
        found = {"Python": platform.python_version(), "torch": version("torch")}
    except PackageNotFoundError as error:
        raise VersionError(f"{error.name} is not installed: pip install -r requirements.txt") from error
    for name, needed in RANGES.items():
        if SpecifierSet(needed).contains(found[name], prereleases=True):
            continue
        problem = f"{name} {found[name]} is not among the versions that lit_a1 allows ({needed})"
        if not SpecifierSet(needed.partition(",")[0]).contains(found[name], prereleases=True):
            raise VersionError(f"{problem}: it is too old.")
        print(f"{problem}: it is newer, and may work.", file=sys.stderr)


def check_compiler_cache() -> None:
    """Goes on with torch's own folder where TORCHINDUCTOR_CACHE_DIR can't be made: torch would fail at import."""
    if folder := os.environ.get(COMPILER_CACHE):
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            del os.environ[COMPILER_CACHE]
            problem = f"{COMPILER_CACHE} names {folder}, which can't be made ({error.strerror})"
            print(f"{problem}: torch's own folder is used for compiled code.", file=sys.stderr)


def with_shipped_yamls(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the path of a YAML of the project where its name is given and no such file is there.

    `--config catsdogs.yaml` and `--config configs/catsdogs.yaml` thus mean the same in any folder.

    Raises:
        UsageError: names the YAML that was probably meant by one that is not there.
    """
    completed = list(arguments)
    for index, (previous, argument) in enumerate(itertools.pairwise(["", *arguments])):
        flag, equals, name = ("", "", argument) if previous in NAMES_A_YAML else argument.partition("=")
        if not (previous in NAMES_A_YAML or flag in NAMES_A_YAML) or Path(name).exists():
            continue
        configs = REPOSITORY / "configs"
        path = configs / name.removeprefix("configs/")
        if path.is_file():
            shown_path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            completed[index] = f"{flag}{equals}{shown_path}"
        elif path.suffix in (".yaml", ".yml"):
            from lit_a1.runs.settings import UsageError  # not needed where all is well
            from lit_a1.runs.wording import suggestion

            yamls = [Path("configs", yaml.relative_to(configs)) for yaml in sorted(configs.rglob("*.yaml"))]
            yamls += sorted(Path(name).parent.glob("*.yaml"))
            word, *words = (yaml.with_suffix("").as_posix() for yaml in (Path(name), *yamls))
            if nearest := suggestion(word, words, "{}.yaml"):
                raise UsageError(f"there is no file {name}{nearest}")
    return completed


def import_lightning(only_help: bool = False) -> None:
    """Imports Lightning, and torchmetrics with it, as if `UNUSED` were not installed.

    Where nothing but help is wanted, torch's compiler, which Lightning loads for two names, is left out too.
    """
    from lightning_utilities.core import imports

    is_met, is_there = imports.RequirementCache.__bool__, imports.package_available
    if only_help:
        compiler = ModuleType("torch._dynamo")
        compiler.__dict__.update(OptimizedModule=object, disable=lambda function, *_, **__: function)
        sys.modules.setdefault("torch._dynamo", compiler)
    gc.disable()  # modules are not garbage, and looking through them takes a tenth of the time
    try:
        with (
            patch.object(imports.RequirementCache, "__bool__", lambda it: it.requirement not in UNUSED and is_met(it)),
            patch.object(imports, "package_available", lambda name: name not in UNUSED and is_there(name)),
        ):
            import lightning.pytorch.cli  # noqa: F401
    finally:
        gc.freeze()  # nor are they later on
        gc.enable()
