"""What simulations read of a folder made by `adafire generate`, checked before anything slow begins."""

from pathlib import Path

from gen.generated import IMAGE, NETWORK, VERILOG, GeneratedFolder

__all__ = ["IMAGE", "NETWORK", "VERILOG", "board_of", "core_text", "put_contents", "read_folder"]


def read_folder(folder):
    """Return the `gen.plan.plan.Plan` of the network on the core in ``folder``.

    Raises
    ------
    InputError : the folder, or a file in it, is missing, altered, or not what `adafire generate` writes.
    """
    return GeneratedFolder.open(folder, VERILOG).plan


def core_text(folder):
    """Return the Verilog of the core in ``folder``, all its modules."""
    return (Path(folder) / VERILOG).read_text()


def board_of(folder):
    """Return the name of the board that the core in ``folder`` was made for, or None."""
    return GeneratedFolder.open(folder).manifest["board"]


def put_contents(folder, work):
    """Put what the memories of the core in ``folder`` hold at power-up where a simulator runs that reads it."""
    for file in Path(folder).glob("*.hex"):
        (Path(work) / file.name).write_bytes(file.read_bytes())
