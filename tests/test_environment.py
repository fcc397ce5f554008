import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_a1 import environment
from lit_a1.environment import best_precision, commit, in_words, made_by, processor, why_not_compiled
from tests.conftest import REPOSITORY


def test_what_a_figure_was_measured_on() -> None:
    assert environment.versions().keys() >= {"python", "torch", "lightning"}
    assert environment.machine()
    before = environment.peak_memory_gb()
    block = np.ones(60_000_000)  # 0.48 GB
    assert environment.peak_memory_gb() >= max(before, 0.48)
    del block


def test_a_sandbox_that_does_not_tell_the_peak_of_memory(tmp_path: Path) -> None:
    (status := tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t1024 kB\n")
    assert environment.peak_memory_gb(status) > 0.01
    status.write_text("VmPeak:\t9 kB\nVmHWM:\t  2000000 kB\n")
    if sys.platform != "win32":
        assert environment.peak_memory_gb(status) == 2.048


def test_a_gpu_that_is_not_used_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert environment.machine() == "a GPU"
    assert environment.machine(on_cpu=True) == environment.cpu()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model name\t: Some CPU\nflags\t\t: fpu avx avx2 avx512f avx512_bf16\n", "Some CPU (AVX-512 with bfloat16)"),
        ("model name\t: Some CPU\nflags\t\t: fpu avx avx2\n\nmodel name\t: Other\nflags\t\t: fpu\n", "Some CPU (AVX2)"),
        ("model name\t: Some CPU\nflags\t\t: fpu myavx2\n", "Some CPU"),
        ("model name\t: Some: CPU\n", "Some: CPU"),
    ],
)
def test_the_processor_is_told_with_its_instructions(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert processor(tmp_path / "cpuinfo") == words
    assert processor(tmp_path / "none") == (platform.processor() or platform.machine())


def test_a_processor_that_is_held_to_fewer_instructions_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    name, _, cores = environment.cpu().rpartition(", ")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert environment.cpu() == f"{name}, held to AVX2, {cores}"


@pytest.mark.parametrize(
    ("device", "capability", "bfloat16", "precisions"),
    [
        ("cuda", (8, 0), True, ["bf16-mixed", "16-mixed"]),  # A100
        ("cuda", (7, 5), False, ["16-mixed", "16-mixed"]),  # T4
        ("cuda", (7, 0), False, ["16-mixed", "16-mixed"]),  # V100
        ("cuda", (6, 1), False, ["32-true", "32-true"]),  # GTX 1080
        ("mps", None, False, ["bf16-mixed", "16-mixed"]),
        ("cpu", None, True, ["bf16-mixed", "bf16-mixed"]),
        ("cpu", None, False, ["32-true", "32-true"]),
    ],
)
@pytest.mark.parametrize("on_cpu", [False, True])
def test_the_best_precision_that_a_machine_has(
    device: str, capability: tuple[int, int] | None, bfloat16: bool, precisions: list[str], on_cpu: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16 or including_emulation)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: device == "mps")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": bfloat16})
    if on_cpu:  # a GPU does not count
        precisions = ["bf16-mixed" if bfloat16 else "32-true"] * 2
    assert [best_precision(wanted, on_cpu) for wanted in ("bf16-mixed", "16-mixed")] == precisions
    assert [best_precision(wanted, on_cpu) for wanted in ("32-true", 32, None)] == ["32-true", 32, None]


def test_all_that_a_run_was_made_by_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, list[str]] = {}
    for code, here in (("a", "x"), ("b", "x"), ("", "y"), ("a", "x")):
        monkeypatch.setattr(environment, "commit", lambda code=code: code)
        found = made_by(here, before := found)
    assert found == {"commit": ["a", "b", ""], "machine": ["x", "y"]}
    assert found is not before
    assert in_words(found) == {"commit": "a and b and no checkout", "machine": "x and y"}
    assert in_words(made_by("z", {})) == {"commit": "a", "machine": "z"}
    monkeypatch.setattr(environment, "commit", lambda: "")
    assert in_words(made_by("z", {})) == {"commit": "", "machine": "z"}


def test_the_commit_is_that_of_the_checkout_or_the_one_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "lit_a1" / "environment.py"
    monkeypatch.setattr(environment, "__file__", str(code))
    assert commit() == "0123456789"  # as tests/conftest.py tells it
    monkeypatch.setenv("LIT_A1_COMMIT", "")
    assert commit() == ""
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        assert commit() == ""  # where there is no git
    if shutil.which("git") is None:
        pytest.skip("there is no git to make a checkout with")
    code.parent.mkdir()
    code.write_text("")
    who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false", "-c", "core.hooksPath="]
    for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "x"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert re.fullmatch(r"[0-9a-f]{10}", clean := commit())
    code.write_text("changed")
    assert commit() == f"{clean}+"
    installed = code.parent / "packages" / "lit_a1" / "environment.py"  # below a checkout of something else
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(installed))
    assert commit() == ""


def test_compiled_code_needs_a_folder_that_it_can_run_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", sys.executable)  # any program
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    (tmp_path / "Python.h").write_text("")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    assert why_not_compiled(on_cpu=True) is None
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "Python.h" / "cache"))
    assert f"can't be kept in {tmp_path / 'Python.h' / 'cache'} and run" in str(why_not_compiled(on_cpu=True))

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as where programs can't be run from

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    if sys.platform == "linux":
        with monkeypatch.context() as patch:
            patch.setattr("mmap.mmap", refuse)
            assert "cache and run from there (Operation not permitted)" in str(why_not_compiled(on_cpu=True))
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert why_not_compiled() == "compiling for a Mac's GPU has not been tried"
    assert why_not_compiled(on_cpu=True) is None
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.utils._triton.has_triton", lambda: False)
    assert str(why_not_compiled()).startswith("Triton, which compiles for a GPU, is missing")


def test_freed_memory_is_kept_without_complaint() -> None:
    code = "import lit_a1.environment as e; e.keep_freed_memory(); print(sum(bytearray(1 << 22)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
