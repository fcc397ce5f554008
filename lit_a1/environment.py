"""This process and its machine: where the project is, what a result was measured on, how memory is kept."""

import ctypes
import logging
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# the clone; or, if the package is installed, the package itself, which then contains `configs` and `docs`
REPOSITORY = _PACKAGE if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent
# what a user types before a command, depending on how this one was called
PROGRAM = "lit-a1" if Path(sys.argv[0]).stem == "lit-a1" or REPOSITORY == _PACKAGE else "python main.py"
# instructions, as named in /proc/cpuinfo, by which processors of one name differ several times in speed
VECTORS = {
    "amx_bf16": "AMX with bfloat16",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}
PARENT = os.getppid()  # when this process began


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, with its widest instructions if Linux lists them."""
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    first = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    flags = first.get("flags", "").split()
    widest = next((f" ({words})" for flag, words in VECTORS.items() if flag in flags), "")
    return first.get("model name", platform.processor() or platform.machine()) + widest


def machine(on_cpu: bool = False) -> str:
    """The GPU's name if torch sees one, else (or, `on_cpu`, always) the processor's."""
    import torch

    return torch.cuda.get_device_name() if not on_cpu and torch.cuda.is_available() else cpu()


def cpu() -> str:
    """The processor, the instructions it is held to if oneDNN is told to, and the cores that this process may use."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor()}{f', held to {limit}' if limit else ''}, {cores} {'core' if cores == 1 else 'cores'}"


def computes_bfloat16(on_cpu: bool = False) -> bool:
    """Whether the GPU (or, `on_cpu`, the CPU) has bfloat16 multiplication; emulated, it is slower than float32."""
    import torch

    if not on_cpu and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not on_cpu and torch.backends.mps.is_available():
        return True
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def computes_float16(on_cpu: bool = False) -> bool:
    """Whether a GPU multiplies float16 faster than float32 (NVIDIA's since Volta, 2017); Lightning needs one for it."""
    import torch

    if not on_cpu and torch.cuda.is_available():
        return torch.cuda.get_device_capability() >= (7, 0)
    return not on_cpu and torch.backends.mps.is_available()


def best_precision(requested: str | int | None, on_cpu: bool = False) -> str | int | None:
    """The trainer's precision: the one `requested`, or if this machine lacks it, the other half precision or `32-true`.

    A T4 or V100 uses `16-mixed` instead of `bf16-mixed`. Other precisions are returned unchanged.
    """
    supports = {"bf16-mixed": computes_bfloat16, "16-mixed": computes_float16}
    if requested not in supports or supports[requested](on_cpu):
        return requested
    return next((precision for precision, computes in supports.items() if computes(on_cpu)), "32-true")


def why_not_compiled(on_cpu: bool = False) -> str | None:
    """What `torch.compile` lacks on the GPU (or, `on_cpu`, the CPU), as a clause; None if it lacks nothing."""
    import torch

    if not on_cpu and torch.backends.mps.is_available():
        return "compiling for a Mac's GPU has not been tried"
    if not on_cpu and torch.cuda.is_available():
        from torch.utils._triton import has_triton

        if not has_triton():
            return "Triton, which compiles for a GPU, is missing or does not know this one"
    compiler = os.environ.get("CXX") or {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++")
    headers = [Path(sysconfig.get_path(name), "Python.h") for name in ("include", "platinclude")]
    if not shutil.which(compiler) or not any(header.exists() for header in headers):
        return f"there is no C++ compiler ({compiler}), or Python.h, which it needs, is missing"
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    try:
        with tempfile.TemporaryFile(dir=cache_dir()) as file:
            file.write(b"x")
            file.flush()
            if sys.platform == "linux":  # fails in a folder mounted without permission to execute
                mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
    except OSError as error:
        folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
        problem = f"compiled code can't be kept in {folder} and run from there ({error.strerror})"
        return f"{problem}; TORCHINDUCTOR_CACHE_DIR can name another folder"
    return None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in ("torch", "lightning", "numpy")}


def commit() -> str:
    """The code's commit (or LIT_A1_COMMIT), with `+` if files changed since; empty outside a checkout."""
    if given_commit := os.environ.get("LIT_A1_COMMIT", "").strip():
        return given_commit

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # fails if it is installed below another checkout
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def made_by(here: str, before: dict[str, list[str]]) -> dict[str, list[str]]:
    """The commits and machines of a run: those `before` it was resumed, then this commit and the machine `here`."""
    this = {"commit": commit(), "machine": here}
    return {name: list(dict.fromkeys([*before.get(name, []), value])) for name, value in this.items()}


def in_words(made: dict[str, list[str]]) -> dict[str, str]:
    """What `made_by` returns as text, for a record: `a1b2c3 and d4e5f6`; a single empty commit stays empty."""
    return {
        name: values[0] if len(values) == 1 else " and ".join(value or "no checkout" for value in values)
        for name, values in made.items()
    }


def is_first(of_machine: bool = False) -> bool:
    """Whether this is the first process of a command on several devices, or, `of_machine`, the first on its machine.

    Lightning, torchrun or SLURM starts the other processes, and numbers all of them by these variables.
    """
    names = ("LOCAL_RANK", "SLURM_LOCALID") if of_machine else ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    is_orphan = os.environ.get("LOCAL_RANK") == "1" and os.getppid() != PARENT  # the first process was killed
    return is_orphan or all(os.environ.get(name, "0") == "0" for name in names)


def show_messages() -> None:
    """Shows this project's log messages on the terminal: which data were found, what was left out."""
    logger = logging.getLogger("lit_a1")
    logger.setLevel(logging.INFO if is_first() else logging.CRITICAL)
    logger.handlers = [logging.StreamHandler()]  # to the current standard error


def keep_freed_memory() -> None:
    """Makes glibc keep the memory of freed tensors for later ones, instead of returning it to the system.

    A training step frees and allocates the same large blocks; new pages for them take several percent of a step on a
    CPU.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    for parameter in (trim_threshold, mmap_threshold):
        ctypes.CDLL(None).mallopt(parameter, 1 << 30)


def peak_memory_gb(status: Path = Path("/proc/self/status")) -> float:
    """Peak resident memory of this process so far, in GB (10^9 bytes)."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e9
    text = status.read_text(encoding="utf-8") if status.exists() else ""
    if found := re.search(r"^VmHWM:\s*([0-9]+) kB", text, re.MULTILINE):  # not in every sandbox
        return int(found[1]) * 1024 / 1e9  # getrusage may also count the parent's memory
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def quieten() -> None:
    """Hides Lightning's messages that do not matter here, and messages that another process prints too."""
    if not is_first():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # until the process ends
        warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("pytorch.profilers", "fabric.strategies.launchers"):  # devices that were found; processes that ended
        logging.getLogger(f"lightning.{name}").setLevel(logging.INFO)
    for message in (
        ".*does not have many workers.*",  # batches are cut from memory: processes would cost more than they save
        ".*in eval mode at the start of training.*",  # the averaged weights
        ".*method of metric Mean was called before.*",  # if every step of an epoch was skipped, it has no gradient norm
        ".*is smaller than the logging interval.*",
        ".*could not find the monitored key.*",  # epochs without validation
        ".*treespec, LeafSpec.*",  # Lightning's own use of torch
        ".*callbacks used to create the checkpoint need to be provided.*",  # only fit needs them
        ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run continues in its folder
        ".*Experiment logs directory .* exists and is not empty.*",  # likewise; `_keep_rows` keeps its contents
        ".*but `Trainer.barebones=True.` is configured.*",  # intended
        ".*with manual optimization and every_n_train_steps.*",  # weights after a step are intended
        ".*ended before the epoch ended and your dataloader is not resumable.*",  # it is: `EpochShuffle`
    ):
        warnings.filterwarnings("ignore", message=message)
