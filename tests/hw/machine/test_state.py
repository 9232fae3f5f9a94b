"""`hw.machine.state` against dictionaries: parameters, states, kept currents and logits over timesteps."""

import numpy as np
import pytest

from gen.layout.program import memory_shapes
from hw.machine.neuron import latency
from hw.machine.state import READ, StateStore
from tests.kit.streams import play

LANES = 3
NAMES = ("theta", "bias", "v", "kept", "summed", "fired", "tiles.ready", "parameters.ready")


def draw_words(rng, bits, count, signed=True):
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (1, 1 << bits)
    return rng.integers(low, high, (count, LANES)).tolist()


def packed(rows, bits, neurons):
    rows = [row[at : at + neurons] for row in rows for at in range(0, LANES, neurons)]
    return [sum((v & (1 << bits) - 1) << bits * n for n, v in enumerate(row)) for row in rows]


class Script:
    """Inputs by cycle, and what the outputs must be at which cycle."""

    def __init__(self, params, rng):
        self.params, self.rng = params, rng
        self.inputs, self.expected, self.now = {}, [], 0
        self.last = READ + latency(params)
        depth = memory_shapes(params)["theta"][0] // params.beats
        self.parameters = {
            "theta": draw_words(rng, params.theta_bits, depth, signed=False),
            "bias": draw_words(rng, params.bias_bits, depth),
            "v_init": draw_words(rng, params.state_bits, depth),
        }
        self.states, self.currents, self.logits = {}, {}, {}

    def image(self):
        p = self.params
        bits = {"theta": p.theta_bits, "bias": p.bias_bits, "v_init": p.state_bits}
        return {name: packed(rows, bits[name], p.neurons) for name, rows in self.parameters.items()}

    def put(self, cycle, **values):
        self.inputs.setdefault(cycle, {}).update(values)

    def run_pass(self, layer, tiles, first_step, gap):
        """Append a pass of ``tiles`` tiles; ``gap`` is the chance of an idle cycle between two."""
        rng = self.rng
        layer = {"state_base": 0, "current_base": 0} | layer
        bases = {name: layer[name] * self.params.beats for name in ("state_base", "current_base")}
        self.put(self.now, begin=1, layer=layer | bases, first_step=first_step)
        self.put(self.now + 1, begin=0)
        cycle = self.now + 1
        for n in range(tiles):
            cycle += int(rng.geometric(1 - gap)) - 1 if gap else 0
            self._tile(layer, n, first_step, cycle)
            cycle += self.params.beats
        self.now = cycle + self.last + 2

    def _tile(self, layer, n, first_step, cycle):
        rng, p = self.rng, self.params
        at = int(rng.integers(0, len(self.parameters["theta"])))
        self.put(cycle, ending=1, **{"parameters": at * p.beats})
        self.inputs.setdefault(cycle + 1, {}).setdefault("ending", 0)
        v, kept, first_step = [0] * LANES, None, first_step and not layer.get("resumes")
        place, current_place = layer["state_base"] + n, layer["current_base"] + n
        if layer.get("readout"):
            v = v if first_step else self.logits[n]
        elif not layer.get("pool_pass"):
            v = self.parameters["v_init"][at] if first_step else self.states[place]
        if layer.get("keep") and not first_step:
            kept = self.currents[current_place]
        current, state = draw_words(rng, p.acc_bits, 1)[0], draw_words(rng, p.state_bits, 1)[0]
        if layer.get("readout"):
            state = self.logits[n] = draw_words(rng, p.acc_bits, 1)[0]
        elif not layer.get("pool_pass"):
            self.states[place] = state
        if layer.get("keep") and first_step:
            self.currents[current_place] = current
        bias = [0] * LANES if layer.get("unbiased") else self.parameters["bias"][at]
        wanted = {"theta": self.parameters["theta"][at], "bias": bias, "v": v}
        wanted |= {"kept": kept} if kept else {}
        self.expected.append((cycle + READ, "summed", 1))
        for beat in range(p.beats):
            own = slice(beat * p.neurons, (beat + 1) * p.neurons)
            self.expected += [(cycle + beat + READ, name, value[own]) for name, value in wanted.items()]
            self.expected.append((cycle + beat + self.last, "fired", 1))
            self.put(cycle + beat + READ + 1, current=current[own])
            self.put(cycle + beat + self.last, state=state[own])
        self.expected.append((cycle + p.beats - 1 + self.last, "tiles.ready", 1))
        self.expected.append((cycle, "parameters.ready", 1))

    def check(self, dut, note):
        """Play the script and compare."""
        rows = [self._row(self.inputs.get(cycle, {})) for cycle in range(self.now)]
        seen = [dict(zip(NAMES, values)) for values in play(dut, rows, *NAMES)]
        for cycle, name, value in self.expected:
            assert seen[cycle][name] == value, f"{note}, cycle {cycle}: {name}"
        for strobe in ("summed", "fired", "tiles.ready", "parameters.ready"):
            wanted = {cycle for cycle, name, _ in self.expected if name == strobe}
            assert {cycle for cycle, row in enumerate(seen) if row[strobe]} == wanted, f"{note}: {strobe}"

    def _row(self, values):
        noise = [words[: self.params.neurons] for words in draw_words(self.rng, self.params.acc_bits, 2)]
        row = dict(zip(("current", "state"), noise)) | values
        return {{"parameters": "parameters.payload"}.get(name, name): value for name, value in row.items()}


PASSES = [
    ({"keep": 1, "state_base": 0, "current_base": 3}, 6),
    ({"state_base": 6}, 7),
    ({"pool_pass": 1}, 5),
    ({"readout": 1}, 2),
]


@pytest.mark.parametrize("gap", [0, 0.6])
@pytest.mark.parametrize("neurons, seed", [(LANES, 0), (LANES, 1), (1, 2), (1, 3)])
def test_what_a_tile_remembers(sizes, neurons, seed, gap):
    params = sizes(lanes=LANES, neurons=neurons)
    script = Script(params, np.random.default_rng([seed, bool(gap)]))
    for _ in range(2):
        for step in range(3):
            for layer, tiles in PASSES:
                script.run_pass(layer, tiles, int(step == 0), gap)
    script.check(StateStore(params, script.image()), f"seed {seed}")


SEPARATED = [
    ({"silent": 1, "unbiased": 1}, 6), ({"silent": 1, "unbiased": 1, "resumes": 1}, 6),
    ({"resumes": 1}, 6), ({"state_base": 6, "unbiased": 1}, 7), ({"unbiased": 1, "resumes": 1}, 6),
    ({"pool_pass": 1}, 5), ({"state_base": 6, "resumes": 1}, 7), ({"state_base": 6, "unbiased": 1, "resumes": 1}, 7),
    ({"readout": 1, "unbiased": 1}, 2), ({"readout": 1, "resumes": 1}, 2),
]


@pytest.mark.parametrize("gap", [0, 0.6])
@pytest.mark.parametrize("neurons, seed", [(LANES, 0), (1, 1)])
def test_the_passes_of_a_separated_network_resume_and_leave_out_the_bias(sizes, neurons, seed, gap):
    params = sizes(lanes=LANES, neurons=neurons, separated=1)
    script = Script(params, np.random.default_rng([seed, bool(gap), 5]))
    for _ in range(2):
        for layer, tiles in SEPARATED:
            script.run_pass(layer, tiles, 1, gap)
    script.check(StateStore(params, script.image()), f"seed {seed}")


@pytest.mark.parametrize("neurons", [LANES, 1])
def test_the_words_of_the_readout_can_be_read(sizes, neurons):
    params = sizes(lanes=LANES, neurons=neurons)
    script = Script(params, np.random.default_rng(neurons))
    script.run_pass({"readout": 1}, 2, 1, 0)
    words = [row[at : at + neurons] for row in script.logits.values() for at in range(0, LANES, neurons)]
    rows = [script._row(script.inputs.get(cycle, {})) for cycle in range(script.now)]
    rows += [{"logit_read": 1, "logit_address": at} for at in range(len(words))] + [{}]
    seen = play(StateStore(params, script.image()), rows, "logits")
    assert [value for value, in seen[script.now + 1 :]] == words
