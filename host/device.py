"""One way to open whatever computes a network: the golden model, compiled RTL, a generated folder."""

from pathlib import Path

from gen.errors import InputError
from gen.netfile import network_hash

__all__ = ["DEFAULT_LANES", "open_device"]

DEFAULT_LANES = 16


def open_device(where="golden", network=None, *, lanes=DEFAULT_LANES, progress=None):
    """Open a device: an object whose ``run(x, progress=None)`` returns a `gen.result.Result`.

    Parameters
    ----------
    where : str or path
        ``golden``: the integer model of ``network``. ``rtl``: the hardware core for ``network``, compiled by
        Verilator, with ``lanes`` lanes. Anything else is a folder that `generate` made: its RTL, compiled.
    network : gen.intnet.IntegerNetwork or None
        Needed for ``golden`` and ``rtl``; a folder must hold this very network if one is given.
    lanes : int
        For ``rtl`` only.
    progress : callable(step, fraction) or None
        Compiling a core that is not in the cache yet takes a minute.

    Raises
    ------
    InputError
        For a place that is none of the three, a missing network, or a folder of another network.
    ToolMissing
        Without Verilator or a C++ compiler.
    """
    where = str(where)
    if where in ("golden", "rtl") and network is None:
        raise InputError(f"The device {where!r} needs a network: open_device({where!r}, network).")
    if where == "golden":
        from sim.golden import Golden

        return Golden(network)
    if where == "rtl":
        from sim.model import CompiledCore

        return CompiledCore.for_network(network, lanes=lanes, progress=progress)
    if not Path(where).is_dir():
        raise InputError(
            f"There is no device {where!r}: name 'golden' (the integer model), 'rtl' (the compiled core), "
            "or a folder made by `adafire generate`."
        )
    from sim.model import CompiledCore

    device = CompiledCore.from_folder(where, progress=progress)
    if network is not None and network_hash(network) != network_hash(device.network):
        raise InputError(f"The core in {where} was generated for another network: generate it for this one.")
    return device
