"""Trained weights for lit_a1/pretrained/: those of a run in half precision, measured, and what is known of them.

python docs/publish.py lightning_logs/catsdogs/version_0    # the last epoch's; writes catsdogs.ckpt and catsdogs.json
python docs/publish.py lightning_logs/catsdogs/version_0 --checkpoint best.ckpt

The best epoch is chosen on the photos that its error is measured on, the last one is not.
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
from lit_a1.environment import (  # noqa: E402
    cpu,
    quieten,
    versions,
)
from lit_a1.models import Classifier  # noqa: E402
from lit_a1.report import recipes  # noqa: E402
from lit_a1.runs import folders as runs  # noqa: E402
from lit_a1.runs.checkpoints import check_fits, read  # noqa: E402
from lit_a1.runs.records import CheckpointError, read_record  # noqa: E402
from lit_a1.runs.settings import NO_PART_OF_THE_RECIPE, PARTS, build  # noqa: E402
from lit_a1.training import TrainingCLI, parse  # noqa: E402

CONFIGS = ROOT / "configs"
LIMIT = 12_000_000  # bytes that all files in lit_a1/pretrained/ may take
ROOM_FOR_JSON = 10_000
SAMPLE = 6000  # training photos that the familiar ones are described by
FROM_RECORD = ("parameters", "seconds", "peak_memory_gb", "machine", "versions", "commit", "finished")
FOR_RESUMING = ("optimizer_states", "lr_schedulers", "callbacks", "loops")


def record_of_run(run: Path) -> dict[str, Any]:
    """The record of a run that may be published.

    Raises:
        CheckpointError: there is no sound record, the images were drawn, or nobody can tell which code trained.
    """
    record = read_record(run)
    if run.parent.name.endswith("-drawn") or record["settings"].get("data.source") == "drawn":
        raise CheckpointError(f"{run} was trained on drawn images: only weights of real ones are published.")
    if not re.fullmatch("[0-9a-f]{7,40}", commit := record["commit"]):
        state = "with changes that are in no commit" if "+" in commit else "outside a checkout"
        if " and " in commit:
            state = f"at {commit}"
        raise CheckpointError(f"{run} was trained {state}: train it again at a commit, so that it can be repeated.")
    return record


def halved(checkpoint: dict[str, Any], parameters: Collection[str]) -> dict[str, Any]:
    """A checkpoint with the weights that are evaluated alone, without what only resuming needs.

    Its `net` and `average.net`, where there is an average, share their tensors. The `parameters`, named as in the
    network, become float16; running statistics and counters stay.

    Raises:
        CheckpointError: a weight is not finite, or too large for float16.
    """
    state, nets = checkpoint["state_dict"], ("net.", "average.net.")
    averaged = any(name.startswith("average.net.") for name in state)
    evaluated = nets[averaged]
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(nets)}
    for name, tensor in state.items():
        if not name.startswith(evaluated):
            continue
        inner = name.removeprefix(evaluated)
        tensor = tensor.half() if inner in parameters else tensor.clone()
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{inner} is not finite in half precision: these weights can't be published.")
        kept |= {net + inner: tensor for net in nets[: 1 + averaged]}
    return {key: value for key, value in checkpoint.items() if key not in FOR_RESUMING} | {"state_dict": kept}


def check_room(folder: Path, name: str, size: int) -> None:
    """Refuses weights of `size` bytes that don't fit into the folder beside the others.

    Raises:
        CheckpointError: says how large they are.
    """
    others = sum(path.stat().st_size for path in folder.glob("*") if path.stem != name)
    if others + size + ROOM_FOR_JSON > LIMIT:
        raise CheckpointError(
            f"{name}.ckpt would take {size / 1e6:.1f} MB beside {others / 1e6:.1f} MB of others: {folder} may hold "
            f"{LIMIT / 1e6:g} MB."
        )


def flags_of(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The flags that turn a YAML's settings (`theirs`) into a run's, both nested; what only the YAML holds is newer."""
    for name, value in ours.items():
        flag = prefix if name == "init_args" else f"{prefix}.{name}".lstrip(".")
        if value == theirs.get(name) or flag.startswith(NO_PART_OF_THE_RECIPE):
            continue
        if isinstance(value, dict) and value and all(map(str.isidentifier, value)):
            yield from flags_of(value, theirs.get(name) or {}, flag)
        else:  # size_schedule, whose keys are epochs, is one value
            yield from (f"--{flag}", value if isinstance(value, str) else json.dumps(value))


def command_of(run: Path, config: Path, seed: int) -> str:
    """How a user would type what trained a run: a YAML of the repository, and flags where the run was set otherwise."""

    def plain(settings: Any) -> dict[str, Any]:
        return json.loads(json.dumps({part: settings[part] for part in PARTS}, default=str))

    theirs = plain(parse(["fit", "--config", str(config)]).as_dict())
    flags = flags_of(plain(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))), theirs)
    return shlex.join(
        ["python", "main.py", "fit", "--config", f"configs/{config.name}", "--seed_everything", str(seed), *flags]
    )


def builds_on(settings: dict[str, Any]) -> list[str]:
    """The experiments that a run started from or learnt from, and what these build on as they are shipped."""
    direct = {name for option in recipes.WEIGHTS for name in recipes.experiments(settings.get(option))}
    return sorted(direct.union(*map(recipes.builds_on, direct)))


def evaluate(command: str, config: Path, checkpoint: str, *flags: str) -> TrainingCLI:
    """Runs `validate` or `predict` as the command line does, on the real images and on the CPU."""
    options = ["--data.source", "real", "--trainer.accelerator", "cpu", "--ckpt_path", checkpoint]
    return TrainingCLI([command, "--config", str(config), *options, *flags])


def error_of(validated: TrainingCLI) -> float:
    """The validation error that a command measured."""
    return round(float(validated.trainer.callback_metrics["val/error"]), 6)


def submission(config: Path) -> dict[str, Any]:
    """What the published weights write of the test images: rows, sha256, and the smallest margin of an image.

    The margin is half the difference of the two largest probabilities: of two classes, how far both are from 0.5.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "submission.csv")
        evaluate("predict", config, "pretrained", "--submission", str(path))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with path.with_stem("submission_probabilities").open(newline="", encoding="utf-8") as file:
            rows = [sorted(map(float, row[1:])) for row in list(csv.reader(file))[1:]]
    margin = round(min(row[-1] - row[-2] for row in rows) / 2, 6)
    return {"test_images": len(rows), "submission_sha256": digest, "smallest_margin": margin}


def familiarity(config: Path, weights: Path) -> dict[str, Any]:
    """What the demo judges photos by: the temperature, and where training photos lie (`Familiarity`)."""
    data = build(ImageDataModule, parse(["validate", "--config", str(config), "--data.source", "real"]).data)
    network, train = load_network(config.stem, weights, data), data.sets["train"]
    rows = np.sort(np.random.default_rng(0).permutation(train.index)[:SAMPLE])
    return note_of(network, np.asarray(train.images)[rows], np.asarray(train.labels)[rows].astype(np.int64))


def publish(run: Path, checkpoint: str = "last.ckpt") -> dict[str, Any]:
    """Writes NAME.ckpt and NAME.json from a run, lightning_logs/NAME/version_N; leaves nothing where it fails.

    Returns:
        what NAME.json holds.

    Raises:
        CheckpointError: the run can't be published, or configs/NAME.yaml builds another network.
        DataError: there are no real images to measure the weights on.
    """
    run = run.resolve()
    record, name = record_of_run(run), run.parent.name
    config = CONFIGS / f"{name}.yaml"
    if not config.is_file():
        raise CheckpointError(f"There is no {config}: {name} is not an experiment of this repository.")
    source = runs.resolve(str(run / "checkpoints" / checkpoint), run.parent)
    shipped = parse(["fit", "--config", str(config)])
    if record["settings"].get("model.views") != shipped.model.init_args.views:
        raise CheckpointError(f"{run} was measured with other views than {config.name} has: its figures are not those.")
    whole, model = read(source), build(Classifier, shipped.model)
    check_fits(whole, model, source)
    assert isinstance(model.net, torch.nn.Module)
    content = io.BytesIO()
    torch.save(halved(whole, dict(model.net.named_parameters())), content)
    check_room(runs.PRETRAINED, name, len(content.getvalue()))

    whole_precision = evaluate("validate", config, str(source))
    about = {
        "command": command_of(run, config, record["seed"]),
        "config": f"configs/{config.name}",
        "builds_on": builds_on(record["settings"]),
        "seed": record["seed"],
        "epochs": len(record["epochs"]),
        "checkpoint": checkpoint,
        "checkpoint_epoch": whole["epoch"] + 1,
        **{key: record[key] for key in FROM_RECORD},
        "val_images": len(whole_precision.datamodule.sets["val"]),
        "val_error_full_precision": error_of(whole_precision),
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "bytes": len(content.getvalue()),
    }
    paths = [runs.PRETRAINED / f"{name}{suffix}" for suffix in (".ckpt", ".json")]
    with ExitStack() as undo:
        for path in paths:
            before = partial(path.write_bytes, path.read_bytes()) if path.exists() else partial(path.unlink, True)
            undo.callback(before)
        with replacing(paths[0]) as unfinished:
            unfinished.write_bytes(content.getvalue())
        write_text(paths[1], json.dumps(about))  # `pretrained` compares the sha256
        after = evaluate("validate", config, "pretrained")
        about["val_error"] = error_of(after)
        if "predict" in after.datamodule.next_commands:
            about |= submission(config) | familiarity(config, paths[0])
        about["measured_on"] = {"machine": cpu(), "versions": versions()}
        write_text(paths[1], json.dumps(about, indent=1) + "\n")
        undo.pop_all()
    return about


def main() -> None:
    """Publishes the weights of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="its folder, lightning_logs/NAME/version_N")
    parser.add_argument("--checkpoint", default="last.ckpt", help="last.ckpt (default) or best.ckpt")
    options = parser.parse_args()
    quieten()
    try:
        about = publish(options.run, options.checkpoint)
    except (CheckpointError, DataError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    name = Path(about["config"]).stem
    print(
        f"{runs.PRETRAINED / name}.ckpt: {about['bytes'] / 1e6:.2f} MB, validation error {about['val_error']:.2%} "
        f"({about['val_error_full_precision']:.2%} before rounding)."
    )
    if "submission_sha256" in about:
        print(f"submission.csv: sha256 {about['submission_sha256']}, smallest margin {about['smallest_margin']}.")


if __name__ == "__main__":
    main()
