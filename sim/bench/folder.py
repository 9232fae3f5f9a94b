"""A folder made by `adafire generate`, opened and checked before anything slow begins."""

from gen.generated import IMAGE, NETWORK, VERILOG, GeneratedFolder

__all__ = ["IMAGE", "NETWORK", "VERILOG", "read_folder"]


def read_folder(folder):
    """Return the `gen.layout.schedule.Schedule` of the network on the core in ``folder``.

    Raises
    ------
    InputError : the folder, or a file in it, is missing, altered, or not what `adafire generate` writes.
    """
    return GeneratedFolder.open(folder, VERILOG).schedule
