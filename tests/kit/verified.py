"""Small networks to verify the cores of, the simulators that are installed, and faults planted in a core's folder."""

import hashlib
import json
import re

import numpy as np

from gen.errors import ToolMissing
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from gen.manifest import write_manifest
from sim.toolchain import SIMULATORS, choose_simulator

__all__ = [
    "FAST", "batch_network", "edit", "edit_output", "installed", "put", "separated_network", "tiny_network", "top",
]


def batch_network():
    """One timestep; a convolution with a fused pool, two dense layers with most of the weights, a dense readout."""
    rng = np.random.default_rng(5)

    def dense(name, source, *shape):
        bias, theta = rng.integers(-9, 9, shape[0]), rng.integers(5, 30, shape[0])
        return Spiking(name, [Synapse(source, rng.integers(-7, 8, shape))], bias, theta, theta // 2, burst=3,
                       state_bits=10, weight_bits=np.full(shape[0], 4))

    return IntegerNetwork(Source((1, 4, 4)), [
        Spiking("conv", [Synapse("input", rng.integers(-7, 8, (3, 1, 3, 3)), padding=(1, 1))],
                bias=rng.integers(-50, 50, 3), theta=np.array([700, 800, 900]), v_init=np.array([350, 400, 450]),
                burst=7, state_bits=14, weight_bits=np.full(3, 4)),
        Pool("pool", "conv", "sum", (2, 2), (2, 2)), dense("wide", "pool", 14, 3, 2, 2),
        dense("deep", "wide", 12, 14, 1, 1),
        Readout("out", [Synapse("deep", rng.integers(-7, 8, (5, 12, 1, 1)))], np.zeros(5, int), np.full(5, 4)),
    ], timesteps=1)


def separated_network():
    """Two timesteps of inverse-leaky neurons: a convolution, a fused pool, a residual, a readout."""
    rng, zero = np.random.default_rng(6), np.zeros(3, int)
    identity = Synapse("pool", np.ones((3, 1, 1, 1), int), groups=3)
    return IntegerNetwork(Source((1, 2, 2)), [
        Spiking("conv", [Synapse("input", rng.integers(-7, 8, (3, 1, 3, 3)), padding=(1, 1))],
                bias=rng.integers(-50, 50, 3), theta=np.array([200, 300, 400]), v_init=zero,
                burst=1, state_bits=12, weight_bits=np.full(3, 4), neuron=INVERSE_LEAKY),
        Pool("pool", "conv", "sum", (2, 2), (2, 2)),
        Spiking("dense", [Synapse("pool", rng.integers(-7, 8, (3, 3, 1, 1)))], bias=np.array([3, 4, 5]),
                theta=np.array([5, 6, 7]), v_init=zero, burst=1, state_bits=8, weight_bits=np.full(3, 4),
                neuron=INVERSE_LEAKY),
        Spiking("sum", [Synapse("dense", rng.integers(-7, 8, (3, 3, 1, 1))), identity], bias=zero,
                theta=np.array([2, 2, 2]), v_init=zero, burst=1, state_bits=8, weight_bits=np.full(3, 4),
                neuron=INVERSE_LEAKY),
        Readout("out", [Synapse("sum", rng.integers(-7, 8, (3, 3, 1, 1)))], np.zeros(3, int), np.full(3, 4)),
    ], timesteps=2)


def installed():
    """Return the simulators of this machine; at least one must be there, or `make test` did not do its job."""
    names = []
    for name in SIMULATORS:
        try:
            names.append(choose_simulator(name))
        except ToolMissing:
            continue
    return names


FAST = min(installed())  # Icarus where it is installed: it builds in a moment


def tiny_network():
    """Two timesteps at most; a padded convolution with a fused pool, a layer, a readout of three classes."""
    rng = np.random.default_rng(4)
    return IntegerNetwork(Source((1, 4, 4)), [
        Spiking("conv", [Synapse("input", rng.integers(-7, 8, (3, 1, 3, 3)), padding=(1, 1))],
                bias=rng.integers(-50, 50, 3), theta=np.array([700, 800, 900]), v_init=np.array([350, 400, 450]),
                burst=7, state_bits=14, weight_bits=np.full(3, 4)),
        Pool("pool", "conv", "max", (2, 2), (2, 2)),
        Spiking("dense", [Synapse("pool", rng.integers(-7, 8, (2, 3, 2, 2)))], bias=np.array([3, 4]),
                theta=np.array([5, 6]), v_init=np.array([2, 3]), burst=3, state_bits=8, weight_bits=np.full(2, 4)),
        Readout("out", [Synapse("dense", rng.integers(-7, 8, (3, 2, 1, 1)))], np.zeros(3, int), np.full(3, 4)),
    ], timesteps=2, exit_rule=ExitRule("margin", limits=(10, 0)))


def put(core, name, content):
    """Replace a file of the core, and its hash."""
    (core / name).write_bytes(content)
    manifest = json.loads((core / "manifest.json").read_text())
    manifest["hashes"][name] = hashlib.sha256(content).hexdigest()
    write_manifest(core, manifest)


def top(core):
    """Return the Verilog before, in and behind the core's own module."""
    text = (core / "core.v").read_text()
    begin = text.index("module adafire_core(")
    end = text.index("endmodule", begin)
    return text[:begin], text[begin:end], text[end:]


def edit(core, pattern, replacement):
    """Change what the core's own module holds."""
    before, module, behind = top(core)
    module, count = re.subn(pattern, replacement, module)
    assert count
    put(core, "core.v", (before + module + behind).encode())


def edit_output(core, port, expression):
    """Give an output of the core an expression, in which ``sent`` is what it was."""
    before, module, behind = top(core)
    declared = re.search(rf"  output (\[\d+:0\] )?{port};\n  (?:wire|reg) .*?;\n", module)
    body = re.sub(rf"(?<![\w\\$.]){port}(?![\w$.])", "sent", module[declared.end():])
    changed = f"  wire {declared[1] or ''}sent;\n  assign {port} = {expression};\n"
    put(core, "core.v", "".join([before, module[: declared.end()], changed, body, behind]).encode())
