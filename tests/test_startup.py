import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lit_a1 import cli, startup
from lit_a1.startup import RANGES, with_shipped_yamls
from tests.conftest import CONFIGS, REPOSITORY, Capture, Refusal

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED = [need for part in ("export", "test") for need in PROJECT["optional-dependencies"][part]]
NEEDED = PROJECT["dependencies"] + NEEDED


def test_the_ranges_are_those_of_pyproject() -> None:
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(RANGES["Python"])
    needs = {(need := Requirement(text)).name: need.specifier for text in PROJECT["dependencies"]}
    assert needs["torch"] == SpecifierSet(RANGES["torch"])


@pytest.mark.parametrize(
    ("python", "torch", "words"),
    [
        ("3.10.4", "2.12.0", "Python 3.10.4 is not among the versions that lit_a1 allows"),
        ("3.12.1", "2.10.1+cu128", "torch 2.10.1+cu128 is not among the versions that lit_a1 allows"),
    ],
)
def test_a_version_that_is_too_old_is_refused(
    python: str, torch: str, words: str, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup.platform, "python_version", lambda: python)
    monkeypatch.setattr(startup, "version", lambda name: torch)
    said = refusal("architecture", "--config", "x.yaml")
    assert said.startswith(f"error: {words}")
    assert said.endswith("it is too old.")


def test_a_newer_one_is_told_of(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    startup.check_versions()
    monkeypatch.setattr(startup.platform, "python_version", lambda: "3.15.0rc1")
    monkeypatch.setattr(startup, "version", lambda name: "2.16.0")
    startup.check_versions()
    first, second = capsys.readouterr().err.splitlines()[-2:]
    assert first.startswith("Python 3.15.0rc1 is not among")
    assert second.startswith("torch 2.16.0 is not among")
    assert second.endswith("it is newer, and may work.")


def test_what_is_not_installed_is_named(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise startup.PackageNotFoundError(name)

    def needing(*arguments: object, **options: object) -> None:
        import nowhere  # noqa: F401

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "nowhere", None)
        patch.setattr(cli, "run", needing)
        assert refusal("audit") == "error: nowhere is not installed: pip install -r requirements.txt"
    monkeypatch.setattr(startup, "version", missing)
    assert refusal("audit") == "error: torch is not installed: pip install -r requirements.txt"


def test_a_folder_that_compiled_code_cant_go_to_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv(startup.COMPILER_CACHE, str(tmp_path / "cache"))
    startup.check_compiler_cache()
    assert os.environ[startup.COMPILER_CACHE] == str(tmp_path / "cache")
    assert capsys.readouterr().err == ""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(startup.COMPILER_CACHE, str(tmp_path / "file" / "cache"))
    startup.check_compiler_cache()
    assert startup.COMPILER_CACHE not in os.environ
    assert f"names {tmp_path / 'file' / 'cache'}, which can't be made (Not a directory)" in capsys.readouterr().err


def test_the_commands_are_listed_where_nothing_is_installed() -> None:
    command = [sys.executable, "-S", str(REPOSITORY / "main.py"), "--help"]
    assert "usage: python main.py" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", [path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")])
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


def test_commands_take_these_names(capsys: Capture, refusal: Refusal) -> None:
    cli.main(["architecture", "--config", "mlp.yaml"])
    assert "905,010" in capsys.readouterr().out
    assert "numpy network" in refusal("mlp", "fit", "-c", "catsdogs.yaml")
    assert "none.yaml" in refusal("search", "-c", "catsdogs_trial.yaml", "--space", "none.yaml")


def lines_of(name: str) -> list[str]:
    """Those of a list of packages, without its comments."""
    lines = (line.partition("#")[0].strip() for line in (REPOSITORY / name).read_text().splitlines())
    return [line for line in lines if line]


def test_requirements_are_what_the_package_needs_and_the_exact_versions_within_the_bounds() -> None:
    assert lines_of("requirements.txt") == NEEDED
    exact = {
        canonicalize_name(name): version for name, version in (line.split("==") for line in lines_of("constraints.txt"))
    }
    for requirement in map(Requirement, NEEDED):
        assert requirement.specifier.contains(exact[canonicalize_name(requirement.name)]), requirement
