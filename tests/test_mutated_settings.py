"""Settings that nobody would write: each runs, or ends in a sentence that names the key."""

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from lit_a1.cli import main
from tests.conftest import CONFIGS, Refusal

EXTREMES = [-1, 0, 1, 2, 7, 10**9, -(10**9), 10**18, 10**40, 0.5, -0.5, 1e-300, 1e30, 1e308, float("inf"), float("nan")]
OTHERS: list[Any] = [None, True, False, "", "auto", "nonsense", "été", "\0", [], [1], [-1, 0.5], ["x"], [[]]]
OTHERS += [{}, {"x": 1}, {0: -1}]
QUICK = {
    "trainer": {"accelerator": "cpu"},
    "model": {"widths": [4, 8], "blocks": [1], "compile_net": False, "precise_bn": 8},
    "data": {"batch_size": 8, "eval_batch_size": 8, "n_valid": 16, "measure_train": 8, "keep_on_device": False},
}
CASES, CHUNKS = 500, 25
Path_ = tuple[str | int, ...]


def shipped(name: str) -> dict[str, Any]:
    """A YAML of the project, with a tiny network."""
    settings = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    if name == "mlp":
        settings["model"] |= {"hidden_dims": [8, 6], "parameter_range": [1, 10**4]}
        settings["trainer"]["max_epochs"] = 1
        return settings
    settings["trainer"] |= QUICK["trainer"]
    for part in ("model", "data"):
        own = settings[part]["init_args"]
        own |= {key: value for key, value in QUICK[part].items() if key in own}
    return settings


def leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The paths of all that a YAML sets."""
    if path and path[-1] != "devices":  # more than one are processes of their own
        yield path
    if isinstance(value, dict) and path[-1:] != ("size_schedule",):
        for key in value:
            yield from leaves(value[key], (*path, key))


def parent(settings: dict[str, Any], path: Path_) -> dict[str, Any]:
    for key in path[:-1]:
        settings = settings[key]
    return settings


def keys_of(value: Any) -> set[str]:
    """The names below a setting, of which a sentence may name one instead."""
    below = value.values() if isinstance(value, dict) else ()
    return {str(key) for key in value if isinstance(value, dict)}.union(*map(keys_of, below)) if below else set()


def spoil(value: Any, rng: random.Random) -> Any:
    """Something else in the place of a value, or the value with a part of it spoilt."""
    if isinstance(value, list) and value and rng.random() < 0.6:
        place, changed = rng.randrange(len(value)), list(value)
        changed[place] = rng.choice(EXTREMES + OTHERS)
        return rng.choice((changed, changed[:place], value * 2, value[::-1]))
    if isinstance(value, bool | int | float) and rng.random() < 0.6:
        return rng.choice(EXTREMES)
    if isinstance(value, float) and rng.random() < 0.5:
        return value * rng.choice((0.1, 0.5, 2, 3))
    return rng.choice(EXTREMES + OTHERS)


def mutated(case: int) -> tuple[str, dict[str, Any], list[str], set[str]]:
    """The command, its YAML, its flags, and the keys that are not as they were."""
    rng = random.Random(case)
    name = rng.choice(("catsdogs", "catsdogs_best", "mnist", "mnist_fast", "mlp"))
    settings, flags, touched = shipped(name), [], set()
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(list(leaves(settings)))
        holder, key = parent(settings, path), path[-1]
        old = copy.deepcopy(holder[key])
        match rng.choices(("yaml", "flag", "remove", "unknown"), (5, 5, 2, 1))[0]:
            case "yaml":
                holder[key] = spoil(copy.deepcopy(holder[key]), rng)
            case "flag" if not isinstance(holder[key], dict):
                dotted = ".".join(str(part) for part in path if part != "init_args")
                flags += [
                    f"--{dotted}={yaml.safe_dump(spoil(holder[key], rng), default_flow_style=True).split(chr(10))[0]}"
                ]
            case "remove":
                del holder[key]
            case "unknown":
                holder["nobody_knows_this"] = 1
                touched.add("nobody_knows_this")
        touched |= {str(key)} if key not in ("class_path", "init_args") else {str(key), str(path[-2])}
        touched |= keys_of(old) | keys_of(holder.get(key)) | (keys_of(holder) if key == "class_path" else set())
    command = "mlp fit" if name == "mlp" else "fit"
    return command, settings, flags, touched


def try_out(case: int, capsys: Any) -> str | None:
    """Runs a case; what is wrong with its end, if anything."""
    command, settings, flags, touched = mutated(case)
    Path("mutated.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    quick = ["--trainer.max_epochs=1"] if command == "mlp fit" else ["--trainer.fast_dev_run=true"]
    about = f"case {case}: {flags} of {sorted(touched)}"
    try:
        main([*command.split(), "--config", "mutated.yaml", *flags, *quick])
    except SystemExit as leaving:
        said = capsys.readouterr().err.strip().splitlines() or [""]
        if leaving.code in (0, None) or not said[-1].startswith("error: ") or len(said[-1]) > 500:
            return f"{about}: left with {leaving.code}, saying {said[-1]!r}"
        if not any(key in said[-1] for key in (*touched, "null byte")):
            return f"{about}: names no key: {said[-1]}"
    except BaseException as error:
        return f"{about}: {type(error).__name__}: {error}"
    capsys.readouterr()
    return None


@pytest.fixture
def files(photos: Path, mnist_files: Callable[..., Path]) -> None:
    """Small photos and digits."""
    mnist_files(photos / "mnist")


@pytest.fixture
def within_three_gigabytes() -> Iterator[None]:
    """More memory is refused to this process."""
    resource = pytest.importorskip("resource")
    used, before = psutil.Process().memory_info().vms, resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("files", "within_three_gigabytes")
@pytest.mark.parametrize(
    "cases", [range(5), *(pytest.param(range(n, CASES, CHUNKS), marks=pytest.mark.long) for n in range(CHUNKS))]
)
def test_mutated_settings_run_or_are_refused_by_name(cases: range, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [said for case in cases if (said := try_out(case, capsys))]
    assert not wrong, "\n".join(wrong)


GIANT = 10**9
EXTREME = {  # values that are impossible, or would need all the memory or processes of a machine
    "fit": [
        *(f"model.widths=[{GIANT},8]", f"model.widths=[4,{GIANT}]", f"model.blocks=[{GIANT}]", "model.dropout=2"),
        *(f"data.size={GIANT}", f"data.size_schedule={{0: {GIANT}}}", f"data.decode_size={GIANT}", "data.augment=7"),
        *(f"data.workers={GIANT}", f"trainer.devices={GIANT}", f"model.stem_stride={GIANT}", "model.lr=null"),
        *("model.average_decay=-1", "model.std=[1e-30,1,1]", "model.mean=[1e30,1,1]"),
    ],
    "mlp fit": [f"model.hidden_dims=[{GIANT}]", "model.lr=null", "trainer.max_epochs=null", "model.batch_size=-1"],
}


@pytest.mark.long
@pytest.mark.usefixtures("files", "within_three_gigabytes")
@pytest.mark.parametrize(("command", "flag"), [(command, flag) for command, flags in EXTREME.items() for flag in flags])
def test_what_no_machine_could_do_is_refused_by_name(command: str, flag: str, refusal: Refusal) -> None:
    """Before anything is built."""
    Path("tiny.yaml").write_text(
        yaml.safe_dump(shipped("mlp" if command == "mlp fit" else "catsdogs")), encoding="utf-8"
    )
    more = ["--model.parameter_range=[1,1000000000000000]"] if command == "mlp fit" else []
    key = flag.partition("=")[0].rpartition(".")[2]
    assert key in refusal(*command.split(), "--config", "tiny.yaml", f"--{flag}", *more)
