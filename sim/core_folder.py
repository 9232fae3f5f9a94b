"""A folder made by `adafire generate`, read back and checked before anything slow begins."""

import hashlib
from pathlib import Path

from gen.errors import InputError
from gen.manifest import MANIFEST, read_manifest
from gen.netfile import load_network
from gen.plan.params import CoreParams
from gen.plan.plan import plan_on

__all__ = ["IMAGE", "NETWORK", "VERILOG", "core_text", "put_contents", "read_folder"]

VERILOG, IMAGE, NETWORK = "core.v", "image.bin", "network.safetensors"
RAM = "adafire_ram.v"  # a module of core.v, where it is not in it
AGAIN = "make it again with `adafire generate`."


def read_folder(folder):
    """Return the `gen.plan.plan.Plan` of the network on the core in ``folder``.

    Raises
    ------
    InputError : the folder, or a file in it, is missing, altered, or not what `adafire generate` writes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: name one that `adafire generate` wrote.")
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds no {MANIFEST}, so it is no generated core: {AGAIN}")
    try:
        manifest = read_manifest(folder)
        params, hashes = CoreParams(**manifest["parameters"]), dict(manifest["hashes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} cannot be read ({error}): {AGAIN}") from error
    for name in (VERILOG, IMAGE, NETWORK):
        if not (folder / name).is_file():
            raise InputError(f"{folder} lacks the file {name}: {AGAIN}")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != hashes.get(name):
            raise InputError(
                f"{folder / name} is not the file that {MANIFEST} describes, it was altered since: {AGAIN}"
            )
    return plan_on(load_network(folder / NETWORK), params)


def core_text(folder):
    """Return the Verilog of the core in ``folder``, all its modules."""
    files = [Path(folder) / name for name in (VERILOG, RAM)]
    return "\n".join(file.read_text() for file in files if file.is_file())


def put_contents(folder, work):
    """Put what the memories of the core in ``folder`` hold at power-up where a simulator runs that reads it."""
    for file in Path(folder).glob("*.hex"):
        (Path(work) / file.name).write_bytes(file.read_bytes())
