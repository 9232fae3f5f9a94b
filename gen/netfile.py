"""The network file: one ``.safetensors`` with the arrays, and a JSON header in its metadata.

The format is described in ``docs/file-format.md``. A file is read only if its digest, a SHA-256 over the header
and every tensor, is right; what it holds is then checked by `gen.intnet` like any other network.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import ADAFIRE, Pool, Readout, Source, Spiking, Synapse

__all__ = ["SCHEMA", "load_network", "network_hash", "save_network"]

SCHEMA = 2
_KEY = "adafire"
_TYPES = {"spiking": Spiking, "pool": Pool, "readout": Readout}
_SCALARS = {
    Spiking: ("name", "burst", "least", "state_bits", "neuron"),
    Pool: ("name", "source", "kind", "kernel", "stride", "padding"),
    Readout: ("name",),
    Synapse: ("source", "stride", "padding", "dilation", "groups"),
    Source: ("shape", "kind", "low", "high"),
}
_ARRAYS = {Spiking: ("bias", "theta", "v_init", "weight_bits"), Pool: (), Readout: ("bias", "weight_bits")}


def save_network(network, path):
    """Write `IntegerNetwork` ``network`` to ``path``: the same network gives the same bytes.

    The file appears whole or not at all. Raises `InputError` where it cannot be written, or where the
    network's provenance is no JSON object.
    """
    path = Path(path)
    header, tensors = _describe(network)
    header["provenance"] = network.provenance
    try:
        header["sha256"] = _digest(header, tensors)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be written: the provenance must be a JSON object ({error}).") from error
    # one metadata key: the order of several is not fixed, and the bytes are to be
    content = save(tensors, {_KEY: _json(header)})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}): name a file in a folder you may write to.") from error
    finally:
        temporary.unlink(missing_ok=True)


def load_network(path):
    """Read and check the network file ``path``; return its `IntegerNetwork`.

    Raises
    ------
    InputError : there is no such file, or it is no network, newer than this program, damaged, or against the
    contract.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name, or make it with `adafire convert`.")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a network file: name the .safetensors file in it.")
    header, tensors = _read(path)
    try:
        return _build(header, tensors)
    except (InputError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} holds a network that breaks the contract ({error}): convert the model again."
        ) from error


def network_hash(network):
    """Return the SHA-256, in hex, of everything that ``network`` computes with: all but its provenance."""
    return _digest(*_describe(network))


def _describe(network):
    """Return (header, tensors): what JSON holds well, and name to array in the narrowest integer type."""
    tensors = {"source.offset": _narrow(network.source.offset)}
    layers = []
    for i, layer in enumerate(network.layers):
        kind = next(name for name, cls in _TYPES.items() if isinstance(layer, cls))
        entry = {"type": kind, **_scalars(layer)}
        for name in _ARRAYS[type(layer)]:
            tensors[f"layers.{i}.{name}"] = _narrow(getattr(layer, name))
        if kind != "pool":
            entry["synapses"] = [_scalars(synapse) for synapse in layer.synapses]
            for j, synapse in enumerate(layer.synapses):
                tensors[f"layers.{i}.synapses.{j}.weight"] = _narrow(synapse.weight)
        layers.append(entry)
    header = {
        # what schema 1 can say keeps its bytes and its hash
        "schema": SCHEMA if any({"neuron", "least"} & entry.keys() for entry in layers) else 1,
        "timesteps": network.timesteps,
        "source": _scalars(network.source),
        "layers": layers,
        "exit_rule": asdict(network.exit_rule),
    }
    return header, tensors


def _build(header, tensors):
    """Return the network that `_describe` gave ``header`` and ``tensors`` for."""
    header = dict(header)
    provenance = header.pop("provenance")
    if not isinstance(provenance, dict):
        raise InputError("the provenance must be a JSON object")
    if _holds_floats(header):
        raise InputError("the header must hold integers, not fractions")
    layers = []
    for i, entry in enumerate(header["layers"]):
        entry = dict(entry)
        cls = _TYPES[entry.pop("type")]
        entry |= {name: tensors[f"layers.{i}.{name}"] for name in _ARRAYS[cls]}
        if "synapses" in entry:
            entry["synapses"] = [
                Synapse(weight=tensors[f"layers.{i}.synapses.{j}.weight"], **synapse)
                for j, synapse in enumerate(entry["synapses"])
            ]
        layers.append(cls(**entry))
    source = Source(**header["source"], offset=tensors["source.offset"])
    return IntegerNetwork(source, layers, header["timesteps"], ExitRule(**header["exit_rule"]), provenance)


def _holds_floats(value):
    if isinstance(value, dict):
        value = list(value.values())
    return any(map(_holds_floats, value)) if isinstance(value, list) else isinstance(value, float)


def _read(path):
    """Return (header, tensors) of a file whose digest is right."""
    damaged = (
        f"{path} is damaged: its content does not match its digest. Copy it again, or convert the model again."
    )
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()} if text else {}
    except (SafetensorError, OSError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a network file ({error}): it is truncated or of another kind. "
            "Copy it again, or make it with `adafire convert`."
        ) from error
    if not text:
        raise InputError(
            f"{path} is a .safetensors file, but no network of adafire: float weights are converted first, "
            "with `adafire convert`."
        )
    try:
        header = json.loads(text)
        schema, digest = header["schema"], header.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(damaged) from error
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(
            f"{path} was written by a newer adafire (its schema is {schema}, "
            f"this program reads up to {SCHEMA}): update adafire."
        )
    if digest != _digest(header, tensors):
        raise InputError(damaged)
    return header, tensors


def _digest(header, tensors):
    digest = hashlib.sha256(_json(header).encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"{name} {array.dtype.str} {list(array.shape)}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _scalars(part):
    scalars = {name: getattr(part, name) for name in _SCALARS[type(part)]}
    for name, usual in (("neuron", ADAFIRE), ("least", 1)):
        if scalars.get(name) == usual:
            del scalars[name]
    return scalars


def _narrow(array):
    """Return the array in the narrowest of int8, int16, int32 and int64 that holds it."""
    low, high = int(array.min()), int(array.max())
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.ascontiguousarray(array, dtype)
