"""What a host must know of a design: which build it is, which network it holds, what an input value looks like."""

import hashlib
import json
from dataclasses import asdict
from math import prod

from gen.errors import InputError
from gen.netfile import network_hash
from gen.result import result_form
from hw.regmap import MOST_IMAGE_BYTES

__all__ = ["build_id", "describe_input", "describe_outputs", "network_id", "register_values"]

BUILD_WORDS = 4
WORD_MASK = 0xFFFFFFFF


def build_id(plan, versions):
    """Return the 32 hexadecimal digits that name a design: parameters, memory image and tool versions."""
    parameters = json.dumps([asdict(plan.params), versions], sort_keys=True).encode()
    return hashlib.sha256(parameters + plan.load_stream.astype("<u4").tobytes()).hexdigest()[: 8 * BUILD_WORDS]


def network_id(network):
    """Return the number that the register NETWORK holds for ``network``, 1 to 2**32 - 1."""
    return int(network_hash(network)[:8], 16) or 1


def describe_input(network, images=1):
    """Return the input of ``network`` in plain values, enough for `gen.inputs.input_stream` and the link.

    ``values`` are those of all ``images`` that a core runs together, which has ``images`` where they are several.

    Raises `InputError` for more bytes than a position of the link can name.
    """
    source = network.source
    lowest, highest = source.range
    maps = images * (network.timesteps if source.kind == "frames" else 1)
    values, size = maps * prod(source.shape), 1 if highest - lowest < 256 else 2
    if values * size > MOST_IMAGE_BYTES:
        what, mend = f"The network looks at {maps} frames", "Convert it for fewer or smaller frames."
        if images > 1:
            what, mend = f"The core would take {images} images together", "Give a smaller --batch."
        raise InputError(
            f"{what} of {prod(source.shape)} values, {values * size} bytes in all; a host can send {MOST_IMAGE_BYTES} "
            f"at most. {mend}"
        )
    return {
        **({"images": images} if images > 1 else {}),
        "shape": list(source.shape), "kind": source.kind, "low": source.low, "high": source.high,
        "offset": source.offset.tolist(), "timesteps": network.timesteps, "values": values,
        "lowest": lowest, "bytes": size,
    }


def describe_outputs(network, images=1):
    """Return the outputs of ``network`` in plain values: what a host must know to read results of ``images`` each."""
    return result_form(network, images)


def register_values(manifest, **link):
    """Return what `hw.link.registers.Registers` holds for the design of ``manifest``; ``link`` adds its own."""
    build, described = int(manifest["build_id"], 16), manifest["input"]
    return {
        **{f"BUILD_{i}": build >> (32 * i) & WORD_MASK for i in range(BUILD_WORDS)},
        "NETWORK": manifest["network_id"] if manifest["initialised"] else 0,
        "LOADED": manifest["image_digest"] if manifest["initialised"] else 0,
        "INPUT_SIZE": described["values"], "INPUT_LOW": described["lowest"], "INPUT_BYTES": described["bytes"],
        "LANES": manifest["lanes"], "OUTPUTS": manifest["parameters"]["outputs"], **link,
    }
