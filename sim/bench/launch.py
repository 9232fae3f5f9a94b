"""Starts what runs a simulator for a job, and ends all of it."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from sim.bench.job import JOB_VARIABLE
from sim.toolchain import tool_environment

__all__ = ["ASSERTIONS", "launched"]

# Of cocotb: the files whose failed assertions it explains. It compiles each module of such a name anew in every
# simulation, by default all there are, NumPy's too, which takes as long as a short simulation.
ASSERTIONS = "COCOTB_REWRITE_ASSERTION_FILES"
ROOT = Path(__file__).parents[2]


@contextmanager
def launched(module, job, work):
    """Run ``python -m module`` for ``job`` in the folder ``work``, its output in the file ``log`` there.

    Yields the process, the head of a process group of its own; the group is killed if it still runs at the end.
    """
    job.write(work / "job.json")
    environment = tool_environment() | {JOB_VARIABLE: str(work / "job.json")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    environment.pop("PYTEST_CURRENT_TEST", None)  # cocotb's runner changes its ways under pytest
    with open(work / "log", "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
