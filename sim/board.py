"""The simulated board: a generated design behind a serial port of its own, for any program that opens one.

The Verilog of the whole design, link and core, is compiled; its UART pins are driven at a few clock cycles a bit
and end in a pseudo-terminal. So the host's code, the link and the core are tested as on a board, only slower or
faster::

    with SimulatedBoard("build") as board:
        serial.Serial(board.port, 1_000_000).write(...)

``python -m sim.board build`` serves one until it is interrupted.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from gen.errors import AdafireError, InputError
from gen.plan.target import find_target
from gen.generated import VERILOG, GeneratedFolder
from sim.cells import with_cells
from sim.outside import HEADERS, Linked, linked
from sim.verilate import compile_verilog

__all__ = ["CLOCKS_PER_BIT", "FAULTS", "SimulatedBoard", "board_sources"]

HARNESS = Path(__file__).with_name("board.cpp")
LINE = HARNESS.with_name("serial_line.hpp")
CLOCKS_PER_BIT = 4
FAULTS = ("drop", "double", "flip", "stop", "delay", "reset", "unplug")
STOP_SECONDS = 5


def board_sources(found, clocks_per_bit=CLOCKS_PER_BIT, flash=None):
    """Return the Verilog texts of the design in a `GeneratedFolder`, its link at so many clocks a bit.

    With ``flash``, the bytes of `hw.flash_file.flash_file` or others, it is the design of a bitstream, and they lie in
    the board's flash: `InputError` where that design has none.
    """
    from hw.board.board_top import link_params
    from hw.identity import register_values
    from hw.verilog import uart_verilog

    manifest = found.manifest
    link = link_params(find_target(manifest["board"]), manifest, clocks_per_bit * manifest["baud"] / 10**6)
    if flash is None:
        return with_cells([found.verilog, uart_verilog(found.params, link, register_values(manifest))])
    return with_cells([found.verilog, _with_flash(found, link, flash)])


def _with_flash(found, link, flash):
    from hw.board.board_top import flash_start, uart_design
    from hw.link.blackbox import CoreBox
    from hw.verilog import design_verilog
    from sim.flash import FlashedTop

    start = flash_start(found.manifest)
    if start is None:
        raise InputError(f"The design of {found.path} is not loaded from a flash: leave it out.")
    design = uart_design(CoreBox(found.params), found.params, link, found.manifest)
    return design_verilog(FlashedTop(design, start, link.clock_hz, flash))


class SimulatedBoard:
    """A design that runs in a process of its own; a context manager.

    Parameters
    ----------
    folder : path
        Made by `generate`; not needed where there are ``sources``.
    sources : list of str or None
        Verilog texts to use in place of the folder's; the outermost module is ``adafire_uart``, which has nothing
        outside the chip.
    clocks_per_bit : int
        Of the UART in ``sources``.
    flash : bytes or None
        What lies in the board's flash, as of `board_sources`; it is compiled in, so give few. None: there is no flash.
    progress : callable(step, fraction) or None
        Compiling a design that is not in the cache yet takes a minute.

    Attributes
    ----------
    port : str
        Name of the serial port. It stays the same; it is not there while the board is unplugged. Any baud rate
        will do.

    Raises
    ------
    InputError, ToolMissing, AdafireError
        For a folder that is none; without Verilator or a C++ compiler; when the board does not start.
    """

    def __init__(
        self, folder: str | Path = "", *, sources=None, contents=None, clocks_per_bit=CLOCKS_PER_BIT, flash=None,
        progress=None,
    ):
        outside = Linked([], [])
        if sources is None:
            found = GeneratedFolder.open(folder, VERILOG)
            sources = board_sources(found, clocks_per_bit, flash)
            outside = linked(found.params, found.manifest["board"])
        program = compile_verilog(
            "adafire_uart", sources, HARNESS, outside.defines, headers=[LINE, *HEADERS], objects=outside.objects,
            program=True, progress=progress,
        )
        self._lock = threading.Lock()
        self._folder = tempfile.mkdtemp(prefix="adafire-board-")
        self.port = str(Path(self._folder) / "port")
        self._process = process = subprocess.Popen(
            [program, self.port, str(clocks_per_bit)], cwd=folder or contents,  # where the memories' contents are
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
        )
        assert process.stdin and process.stdout and process.stderr  # they are pipes
        self._orders, self._answers, self._errors = process.stdin, process.stdout, process.stderr
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def reset(self):
        """Switch the board off and on: the memories hold again what the bitstream put there. The port stays."""
        self._order("reset")

    def unplug(self):
        """Pull the cable: the port disappears, its clients see an error, bytes on their way are lost."""
        self._order("unplug")

    def plug(self):
        """Put the cable back: a new port under the old name."""
        self._order("plug")

    def fault(self, direction, kind, at, argument=0):
        """Plan one fault of the cable.

        Parameters
        ----------
        direction : str
            ``rx`` to the board, ``tx`` from it.
        kind : str
            ``drop``, ``double`` or ``flip`` (xor ``argument``) a byte; ``stop``: a byte without its stop bit
            (``rx`` only); ``delay`` it and all behind it by ``argument`` ms; ``reset`` the board when it comes;
            ``unplug`` the cable then, for ``argument`` ms.
        at : int
            Bytes of that direction, from now on, that pass before it.
        """
        if direction not in ("rx", "tx") or kind not in FAULTS:
            raise InputError(f"There is no fault {direction} {kind}: rx or tx, and one of {', '.join(FAULTS)}.")
        self._order(f"fault {direction} {kind} {at:d} {argument:d}")

    def spoil(self, address, bits):
        """Turn ``bits`` of a word in the memory outside the chip."""
        self._order(f"spoil {address:d} {bits:d}")

    @property
    def faults(self):
        """Faults that have happened."""
        return self._order("faults")

    @property
    def cycles(self):
        """Clock cycles simulated, resets included. They stand still while the design has nothing to do."""
        return self._order("cycles")

    def close(self):
        """Stop the board; once more is harmless."""
        with self._lock:
            process = self._process
            with suppress(BrokenPipeError):
                self._orders.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._answers.close()
            self._errors.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _order(self, line):
        with self._lock:
            if self._orders.closed:
                raise AdafireError("The simulated board is closed: open another one.")
            with suppress(BrokenPipeError):  # the answer says why
                self._orders.write(line + "\n")
            return int(self._answer())

    def _answer(self):
        line = self._answers.readline()
        if line:
            return line
        code = self._process.wait()
        said = self._errors.read().strip() or f"it ended with code {code}"
        raise AdafireError(f"The simulated board has stopped: {said}.")


def main():
    """Serve the design of a folder in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m sim.board", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", help="made by `adafire generate`")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with SimulatedBoard(options.folder) as board:
            sys.stdout.write(f"{board.port}\n")
            sys.stdout.flush()
            while board.cycles:
                time.sleep(0.5)
    except KeyboardInterrupt:
        return 130
    except AdafireError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
