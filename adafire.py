"""From a trained network to a burst-spiking FPGA accelerator: the names a user may import, and the command line.

    import adafire
    network = adafire.convert("model.pt2", images)          # uint8 [N, C, H, W]
    adafire.save_network(network, "model.safetensors")
    result = adafire.open_device("golden", network).run(images)
    adafire.generate(network, board="ulx3s_85f", out="build")

Names are loaded when first used, so that what needs neither torch nor Amaranth runs without them.
"""

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gen.data.datasets import open_dataset
    from gen.device import Device
    from gen.errors import AdafireError, InputError
    from gen.intnet import IntegerNetwork
    from gen.method.cascade import cascade
    from gen.method.convert import convert
    from gen.method.quantize import quantize
    from gen.model.nir_export import export_nir, save_nir
    from gen.netfile import load_network, save_network
    from gen.result import Result
    from gen.task import Decoder, Task
    from host.device import open_device
    from host.predict.run import predict
    from hw.emit import generate
    from sim.golden import Golden

    __version__: str

__all__ = [
    "AdafireError", "Decoder", "Device", "Golden", "InputError", "IntegerNetwork", "Result", "Task", "cascade",
    "convert", "export_nir", "generate", "load_network", "open_dataset", "open_device", "predict", "quantize",
    "save_network", "save_nir",
]

_HOMES = {
    "gen.data.datasets": ("open_dataset",),
    "gen.device": ("Device",),
    "gen.errors": ("AdafireError", "InputError"),
    "gen.intnet": ("IntegerNetwork",),
    "gen.method.cascade": ("cascade",),
    "gen.method.convert": ("convert",),
    "gen.method.quantize": ("quantize",),
    "gen.model.nir_export": ("export_nir", "save_nir"),
    "gen.netfile": ("load_network", "save_network"),
    "gen.result": ("Result",),
    "gen.task": ("Decoder", "Task"),
    "host.device": ("open_device",),
    "host.predict.run": ("predict",),
    "hw.emit": ("generate",),
    "sim.golden": ("Golden",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_FLOORS = ("gen", "hw", "sim", "host")  # each imports those before it


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        value = version("adafire")
    elif name in _HOME:
        _check_floors(_HOME[name].partition(".")[0])
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'adafire' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__, "__version__"})


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        _check_floors("host")
    except ImportError as error:
        if "--json" in sys.argv:
            sys.stdout.write(json.dumps({"error": str(error), "exit_code": 2}, indent=2) + "\n")
        else:
            sys.stderr.write(f"{error}\n")
        return 2
    from host.cli import main as run

    return run()


def _check_floors(highest):
    """Raise ImportError if a file of the user's hides ``highest``, one of our packages, or one that it imports."""
    for floor in _FLOORS[: _FLOORS.index(highest) + 1]:
        found, ours = _place(floor), Path(__file__).resolve().with_name(floor)
        if found and found != ours:
            raise ImportError(
                f"adafire cannot be used here: {found} is what Python finds as {floor!r}, the name of one of adafire's "
                f"own packages, {ours}. Those names are {', '.join(_FLOORS)}: rename your file or folder, or run from "
                "where it is not beside your script."
            )


def _place(floor):
    """Return the file or the folder that ``import floor`` loads."""
    module = sys.modules.get(floor)
    spec = find_spec(floor) if module is None else module.__spec__
    origin = spec.origin if spec else getattr(module, "__file__", None)
    if origin and origin != "namespace":
        path = Path(origin).resolve()
        return path.parent if path.name == "__init__.py" else path
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]).resolve() if folders else None


if __name__ == "__main__":
    sys.exit(main())
