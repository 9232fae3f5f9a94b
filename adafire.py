"""From a trained network to a burst-spiking FPGA accelerator: the names a user may import.

    import adafire
    network = adafire.convert("model.pt2", images)          # uint8 [N, C, H, W]
    adafire.save_network(network, "model.safetensors")
    result = adafire.open_device("golden", network).run(images)
    adafire.generate(network, board="ulx3s_85f", out="build")

Names are loaded when first used, so that what needs neither torch nor Amaranth runs without them.
"""

from importlib import import_module

_HOMES = {
    "convert": "gen.method.convert",
    "quantize": "gen.method.quantize",
    "IntegerNetwork": "gen.intnet",
    "Result": "gen.result",
    "save_network": "gen.netfile",
    "load_network": "gen.netfile",
    "export_nir": "gen.model.nir_export",
    "save_nir": "gen.model.nir_export",
    "open_dataset": "gen.data.datasets",
    "Golden": "sim.golden",
    "generate": "hw.emit",
    "open_device": "host.device",
    "AdafireError": "gen.errors",
    "InputError": "gen.errors",
}

__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'adafire' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_HOMES})
