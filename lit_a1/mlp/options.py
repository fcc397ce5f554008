"""The options of the numpy network's commands."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from lit_a1.data.mnist import SourceName
from lit_a1.environment import PROGRAM
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Setup
from lit_a1.runs.settings import STORAGE, Parser, UsageError, check_trainer

COMMANDS = {
    "fit": "train the network: --config configs/mlp.yaml",
    "test": "measure trained weights on the validation and test images",
    "inits": "compare the zero, normal and Glorot initializations",
    "search": "try hyperparameters, and keep every trial with its validation accuracy",
    "gradcheck": "compare backpropagation with finite differences",
    "export": "write trained weights as ONNX and safetensors, with a model card",
}
SOURCE = "auto (what is on disk, else fetched, else drawn digits), real (never drawn ones) or drawn"
STUDIES = ("inits", "search", "gradcheck")
WEIGHTS = "the weights: a .npz file; `best` or `last` of the newest run; or `pretrained`, which come with the project"
CHECKPOINT = {
    "fit": "resume a stopped run: `last`, or its last.npz",
    "test": f"{WEIGHTS} (default: best)",
    "export": f"{WEIGHTS} (default: best)",
    "gradcheck": f"{WEIGHTS} (default: a network is trained first)",
}


def build_parser(command: str) -> Parser:
    """The parser of a command, with every hyperparameter of `NN` as a flag and a YAML key."""
    parser = Parser(prog=f"{PROGRAM} mlp {command}", description=f"{COMMANDS[command].capitalize()}.")
    parser.add_argument("-c", "--config", action="config", help="a YAML of these settings")
    parser.add_argument("--seed_everything", type=NonNegativeInt, default=0, help="initial weights, order, dropout")
    fixed = {"input_dim", "n_classes", "n_hidden", "mode", "datapath", "model_path", "epochs", "seed", "dtype"}
    parser.add_class_arguments(NN, "model", skip=fixed, instantiate=False)
    parser.add_argument("--data.source", type=SourceName, default="auto", help=SOURCE)
    epochs = 10 if command in STUDIES else 20  # 10 as the assignment asks
    parser.add_argument("--trainer.max_epochs", type=PositiveInt, default=epochs, help="epochs")
    parser.add_argument("--trainer.save_dir", type=str, default="lightning_logs", help="the folder of all runs")
    parser.add_argument("--trainer.name", type=str, default="mlp", help="of the experiment: its folder in save_dir")
    if command == "inits":
        parser.set_defaults({"model.lr": 0.02})  # at 0.1 a net with standard normal weights diverges in its first epoch
    if command in CHECKPOINT:
        parser.add_argument("--ckpt_path", type=str | None, default=None, help=CHECKPOINT[command])
    if command == "export":
        parser.add_argument("--out", type=Path | None, default=None, help="folder of the files (default: export/NAME)")
    if command == "search":
        parser.add_argument("--trials", type=PositiveInt, default=40, help="number of trials, earlier ones included")
        parser.add_argument(
            "--study", type=Path | None, default=None, help="a study to resume: its folder, or its name in the storage"
        )
        parser.add_argument("--storage", type=str | None, default=None, help=STORAGE)
    if command == "gradcheck":
        parser.add_argument("--sample", type=NonNegativeInt, default=0, help="index of the training image to use")
    return parser


def setup_of(config: Namespace, command: str) -> Setup:
    """The settings of a command; a study has its own folder. Raises a UsageError if `NN` refuses them."""
    trainer = config.trainer
    name = f"{trainer.name}-{command}" if command in STUDIES else trainer.name
    model, save_dir = config.model.as_dict(), Path(trainer.save_dir)
    setup = Setup(model, config.seed_everything, trainer.max_epochs, config.data.source, save_dir, name)
    try:
        setup.network()  # refuses wrong values before anything is read or written
    except ValueError as error:
        raise UsageError(f"{error}") from error
    return setup


def parse(arguments: Sequence[str]) -> Namespace:
    """The settings of a command, with defaults, without running it."""
    parser = build_parser(arguments[0])
    settings = parser.parse_args(list(arguments[1:]))
    check_trainer(parser, settings, "max_epochs", "save_dir", "name")
    return settings
