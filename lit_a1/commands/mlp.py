"""`python main.py mlp COMMAND`: the numpy network's command line."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import Namespace

from lit_a1.environment import PROGRAM, show_messages
from lit_a1.mlp.options import COMMANDS, build_parser, parse, setup_of
from lit_a1.mlp.setup import Setup
from lit_a1.runs.folders import resolve
from lit_a1.runs.settings import PARTS, UsageError, kind_of_config, recipe_of, without_checkpoint
from lit_a1.runs.wording import suggestion, typed
from lit_a1.startup import usage


def main(arguments: Sequence[str]) -> None:
    """Runs a command of the numpy network."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(f"{PROGRAM} mlp", "A multilayer perceptron in numpy, on MNIST.", COMMANDS))
        raise SystemExit(0 if arguments else 2)
    command, *options = arguments
    if command not in COMMANDS:
        raise UsageError(f"mlp has no command {command!r}; it has {', '.join(COMMANDS)}{suggestion(command, COMMANDS)}")
    yaml_path, yaml_command = kind_of_config(options) or (None, "mlp")
    if yaml_command != "mlp":
        raise UsageError(f"{yaml_path} is for `{PROGRAM} {yaml_command}`, not for the numpy network")
    config = parse(arguments)
    setup = setup_of(config, command)
    show_messages()
    if command == "inits":
        from lit_a1.studies.inits.study import run

        run(setup)
    elif command == "search":
        from lit_a1.studies.search.mlp import objective
        from lit_a1.studies.search.shared import run as search

        search(objective(setup), config.trials, config.study, config.storage)
    elif command == "gradcheck":
        from lit_a1.studies.gradcheck.study import run as check

        check(setup, _checkpoint_path(config, setup) if config.ckpt_path else None, config.sample)
    elif command == "export":
        from lit_a1.commands.export import write_files
        from lit_a1.export.networks import load_mlp

        write_files(config.out, *load_mlp(setup, config.ckpt_path))
    elif command == "test":
        from lit_a1.mlp.loop import test

        path = _checkpoint_path(config, setup)
        test(setup.like(path).network(), setup.digits(), path)
    else:
        from lit_a1.mlp.loop import Fit

        checkpoint = _checkpoint_path(config, setup, resume=True) if config.ckpt_path else None
        settings = recipe_of(config) | {"seed": setup.seed}
        parts = Namespace({part: config[part] for part in ("seed_everything", *PARTS)})
        text = build_parser(command).dump(parts, skip_validation=True)
        Fit(setup, settings, text, typed(*without_checkpoint(options)), checkpoint).run()


def _checkpoint_path(config: Namespace, setup: Setup, *, resume: bool = False) -> Path:
    """The file that `--ckpt_path` names."""
    runs = replace(setup, name=config.trainer.name).runs(setup.mnist.drawn)
    return resolve(config.ckpt_path, runs, resume=resume, suffix=".npz")
