"""One way to open whatever computes a network: golden model, compiled RTL, simulated board, real board."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen.device import Device, Progress
from gen.errors import InputError
from gen.intnet import Network

if TYPE_CHECKING:
    from host.board import Board

__all__ = ["SIMULATED", "open_board", "open_device", "opened"]

DEFAULT_LANES = 16
SIMULATED = "sim"
PACE = 100  # a simulated board may be so much slower than the clock it claims


def open_device(
    where: str | Path = "golden",
    network: Network | None = None,
    *,
    folder: str | Path | None = None,
    lanes: int = DEFAULT_LANES,
    baud: int | None = None,
    progress: Progress | None = None,
) -> Device:
    """Open a device: a `gen.device.Device`, whose ``run(x, progress=None)`` returns a `gen.result.Result`.

    Parameters
    ----------
    where : str or path
        ``golden``: the integer model of ``network``. ``rtl``: the hardware core for ``network``, compiled by
        Verilator, with ``lanes`` lanes. A folder that `generate` made: its RTL, compiled. With ``folder``, a port
        (``/dev/ttyUSB0``, ``COM3``, ``socket://host:port``): the board behind it; ``sim``: the simulated one.
    network : gen.intnet.IntegerNetwork or None
        Needed for ``golden`` and ``rtl``. A folder must hold this very network if one is given; a board that holds
        another one is given it.
    folder : path or None
        What the bitstream of the board was made from. Running a board needs numpy and pyserial only.
    lanes : int
        For ``rtl`` only.
    baud : int or None
        For a port; by default the folder's.
    progress : callable(step, fraction) or None
        Compiling a core that is not in the cache yet takes a minute.

    Raises
    ------
    InputError
        For a place that is none of these, a missing network or folder, or a folder of another network.
    ToolMissing
        Without Verilator or a C++ compiler.
    DoesNotFit, WrongBoard, LinkError
        A board: the network is too large for it, it was built from another folder, it does not answer.
    """
    where = str(where)
    if folder is not None:
        if where in ("golden", "rtl") or (where != SIMULATED and Path(where).is_dir()):
            raise InputError(f"The device {where!r} is no port: a folder goes with a board's port, or with 'sim'.")
        return open_board(where, folder, network, baud=baud, progress=progress)
    if where == "golden":
        from sim.golden import Golden

        return Golden(_needed(where, network))
    if where == "rtl":
        from sim.compiled_core import CompiledCore

        return CompiledCore.for_network(_needed(where, network), lanes=lanes, progress=progress)
    if where == SIMULATED or not Path(where).is_dir():
        raise InputError(
            f"There is no device {where!r}: name 'golden' (the integer model), 'rtl' (the compiled core), or a "
            "folder made by `adafire generate`. If it is the port of a board, or 'sim' for a simulated one, name "
            "the folder that its bitstream was made from too: folder=DIR in Python, --folder DIR for `adafire "
            "evaluate`."
        )
    from gen.netfile import network_hash
    from sim.compiled_core import CompiledCore

    device = CompiledCore.from_folder(where, progress=progress)
    if network is not None and network_hash(network) != network_hash(device.network):
        raise InputError(f"The core in {where} was generated for another network: generate it for this one.")
    return device


def _needed(where, network: Network | None) -> Network:
    if network is None:
        raise InputError(f"The device {where!r} needs a network: open_device({where!r}, network).")
    return network


def open_board(
    port: str, folder: str | Path, network: Any = None, *, baud: int | None = None, progress: Progress | None = None
) -> "Board":
    """Open the board on ``port``, or a simulated one for ``sim``, made from ``folder``; a `host.board.Board`.

    ``network``, as `host.board.Board.load` takes it, is put into its memories unless it is there. Errors are those
    of `open_device`; a wrong folder, or a network that does not fit, is refused before anything is opened or
    compiled.
    """
    from host.board import Board
    from host.content import read_content

    content = read_content(folder, network)
    with ExitStack() as resources:
        pace = 1
        if port == SIMULATED:
            from sim.board import SimulatedBoard

            port, pace = resources.enter_context(SimulatedBoard(folder, progress=progress)).port, PACE
        return Board(port, folder, content, baud=baud, pace=pace, progress=progress, resources=resources.pop_all())


@contextmanager
def opened(*where: Any, **options: Any) -> Iterator[Device]:
    """Yield `open_device` of the same arguments, and close at the end what can be closed."""
    with ExitStack() as resources:
        device = open_device(*where, **options)
        if close := getattr(device, "close", None):
            resources.callback(close)
        yield device
