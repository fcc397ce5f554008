import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lit_a1.cli import main
from lit_a1.environment import REPOSITORY
from lit_a1.startup import with_shipped_yamls

CONFIGS = REPOSITORY / "configs"
YAMLS = [path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")]


@pytest.mark.parametrize("name", YAMLS)
def test_every_yaml_is_found_by_its_name_in_any_folder(name: str) -> None:
    path = str(CONFIGS / name)
    for typed in (name, f"configs/{name}"):
        assert with_shipped_yamls(["-c", typed, "--config", typed]) == ["-c", path, "--config", path]
        assert with_shipped_yamls([f"--config={typed}", f"--space={typed}"]) == [f"--config={path}", f"--space={path}"]


def test_what_is_there_or_means_something_else_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["--config", "other.yaml"], ["--out", "mlp.yaml"], ["--out=mlp.yaml"], ["mlp.yaml"], ["-c"], []):
        assert with_shipped_yamls(arguments) == arguments
    Path("mlp.yaml").touch()
    assert with_shipped_yamls(["--config", "mlp.yaml"]) == ["--config", "mlp.yaml"]
    monkeypatch.chdir(REPOSITORY)
    assert with_shipped_yamls(["-c", "mlp.yaml"]) == ["-c", str(Path("configs", "mlp.yaml"))]


def test_commands_take_these_names(capsys: pytest.CaptureFixture[str], refusal: Callable[..., str]) -> None:
    main(["architecture", "--config", "mlp.yaml"])
    assert "905,010" in capsys.readouterr().out
    assert "numpy network" in refusal("mlp", "fit", "-c", "catsdogs.yaml")
    assert "none.yaml" in refusal("search", "-c", "catsdogs_trial.yaml", "--space", "none.yaml")


def test_requirements_are_what_the_package_needs_to_run_and_to_be_tested() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = [line.partition("#")[0].strip() for line in (REPOSITORY / "requirements.txt").read_text().splitlines()]
    assert [line for line in lines if line] == project["dependencies"] + project["optional-dependencies"]["test"]


def test_the_exact_versions_are_within_the_bounds() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    exact = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    for requirement in map(Requirement, project["dependencies"] + project["optional-dependencies"]["test"]):
        assert requirement.specifier.contains(exact[canonicalize_name(requirement.name)]), requirement
