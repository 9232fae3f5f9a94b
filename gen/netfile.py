"""The network file: one ``.safetensors`` with the arrays, and a JSON header in its metadata.

The format is described in ``docs/file-format.md``. A file is read only if its digest, a SHA-256 over the header
and every tensor, is right; what it holds is then checked by `gen.intnet` like any other network.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gen.errors import InputError
from gen.exit_rule import SHARE_ONE, ExitRule
from gen.folders import whole_files
from gen.intnet import STEPS, IntegerNetwork, StagedNetwork
from gen.layers import ADAFIRE, ROLES, Pool, Readout, Source, Spiking, Synapse
from gen.task import Task, usual_task
from gen.window import NEAREST

__all__ = ["SCHEMA", "load_network", "network_hash", "save_network"]

SCHEMA = 4
_KEY = "adafire"
_CLASSES = dict(zip(ROLES, (Spiking, Pool, Readout)))
_WINDOW = ("stride", "padding", "dilation", "upsample", "fill")
_SCALARS = {
    Spiking: ("name", "burst", "burst_low", "min_burst", "state_bits", "neuron"),
    Pool: ("name", "source", "kind", "kernel", *_WINDOW),
    Readout: ("name",),
    Synapse: ("source", "groups", *_WINDOW),
    Source: ("shape", "kind", "low", "high"),
}
_ARRAYS = {
    Spiking: ("bias", "theta", "v_init", "weight_bits", "theta_low"), Pool: (), Readout: ("bias", "weight_bits"),
}
# A field of its usual value is left out, so that what an older schema can say keeps its bytes and its hash.
_USUAL = {
    "neuron": ADAFIRE, "min_burst": 1, "burst_low": 0, "upsample": (1, 1), "fill": NEAREST,
}
_OLD_NAMES = {"min_burst": "least"}  # what schema 2 calls them


def save_network(network: IntegerNetwork | StagedNetwork, path: str | Path) -> None:
    """Write ``network`` to ``path``: the same network gives the same bytes.

    The file appears whole or not at all. Raises `InputError` where it cannot be written, or where the
    network's provenance or task is no JSON object.
    """
    path = Path(path)
    header, tensors = _describe(network)
    header["provenance"] = network.provenance
    if network.task != usual_task(network.dense):
        header |= {"task": network.task.as_dict(), "schema": SCHEMA}
    try:
        header["sha256"] = _digest(header, tensors)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be written: the provenance must be a JSON object, as must the task ({error})."
        ) from error
    # one metadata key: the order of several is not fixed, and the bytes are to be
    content = save(tensors, {_KEY: _json(header)})
    try:
        whole_files({path: content})
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}): name a file in a folder you may write to.") from error


def load_network(path: str | Path) -> IntegerNetwork | StagedNetwork:
    """Read and check the network file ``path``; return its network.

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
    except (InputError, AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise InputError(
            f"{path} holds a network that breaks the contract ({what}): convert the model again."
        ) from error


def network_hash(network: IntegerNetwork | StagedNetwork) -> str:
    """Return the SHA-256, in hex, of everything that ``network`` computes with: all but provenance and task."""
    return _digest(*_describe(network))


def _describe(network):
    """Return (header, tensors): what JSON holds well, and name to array in the narrowest integer type."""
    tensors = {"source.offset": _narrow(network.source.offset)}
    if len(network.stages) > 1:
        stages = [_describe_stage(stage, tensors, f"stages.{i}.") for i, stage in enumerate(network.stages)]
        header = {"stages": [stage for stage, _ in stages]}
        schema = 3
    else:
        header, schema = _describe_stage(network, tensors, "")
    if schema < 3:
        for entry in header["layers"]:
            for new in _OLD_NAMES.keys() & entry.keys():
                entry[_OLD_NAMES[new]] = entry.pop(new)
    return {"schema": schema, "source": _scalars(network.source), **header}, tensors


def _describe_stage(network, tensors, prefix):
    """Return the header of one stage and the schema it needs; its arrays are added to ``tensors``."""
    layers, used = [], set()
    for i, layer in enumerate(network.layers):
        entry = {"type": layer.role, **_scalars(layer)}
        for name in _ARRAYS[type(layer)]:
            if getattr(layer, name) is not None:
                tensors[f"{prefix}layers.{i}.{name}"] = _narrow(getattr(layer, name))
                used.add(name)
        if layer.weighted:
            entry["synapses"] = [_scalars(synapse) for synapse in layer.synapses]
            for j, synapse in enumerate(layer.synapses):
                tensors[f"{prefix}layers.{i}.synapses.{j}.weight"] = _narrow(synapse.weight)
        layers.append(entry)
        used |= entry.keys()
    rule = asdict(network.exit_rule)
    for name, usual in (("output", None), ("share", SHARE_ONE)):
        if rule[name] == usual:
            del rule[name]
    header = {"timesteps": network.timesteps, "layers": layers, "exit_rule": rule}
    if network.order != STEPS:
        header["order"] = network.order
    return header, 3 if _beyond_schema_2(network) else 2 if used & {"neuron", "min_burst"} else 1


def _beyond_schema_2(network):
    """Return whether a network holds anything that schema 2 cannot say or its readers would refuse."""
    rule, last = network.exit_rule, network.layers[-1]
    if network.order != STEPS or rule.output is not None or rule.share != SHARE_ONE or network.dense:
        return True
    if len(network.outputs) > 1 or last.emits or network.timesteps > 64:
        return True
    for layer in network.layers:
        if layer.fires and (layer.signed or layer.burst > 15):
            return True
        for part in layer.inputs:
            window = part.window
            if window.upsample != (1, 1) or not window.symmetric:
                return True
            halves = (2 * pad > kernel for pad, kernel in zip(window.padding, window.kernel))
            if part.weight is None and (window.dilation != (1, 1) or any(halves)):
                return True
    return False


def _build(header, tensors):
    """Return the network that `_describe` gave ``header`` and ``tensors`` for."""
    header, tensors = dict(header), dict(tensors)
    provenance, task = header.pop("provenance"), header.pop("task", None)
    if not isinstance(provenance, dict):
        raise InputError("the provenance must be a JSON object")
    task = None if task is None else Task.from_dict(task)
    if _holds_floats(header):
        raise InputError("the header must hold integers, not fractions")
    source = Source(**header["source"], offset=tensors.pop("source.offset"))
    if "stages" in header:
        stages = [
            _build_stage(stage, source, tensors, f"stages.{i}.", task) for i, stage in enumerate(header["stages"])
        ]
        network = StagedNetwork(tuple(stages), provenance)
    else:
        network = _build_stage(header, source, tensors, "", task, provenance)
    if tensors:
        raise InputError(f"the tensors {', '.join(sorted(tensors)[:5])} belong to no layer")
    return network


def _build_stage(header, source, tensors, prefix, task, provenance=None):
    """Return one stage; what it holds is taken out of ``tensors``."""
    if not isinstance(header["layers"], list):
        raise InputError("the layers must be a list")
    layers = []
    for i, entry in enumerate(header["layers"]):
        entry = {**entry}
        for new, old in _OLD_NAMES.items():
            if old in entry:
                entry[new] = entry.pop(old)
        cls = _CLASSES[entry.pop("type")]
        for name in _ARRAYS[cls]:
            key = f"{prefix}layers.{i}.{name}"
            if key in tensors or name != "theta_low":
                entry[name] = tensors.pop(key)
        if cls is not Pool:
            entry["synapses"] = [
                Synapse(weight=_weight(tensors.pop(f"{prefix}layers.{i}.synapses.{j}.weight")), **synapse)
                for j, synapse in enumerate(entry["synapses"])
            ]
        layers.append(cls(**entry))
    rule, order = ExitRule(**header["exit_rule"]), header.get("order", STEPS)
    return IntegerNetwork(source, tuple(layers), header["timesteps"], rule, provenance or {}, order, task)


def _weight(array):
    if array.dtype != np.int8:
        raise InputError(f"a weight is int8, not {array.dtype}")
    return array


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
        header = json.loads(text, parse_constant=_no_constant)
        schema, digest = header["schema"], header.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(damaged) from error
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise InputError(f"{path} names the schema {schema!r}, which there never was: convert the model again.")
    if schema > SCHEMA:
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


def _no_constant(name):
    raise ValueError(f"{name} is no number of JSON")


def _scalars(part):
    """Return the fields of a layer, synapse or source that JSON holds, without those of their usual value."""
    scalars = {name: getattr(part, name) for name in _SCALARS[type(part)]}
    for name, usual in _USUAL.items():
        if scalars.get(name) == usual:
            del scalars[name]
    if "padding" in scalars and part.window.symmetric:
        scalars["padding"] = part.window.padding[:2]
    if scalars.get("dilation") == (1, 1) and part.weight is None:  # the pools of schema 1 have none
        del scalars["dilation"]
    return scalars


def _narrow(array):
    """Return the array in the narrowest of int8, int16, int32 and int64 that holds it."""
    low, high = int(array.min()), int(array.max())
    dtypes = (np.int8, np.int16, np.int32)
    fits = (dtype for dtype in dtypes if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max)
    return np.ascontiguousarray(array, next(fits, np.int64))
