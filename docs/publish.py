"""Publishes trained weights in lit_a1/pretrained/: a run's weights in half precision, measured, with a note on them.

python docs/publish.py lightning_logs/catsdogs/version_0    # the last epoch's; writes catsdogs.ckpt and catsdogs.json
python docs/publish.py lightning_logs/catsdogs/version_0 --checkpoint best
python docs/publish.py lightning_logs/mlp/version_0         # of the numpy network: writes mlp.npz and mlp.json

The best epoch is chosen on the photos that its error is measured on; the last epoch is not.
"""

import argparse
import csv
import hashlib
import io
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lit_a1.analysis.familiarity import note_of  # noqa: E402
from lit_a1.analysis.network import load_network  # noqa: E402
from lit_a1.data.errors import DataError  # noqa: E402
from lit_a1.data.files import replacing, write_text  # noqa: E402
from lit_a1.data.module import ImageDataModule  # noqa: E402
from lit_a1.environment import cpu, quieten, versions  # noqa: E402
from lit_a1.mlp import loop  # noqa: E402
from lit_a1.mlp import options as mlp  # noqa: E402
from lit_a1.mlp.setup import Setup, load_weights  # noqa: E402
from lit_a1.models import Classifier  # noqa: E402
from lit_a1.runs import folders as runs  # noqa: E402
from lit_a1.runs.checkpoints import check_fits, read  # noqa: E402
from lit_a1.runs.records import CheckpointError, read_record  # noqa: E402
from lit_a1.runs.settings import NO_PART_OF_THE_RECIPE, PARTS, build, kind_of_config  # noqa: E402
from lit_a1.training import TrainingCLI, parse  # noqa: E402

CONFIGS = ROOT / "configs"
LIMIT = 16_000_000  # largest size in bytes of all files in lit_a1/pretrained/
ROOM_FOR_JSON = 10_000
SAMPLE = 6000  # training photos that describe what is familiar
FROM_RECORD = ("parameters", "seconds", "peak_memory_gb", "machine", "versions", "commit", "finished")
FOR_RESUMING = ("optimizer_states", "lr_schedulers", "callbacks", "loops")


def record_of_run(run: Path) -> dict[str, Any]:
    """The record of a run; raises a CheckpointError if it has none, was on drawn images, or its code is unknown."""
    record = read_record(run)
    if run.parent.name.endswith("-drawn") or record["settings"].get("data.source") == "drawn":
        raise CheckpointError(f"{run} was trained on drawn images: only weights of real ones are published.")
    if not re.fullmatch("[0-9a-f]{7,40}", commit := record["commit"]):
        state = "with changes that are in no commit" if "+" in commit else "outside a checkout"
        if " and " in commit:
            state = f"at {commit}"
        raise CheckpointError(f"{run} was trained {state}: train it again at a commit, so that it can be repeated.")
    return record


def to_half_precision(checkpoint: dict[str, Any], parameters: Collection[str]) -> dict[str, Any]:
    """A checkpoint with only the evaluated weights, without what is only needed to resume.

    Its `net` and, if there is an average, `average.net` share their tensors. The `parameters`, named as in the network,
    become float16; running statistics and counters stay. Raises a CheckpointError if a weight is not finite, or too
    large for float16.
    """
    state, nets = checkpoint["state_dict"], ("net.", "average.net.")
    averaged = any(name.startswith("average.net.") for name in state)
    evaluated = nets[averaged]
    weights = {name: tensor for name, tensor in state.items() if not name.startswith(nets)}
    for name, tensor in state.items():
        if not name.startswith(evaluated):
            continue
        name_in_net = name.removeprefix(evaluated)
        tensor = tensor.half() if name_in_net in parameters else tensor.clone()
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{name_in_net} is not finite in half precision: these weights can't be published.")
        weights |= {net + name_in_net: tensor for net in nets[: 1 + averaged]}
    return {key: value for key, value in checkpoint.items() if key not in FOR_RESUMING} | {"state_dict": weights}


def arrays_to_half_precision(path: Path) -> dict[str, np.ndarray]:
    """The numpy network's weights in float16, without velocity; a CheckpointError if one is too large for float16."""
    with np.load(path, allow_pickle=False) as file, np.errstate(over="ignore"):
        arrays = {name: array.astype(np.float16) if array.dtype.kind == "f" else array for name, array in file.items()}
    if not all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f"):
        raise CheckpointError(f"{path} is not finite in half precision: these weights can't be published.")
    return arrays | {"velocity": np.zeros_like(arrays["velocity"])}


def check_room(folder: Path, file: str, size: int) -> None:
    """Raises a CheckpointError if weights of `size` bytes do not fit into the folder beside the others."""
    others = sum(path.stat().st_size for path in folder.glob("*") if path.stem != Path(file).stem)
    if others + size + ROOM_FOR_JSON > LIMIT:
        raise CheckpointError(
            f"{file} would take {size / 1e6:.1f} MB beside {others / 1e6:.1f} MB of others: {folder} may hold "
            f"{LIMIT / 1e6:g} MB."
        )


def flags_of(settings: dict[str, Any], reference: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The flags that turn a YAML's nested settings (`reference`) into a run's; those only in the YAML are newer."""
    for name, value in settings.items():
        flag = prefix if name == "init_args" else f"{prefix}.{name}".lstrip(".")
        if value == reference.get(name) or flag.startswith(NO_PART_OF_THE_RECIPE):
            continue
        if isinstance(value, dict) and value and all(map(str.isidentifier, value)):
            yield from flags_of(value, reference.get(name) or {}, flag)
        else:  # size_schedule, with epochs as keys, is one value
            yield from (f"--{flag}", value if isinstance(value, str) else json.dumps(value))


def command_of(run: Path, config: Path, seed: int) -> str:
    """The command that trained a run: a YAML of the repository, and flags for settings that differ from it."""

    def to_plain(settings: Any) -> dict[str, Any]:
        return json.loads(json.dumps({part: settings[part] for part in PARTS}, default=str))

    read_yaml, command = (mlp.parse, ("mlp", "fit")) if numpy_setup(config) else (parse, ("fit",))
    yaml_settings = to_plain(read_yaml(["fit", "--config", str(config)]).as_dict())
    flags = flags_of(to_plain(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))), yaml_settings)
    return shlex.join(
        ["python", "main.py", *command, "--config", f"configs/{config.name}", "--seed_everything", str(seed), *flags]
    )


def evaluate(command: str, config: Path, checkpoint: str, *flags: str) -> TrainingCLI:
    """Runs `validate` or `predict` like the command line, on the real images and the CPU."""
    options = ["--data.source", "real", "--trainer.accelerator", "cpu", "--ckpt_path", checkpoint]
    return TrainingCLI([command, "--config", str(config), *options, *flags])


def numpy_setup(config: Path) -> Setup | None:
    """The numpy network that a YAML describes, and the real digits; None if it describes another network."""
    if kind_of_config(["--config", str(config)]) != (str(config), "mlp"):
        return None
    return mlp.setup_of(mlp.parse(["test", "--config", str(config), "--data.source", "real"]), "test")


def measure(config: Path, checkpoint: str) -> dict[str, Any]:
    """Results of weights: `val_images`, `val_error`; also those of `test` for digits, whose test images have labels."""
    if setup := numpy_setup(config):
        path = runs.resolve(checkpoint, Path(config.stem), suffix=".npz")
        metrics = loop.test(setup.network(), setup.digits(), path)
        counts = {"val": len(setup.mnist.valid.labels), "test": len(setup.mnist.test.labels)}
    else:
        cli = evaluate("validate", config, checkpoint, "--data.measure_train", "false")
        counts, metrics = {"val": len(cli.datamodule.sets["val"])}, dict(cli.trainer.callback_metrics)
        if "test" in cli.datamodule.next_commands:
            cli = evaluate("test", config, checkpoint)
            counts["test"] = len(cli.datamodule.sets["test"])
            metrics |= cli.trainer.callback_metrics
    errors = {f"{part}_error": round(float(metrics[f"{part}/error"]), 6) for part in counts}
    return {f"{part}_images": count for part, count in counts.items()} | errors


def submission(config: Path) -> dict[str, Any]:
    """The published weights' submission for the test images: rows, sha256, and the smallest margin of an image.

    The margin is half the difference of the two largest probabilities: with two classes, the distance of both from 0.5.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "submission.csv")
        evaluate("predict", config, "pretrained", "--submission", str(path))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with path.with_stem("submission_probabilities").open(newline="", encoding="utf-8") as file:
            rows = [sorted(map(float, row[1:])) for row in list(csv.reader(file))[1:]]
    margin = round(min(row[-1] - row[-2] for row in rows) / 2, 6)
    return {"test_images": len(rows), "submission_sha256": digest, "smallest_margin": margin}


def content_of(source: Path, config: Path, views: str | None) -> tuple[bytes, int]:
    """What is published of a checkpoint, and its number of epochs of training; raises as `publish`."""
    content = io.BytesIO()
    if setup := numpy_setup(config):
        load_weights(net := setup.network(), source)
        np.savez_compressed(content, **arrays_to_half_precision(source))
        return content.getvalue(), net.epoch
    shipped = parse(["fit", "--config", str(config)])
    if views != shipped.model.init_args.views:
        raise CheckpointError(f"{source} was measured with other views than {config.name} has.")
    checkpoint, model = read(source), build(Classifier, shipped.model)
    check_fits(checkpoint, model, source)
    assert isinstance(model.net, torch.nn.Module)
    torch.save(to_half_precision(checkpoint, dict(model.net.named_parameters())), content)
    return content.getvalue(), checkpoint["epoch"] + 1


def familiarity(config: Path, weights: Path) -> dict[str, Any]:
    """What the demo judges photos by: the temperature, and where training photos lie (`Familiarity`)."""
    data = build(ImageDataModule, parse(["validate", "--config", str(config), "--data.source", "real"]).data)
    network, train = load_network(config.stem, weights, data), data.sets["train"]
    rows = np.sort(np.random.default_rng(0).permutation(train.index)[:SAMPLE])
    return note_of(network, np.asarray(train.images)[rows], np.asarray(train.labels)[rows].astype(np.int64))


def publish(run: Path, checkpoint: str = "last") -> dict[str, Any]:
    """Writes NAME.ckpt (or .npz) and NAME.json from a run, lightning_logs/NAME/version_N; nothing if it fails.

    Returns what NAME.json holds.

    Raises:
        CheckpointError: the run can't be published, or configs/NAME.yaml builds another network.
        DataError: there are no real images to measure the weights on.
    """
    run = run.resolve()
    record, name = record_of_run(run), run.parent.name
    config = CONFIGS / f"{name}.yaml"
    if not config.is_file():
        raise CheckpointError(f"There is no {config}: {name} is not an experiment of this repository.")
    file = name + (".npz" if numpy_setup(config) else ".ckpt")
    source = runs.resolve(str(run / "checkpoints" / Path(checkpoint).with_suffix(Path(file).suffix)), run.parent)
    content, epochs = content_of(source, config, record["settings"].get("model.views"))
    check_room(runs.PRETRAINED, file, len(content))

    full_precision = measure(config, str(source))
    about = {
        "command": command_of(run, config, record["seed"]),
        "config": f"configs/{config.name}",
        "seed": record["seed"],
        "epochs": len(record["epochs"]),
        "checkpoint": source.name,
        "checkpoint_epoch": epochs,
        **{key: record[key] for key in FROM_RECORD},
        "val_images": full_precision["val_images"],
        "val_error_full_precision": full_precision["val_error"],
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    paths = [runs.PRETRAINED / file, runs.PRETRAINED / f"{name}.json"]
    with ExitStack() as undo:
        for path in paths:
            restore = partial(path.write_bytes, path.read_bytes()) if path.exists() else partial(path.unlink, True)
            undo.callback(restore)
        with replacing(paths[0]) as unfinished:
            unfinished.write_bytes(content)
        write_text(paths[1], json.dumps(about))  # `pretrained` compares the sha256
        about |= measure(config, "pretrained")
        if "test_error" not in about:
            about |= submission(config) | familiarity(config, paths[0])
        about["measured_on"] = {"machine": cpu(), "versions": versions()}
        write_text(paths[1], json.dumps(about, indent=1) + "\n")
        undo.pop_all()
    return about


def main() -> None:
    """Publishes the weights of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="its folder, lightning_logs/NAME/version_N")
    parser.add_argument(
        "--checkpoint", default="last", choices=("last", "best"), help="of the last epoch (default), or of the best"
    )
    options = parser.parse_args()
    quieten()
    try:
        about = publish(options.run, options.checkpoint)
    except (CheckpointError, DataError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print(
        f"{runs.PRETRAINED / about['file']}: {about['bytes'] / 1e6:.2f} MB, validation error {about['val_error']:.2%} "
        f"({about['val_error_full_precision']:.2%} before rounding)."
    )
    if "submission_sha256" in about:
        print(f"submission.csv: sha256 {about['submission_sha256']}, smallest margin {about['smallest_margin']}.")


if __name__ == "__main__":
    main()
