import json
import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from lit_a1.analysis import PARTS
from lit_a1.commands.analyze import build_parser as analyze_parser
from lit_a1.commands.compare import build_parser as compare_parser
from lit_a1.mlp.options import parse as parse_mlp
from lit_a1.report import plan
from lit_a1.report.gather import RecordedRuns
from lit_a1.report.plan import Step, missing, plan_text, quick, run
from lit_a1.training import parse
from tests.conftest import REPOSITORY
from tests.report.conftest import LOGS, Add, leave_part, leave_study

OTHER = Path("other/logs")


def names(steps: list[Step]) -> list[str]:
    """`fit catsdogs`, `mlp inits`."""
    short = []
    for step in steps:
        command = " ".join(step.arguments[: 1 + (step.arguments[0] == "mlp")])
        configs = [Path(part).stem for part in step.arguments if part.endswith(".yaml")]
        short.append(" ".join([command, *configs]))
    return short


def test_all_is_missing_at_first_and_comes_in_the_order_that_it_needs() -> None:
    found = names(missing(RecordedRuns(LOGS)))
    assert found == [
        "mlp fit mlp", "mlp test mlp", "mlp inits", "mlp gradcheck", "mlp search",
        "fit mnist_plain", "test mnist_plain", "fit mnist", "test mnist", "compare",
        "mlp fit mlp_ablation", "fit mnist_ablation", "compare", "analyze mnist_plain", "audit",
        "fit catsdogs", "analyze catsdogs", "fit catsdogs_best", "analyze catsdogs_best",
        "validate catsdogs_ensemble",
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def _has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)


@pytest.mark.parametrize("drawn", [False, True])
def test_without_a_gpu_a_recipe_for_one_is_not_trained(
    drawn: bool, add_run: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its published weights stand in for it, on the photos that they were trained for."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    found = missing(RecordedRuns(LOGS, drawn, drawn))
    assert names(found)[-3:] == ["fit catsdogs", "analyze catsdogs", "validate catsdogs_ensemble"]
    members = json.loads(found[-1].arguments[found[-1].arguments.index("--model.members") + 1])
    assert [Path(member).name for member in members] == (
        ["catsdogs-drawn"] if drawn else ["catsdogs", "catsdogs_best.ckpt"]
    )
    if not drawn:
        assert all(Path(member).is_file() for member in members[1:])
        add_weights(add_run("catsdogs_best", [0.1], settings={"trainer.max_epochs": 1}))  # a try
        assert names(missing(RecordedRuns(LOGS))) == names(found)
        add_weights(add_run("catsdogs_best", [0.1]))  # from another machine
        assert names(missing(RecordedRuns(LOGS)))[-2:] == ["analyze catsdogs_best", "validate catsdogs_ensemble"]


def add_weights(folder: Path, suffix: str = ".ckpt") -> Path:
    """Gives a run its weights."""
    (folder / "checkpoints").mkdir()
    for name in ("best", "last"):
        (folder / "checkpoints" / (name + suffix)).write_bytes(b"")
    return folder


def add_test_result(folder: Path, which: str = "last") -> Path:
    (folder / "test.json").write_text(f'{{"checkpoint": "{which}.ckpt", "test/error": 0.1}}')
    return folder


def add_analysis(folder: Path, parts: Sequence[str] = PARTS) -> None:
    for name in parts:
        leave_part(folder / "analysis", name)


def test_what_was_run_is_not_run_again(add_run: Add) -> None:
    add_test_result(add_weights(add_run("mlp", [0.1]), ".npz"))
    for name in ("mnist_plain", "mnist"):
        add_test_result(add_weights(add_run(name, [0.1])))
    add_analysis(add_weights(add_run("catsdogs", [0.1])))
    add_weights(add_run("catsdogs_best", [0.1], finished=False))
    add_weights(add_run("mlp_ablation", [0.1]), ".npz")
    add_weights(add_run("mnist_ablation", [0.1]))
    for name in ("mlp-inits", "mnist-compare", "mnist-ablation"):
        leave_study(name)
    assert "audit" not in names(missing(RecordedRuns(LOGS, True, True)))
    assert names(missing(RecordedRuns(LOGS))) == [
        "mlp gradcheck", "mlp search", "analyze mnist_plain", "audit",
        "fit catsdogs_best", "analyze catsdogs_best", "validate catsdogs_ensemble",
    ]  # fmt: skip
    add_analysis(LOGS / "mnist_plain" / "version_0", PARTS[:3])
    assert "analyze mnist_plain" in names(missing(RecordedRuns(LOGS)))


@pytest.mark.parametrize(
    ("settings", "lost", "counts"),
    [
        ({"trainer.precision": "32-true"}, "", True),
        ({"model.compile_net": False}, "", True),
        ({"data.source": "drawn"}, "", True),
        ({"trainer.max_epochs": 1}, "", False),
        ({}, "checkpoints/last.ckpt", False),
        ({}, "record.json", False),
    ],
)
def test_a_run_counts_whatever_its_machine_made_of_it_but_not_a_shorter_one_or_without_weights(
    settings: dict[str, object], lost: str, counts: bool, add_run: Add
) -> None:
    folder = add_test_result(add_weights(add_run("mnist", [0.1], settings=settings)))
    if lost:
        (folder / lost).unlink()
    found = names(missing(RecordedRuns(LOGS)))
    assert ("fit mnist" not in found) == counts
    assert counts or found.index("fit mnist") + 1 == found.index("test mnist")


def test_an_ensembles_members_are_runs_of_their_recipe_as_it_is(add_run: Add) -> None:
    """And not a shorter one that was made later, or one that has lost its weights."""

    def members() -> str:
        (step,) = [step for step in missing(RecordedRuns(LOGS)) if step.arguments[0] == "validate"]
        return step.command.partition(" --model.members ")[2]

    run = add_weights(add_run("catsdogs", [0.1]))
    assert members() == ""  # the YAML's own
    add_weights(add_run("catsdogs", [0.3], settings={"trainer.max_epochs": 2}))
    expected = shlex.quote(json.dumps([str(run), "lightning_logs/catsdogs_best"]))
    assert members() == expected
    add_run("catsdogs", [0.1])
    assert members() == expected


def test_the_weights_of_that_run_are_named(add_run: Add) -> None:
    """After a newer run that was stopped, `last` alone would mean that one's."""
    folder = add_test_result(add_weights(add_run("mnist", [0.1])), "best")
    add_weights(add_run("mnist", [0.1], finished=False))
    (step,) = [
        step for step in missing(RecordedRuns(LOGS)) if step.arguments[0] == "test" and "mnist.yaml" in step.command
    ]
    assert f"--ckpt_path {folder / 'checkpoints' / 'last.ckpt'}" in step.command


def test_a_run_with_other_settings_is_used_with_its_own_config(add_run: Add) -> None:
    for settings, config in ({}, "configs/catsdogs.yaml"), ({"model.views": "one"}, "version_1/config.yaml"):
        add_weights(add_run("catsdogs", [0.1], settings=settings))
        records = RecordedRuns(LOGS)
        for command in (plan.Commands(records).predict, plan.Commands(records).analyze):
            assert f"{config} --ckpt_path" in command("catsdogs", records.newest("catsdogs")).command


def test_gradients_are_checked_on_the_network_that_the_report_is_about(add_run: Add) -> None:
    folder = add_test_result(add_weights(add_run("mlp", [0.1]), ".npz"))
    leave_study("mlp-gradcheck", {"weights": "trained here, epochs: 10"})
    (step,) = [step for step in missing(RecordedRuns(LOGS)) if "gradcheck" in step.arguments]
    assert step.arguments == ("mlp", "gradcheck", "--ckpt_path", str(folder / "checkpoints" / "last.npz"))
    leave_study("mlp-gradcheck", {"weights": "weights of mlp/version_0/checkpoints/last.npz, epochs: 20"})
    assert "mlp gradcheck" not in names(missing(RecordedRuns(LOGS)))
    (step,) = [step for step in quick(RecordedRuns(LOGS)) if "gradcheck" in step.arguments]
    assert step.arguments == ("mlp", "gradcheck", "--ckpt_path", "last")


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("kind", [missing, quick])
def test_every_command_is_understood(
    kind: Callable[[RecordedRuns], list[Step]], drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(plan, "AUDIT", Path("no/audit.csv"))
    monkeypatch.setattr(RecordedRuns, "versions", lambda found, name: [])
    for step in kind(RecordedRuns(OTHER, drawn, drawn)):
        command, *options = step.arguments
        assert shlex.split(step.command) == ["python", "main.py", *step.arguments]
        if command == "audit":
            assert options == []
        elif command == "mlp":
            settings = parse_mlp(options)
            assert Path(settings.trainer.save_dir) == OTHER
            assert settings.data.source == ("drawn" if drawn else "auto")
        elif command == "compare":
            parsed = compare_parser().parse_args(options)
            assert (parsed.logs, parsed.source) == (OTHER, "drawn" if drawn else "auto")
        else:
            others = analyze_parser().parse_known_args(options)[1] if command == "analyze" else options
            settings = parse(["validate" if command == "analyze" else command, *others])
            assert settings.trainer.logger.init_args.save_dir == str(OTHER)
            assert settings.data.init_args.source == ("drawn" if drawn else "auto")
            model = settings.model.init_args
            lie = [*model.get("members", []), *model.get("teachers", []), *filter(None, [model.get("start")])]
            assert all(Path(folder).parent == OTHER for folder in lie if command != "analyze")
            assert all(folder.endswith("-drawn") == drawn for folder in lie if command != "analyze")


def test_the_plan_tells_the_time_that_recorded_runs_took() -> None:
    text = plan_text([Step(("fit", "--x", "a b"), 3700.0), Step(("test",), None), Step(("compare",), 65.0)])
    lines = text.splitlines()
    assert lines[0] == "  1. 1:01:40  python main.py fit --x 'a b'"
    assert lines[1].split() == ["2.", "?", "python", "main.py", "test"]
    assert lines[-1].startswith("3 commands, about 62.8 min ")
    assert "; no time is recorded for 1 of them" in lines[-1]


def test_fewer_epochs_and_trials_are_expected_to_take_less() -> None:
    whole, part = (
        plan.Commands(RecordedRuns(LOGS)).step("study", "mlp-search", options=options)
        for options in ((), ("--trainer.max_epochs", "5", "--trials", "4"))
    )
    assert part.seconds == pytest.approx(whole.seconds / 20)  # of ten epochs, and of forty trials, completed or stopped


def test_the_time_is_that_of_the_recipe_as_it_is_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other versions of it were recorded later."""
    (recorded, *_) = [row for row in plan.read_rows() if row["config"] == "mlp" and plan.is_shipped(row)]
    rows = [recorded | {"seconds": "50"}, recorded | {"seconds": "7", "recipe": "another", "epochs": "1"}]
    monkeypatch.setattr(plan, "read_rows", lambda: rows)
    assert plan.Commands(RecordedRuns(LOGS)).fit("mlp").seconds == 50


def test_a_command_that_fails_is_told_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = []

    def pretend(command: list[str], env: dict[str, str], check: bool) -> subprocess.CompletedProcess[str]:
        called.append(command[3:])
        assert env["PYTHONPATH"].split(os.pathsep)[0] == str(REPOSITORY)
        return subprocess.CompletedProcess(command, 1 if "test" in command else 0)

    monkeypatch.setattr(subprocess, "run", pretend)
    steps = [Step(("fit",), None), Step(("test",), None), Step(("compare",), None)]
    assert run(steps) == [steps[1]]
    assert called == [["fit"], ["test"], ["compare"]]
    output = capsys.readouterr().out
    assert "[2/3] failed" in output
    assert "[3/3] done" in output
