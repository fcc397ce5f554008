"""`python main.py mlp COMMAND`: the numpy network's command line."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from lit_a1.data.mnist import Wanted
from lit_a1.environment import show_messages
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Setup
from lit_a1.runs.folders import CheckpointError, resolve
from lit_a1.runs.settings import PARTS, Parser, UsageError, concise, kind_of_config, recipe_of, without_checkpoint
from lit_a1.runs.wording import typed
from lit_a1.shipped import PROGRAM

COMMANDS = {
    "fit": "train the network: --config configs/mlp.yaml",
    "test": "measure trained weights on the validation and test pictures",
    "inits": "compare the zero, normal and Glorot initializations",
    "search": "try hyper-parameters, and keep every trial with its validation accuracy",
    "gradcheck": "compare backpropagation with finite differences",
}
SOURCE = "auto (what is on disk, else fetched, else drawn digits), real (never drawn ones) or drawn"
EPOCHS = {"fit": 20, "test": 20}  # and 10 elsewhere, as the assignment asks
CHECKPOINT = {
    "fit": "go on with a stopped run: `last`, or its last.npz",
    "test": "the weights: a .npz file; `best` or `last` of the newest run (default: best)",
    "gradcheck": "the weights: a .npz file; `best` or `last` of the newest run (default: a network is trained first)",
}


def parser_of(command: str) -> Parser:
    """The parser of a command, with every hyper-parameter of `NN` as a flag and a key of the YAML."""
    parser = Parser(prog=f"{PROGRAM} mlp {command}", description=f"{COMMANDS[command].capitalize()}.")
    parser.add_argument("-c", "--config", action="config", help="a YAML of these settings")
    parser.add_argument("--seed_everything", type=NonNegativeInt, default=0, help="initial weights, order, dropout")
    fixed = {"input_dim", "n_classes", "n_hidden", "mode", "datapath", "model_path", "epochs", "seed", "dtype"}
    parser.add_class_arguments(NN, "model", skip=fixed, instantiate=False)
    parser.add_argument("--data.source", type=Wanted, default="auto", help=SOURCE)
    parser.add_argument("--trainer.max_epochs", type=PositiveInt, default=EPOCHS.get(command, 10), help="epochs")
    parser.add_argument("--trainer.save_dir", type=str, default="lightning_logs", help="the folder of all runs")
    parser.add_argument("--trainer.name", type=str, default="mlp", help="of the experiment: its folder in save_dir")
    if command == "inits":
        parser.set_defaults({"model.lr": 0.02})  # at 0.1 a net with standard normal weights diverges in its first epoch
    if command in CHECKPOINT:
        parser.add_argument("--ckpt_path", type=str | None, default=None, help=CHECKPOINT[command])
    if command == "search":
        parser.add_argument("--trials", type=PositiveInt, default=30, help="networks to try, earlier ones included")
        parser.add_argument("--study", type=Path | None, default=None, help="the folder of a study to go on with")
    if command == "gradcheck":
        parser.add_argument("--sample", type=NonNegativeInt, default=0, help="which training picture is looked at")
    return parser


def setup_of(config: Namespace, command: str) -> Setup:
    """What a command is set to; a study's runs have a folder of their own.

    Raises:
        UsageError: as `NN` raises ValueError.
    """
    name = config.trainer.name + ("" if command in EPOCHS else f"-{command}")
    setup = Setup(
        config.model.as_dict(),
        config.seed_everything,
        config.trainer.max_epochs,
        config.data.source,
        Path(config.trainer.save_dir),
        name,
    )
    try:
        setup.network()  # refuses what does not fit before anything is read or written
    except ValueError as error:
        raise UsageError(f"{error}") from error
    return setup


def parse(arguments: Sequence[str]) -> Namespace:
    """The settings of a command, defaults included, without running it."""
    return parser_of(arguments[0]).parse_args(list(arguments[1:]))


def main(arguments: Sequence[str]) -> None:
    """Runs a command of the numpy network.

    Raises:
        SystemExit: with a sentence, where something was wrong with the input.
        DataError: as `load_mnist`.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {name:9}  {words}" for name, words in COMMANDS.items())
        print(f"usage: {PROGRAM} mlp COMMAND [options]\n\nA multilayer perceptron in numpy, on MNIST.\n")
        print(f"{lines}\n\n{PROGRAM} mlp COMMAND --help lists a command's options.")
        raise SystemExit(0 if arguments else 2)
    if arguments[0] not in COMMANDS:
        print(f"error: mlp has no command {arguments[0]!r}; it has {', '.join(COMMANDS)}.", file=sys.stderr)
        raise SystemExit(2)
    try:
        _run(arguments[0], arguments[1:])
    except (CheckpointError, UsageError, OSError) as error:
        print(f"error: {concise(str(error))}", file=sys.stderr)
        raise SystemExit(1) from error


def _run(command: str, arguments: Sequence[str]) -> None:
    if (kind := kind_of_config(arguments)) is not None and kind[1] != "mlp":
        raise UsageError(f"{kind[0]} is for `{PROGRAM} {kind[1]}`, not for the numpy network")
    parser = parser_of(command)
    config = parser.parse_args(list(arguments))
    setup = setup_of(config, command)
    show_messages()
    if command == "inits":
        from lit_a1.studies.inits.study import run

        run(setup)
    elif command == "search":
        from lit_a1.studies.search.mlp import objective
        from lit_a1.studies.search.study import run as search

        search(objective(setup), config.trials, config.study)
    elif command == "gradcheck":
        from lit_a1.studies.gradcheck.study import run as check

        check(setup, _weights(config, setup) if config.ckpt_path else None, config.sample)
    elif command == "test":
        from lit_a1.mlp.loop import test

        test(setup.network(), setup.digits(), _weights(config, setup))
    else:
        from lit_a1.mlp.loop import Fit

        checkpoint = _weights(config, setup, resume=True) if config.ckpt_path else None
        settings = recipe_of(config) | {"seed": setup.seed}
        shown = Namespace({part: config[part] for part in ("seed_everything", *PARTS)})
        text = parser.dump(shown, skip_validation=True)
        Fit(setup, settings, text, typed(*without_checkpoint(arguments)), checkpoint).run()


def _weights(config: Namespace, setup: Setup, *, resume: bool = False) -> Path:
    """The file that `--ckpt_path` means."""
    runs = replace(setup, name=config.trainer.name).runs(setup.mnist.drawn)
    return resolve(config.ckpt_path, runs, resume=resume, suffix=".npz")
