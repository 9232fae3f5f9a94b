"""The second machine in plain Python: an executable specification that reads nothing but a core's memories.

`Machine` takes the parameters of a core and what is loaded into it, and runs images as the gateware does: walker,
gather, lanes, serial firing with running addresses, pooling, map words, decision, rounds and stages. It shows every
neuron of every group in firing order, and how many cycles each part takes tile by tile.
"""

from dataclasses import dataclass, field

import numpy as np

from gen.exit_rule import ExitRule
from gen.plan.program import EXIT_CODES, synapse_fields, words_of
from sim.golden.plain import exits
from tests.kit.program_walk import Program, share

__all__ = ["Fired", "Machine", "MachineError", "Run"]

EXIT_KINDS = {code: kind for kind, code in EXIT_CODES.items()}
TILE_CYCLES = 4     # the walker makes a tile of one synapse in so many cycles
SYNAPSE_CYCLES = 6  # each of several synapses, beside the words of its block
PASS_CYCLES = 12    # from a word's request to the first sum, and from the last neuron to the next pass, in all


class MachineError(Exception):
    """The program asks for what the core cannot do: an address or a number that does not fit."""


@dataclass(frozen=True)
class Fired:
    """A neuron as the probe shows it: index of its pass in running order, count, state or value of an output."""

    index: int
    count: int
    state: int


@dataclass(eq=False)
class Run:
    """What one image did.

    outputs : values of all outputs, as a result has them; ``classes``: of each position of the one that decides
    timesteps : over all stages that ran; ``passed``: whether the last stage's rule held
    fired : for each group `Fired`, in order
    cycles : of each pass, in the order in which they ran
    """

    outputs: list[int] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    stages: int = 0
    timesteps: int = 0
    passed: bool = False
    events: int = 0
    synaptic_ops: int = 0
    fired: list[list[Fired]] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)


class Machine:
    """A core of ``params`` whose loadable memories hold ``contents``, {name: words}."""

    def __init__(self, params, contents):
        self.params = p = params
        self.program = Program(p, contents["program"])
        self._limits = contents["limits"]
        self._groups = [
            _Group(p, contents[f"weights_{g}"], [contents[f"parameters_{g * p.neurons + n}"] for n in range(p.neurons)])
            for g in range(p.groups)
        ]
        # Every group has a copy of the maps and of the input; the copies are equal, so one stands for all.
        self.maps = np.zeros((p.map_words, p.width), np.int64)
        # Each that has values of outputs has its own; another network may have left what it likes in them.
        self._outputs = np.arange(p.outputs) + np.arange(p.groups if p.shared else 1)[:, None]
        self._walked = {}

    def run(self, values) -> Run:
        """Run one image, the flat input values in raster order, channels innermost, all frames one after another.

        Of a batch all its images.
        """
        run = Run(fired=[[] for _ in self._groups])
        header = self.program.header
        size = (header["image_channels"] + 1) * (header["image_positions"] + 1)
        images = [self._image(values[at : at + size]) for at in range(0, len(values), size)]
        index = ended = 0
        for number, stage in enumerate(self.program.stages):
            passes = self.program.passes(number)
            for step in range(stage["rounds"] + 1):
                image = images[step if header["frames"] else min(ended, len(images) - 1)]
                image = image[step * header.get("frame_words", 0):]
                for n, one in enumerate(passes):
                    self._run_pass(one, index + n, image, step == 0, run)
                if self.params.batch == 1 or stage is self.program.stages[-1]:
                    run.passed, run.classes = self._decide(stage, step)
                if run.passed:
                    break
            index += len(passes)
            run.stages += 1
            ended += stage.get("ends", 0)
            run.timesteps += stage["timesteps"] + 1 if stage["whole"] else step + 1
            if run.passed:
                break
        run.timesteps = ended or run.timesteps  # of a batch, images
        run.outputs = self.outputs()[: header["outputs"] + 1].tolist()
        return run

    def outputs(self):
        """Return the values of all outputs, of which every group may have a share."""
        return self._outputs.sum(axis=0) if self.program.header.get("shared", 0) else self._outputs[0]

    def walk(self, one, first_step):
        """Return the tiles and requests of a pass, as `PassProgram.tiles` yields them; walked once."""
        key = id(one), bool(first_step)
        if key not in self._walked:
            self._walked[key] = list(one.tiles(first_step))
        return self._walked[key]

    def _image(self, values):
        """Return the words of one input map: each position begins a new word."""
        header, p = self.program.header, self.params
        tile, channels = header["image_tile"] + 1, header["image_channels"] + 1
        positions = np.asarray(values, np.int64).reshape(-1, channels)
        words = np.zeros((len(positions), -(-channels // tile) * tile), np.int64)
        words[:, :channels] = positions
        words = words.reshape(-1, tile)
        _check(len(words) <= p.image_words and tile <= p.image_tile, "the input does not fit its memory")
        return np.pad(words, ((0, 0), (0, p.width - tile))) if tile < p.width else words

    def _run_pass(self, one, index, image, first_step, run):
        """Run all tiles of a pass in all groups."""
        for group in self._groups:
            group.begin(one.fields)
        clock = _Clock(self.params, one)
        for tile, requests in self.walk(one, first_step):
            clock.walk(len(requests))
            for number, group in enumerate(self._groups):
                own = share(one.fields, tile, number)
                if own is None:
                    continue
                sums, work, cycles = group.gather(one, own, requests, image, self.maps)
                run.synaptic_ops += work
                counts, states = group.fire(one.fields, tile, own, sums, self._outputs[number % len(self._outputs)])
                run.fired[number] += [Fired(index, *both) for both in zip(counts.tolist(), states.tolist())]
                run.events += self._store(one.fields, tile, own, group.pool(one.fields, tile, counts))
                clock.gather(number, cycles, own.lanes)
        run.cycles.append(clock.end)

    def _store(self, fields, tile, own, counts):
        """Write a word of the map, if the tile completes one; return its events."""
        p = self.params
        if not tile.window_last:
            return 0
        if fields["stores"]:
            low = -(1 << (p.count_bits - 1)) if p.signed else 0
            fits = low <= counts.min() and counts.max() < low + (1 << p.count_bits)
            _check(fits, "a count does not fit a map's word")
            _check(0 <= own.address < p.map_words, f"a word is stored at {own.address}")
            self.maps[own.address] = 0
            self.maps[own.address, : own.lanes] = counts
        return int(np.count_nonzero(counts)) if fields["counted"] else 0

    def _decide(self, stage, step):
        """Return whether the exit rule holds, and the class of each position."""
        count, positions = stage["classes"] + 1, stage["positions"] + 1
        z = self.outputs()[stage["output"] :][: count * positions].reshape(positions, count)
        kind = EXIT_KINDS[stage["exit_kind"]]
        passed = False
        if kind != "off":
            limit = self._limits[stage["limits"] + step]
            rule = ExitRule(kind, stage["exit_shift"], stage["exit_scale"], (limit,))
            passed = sum(exits(rule, at, 1) for at in z.tolist()) >= stage["required"]
        return passed, z.argmax(axis=1).tolist()


class _Group:
    """One group: its weights and parameters, what its neurons remember, and its running addresses."""

    def __init__(self, params, weights, parameters):
        self._params = p = params
        halves = 2 * p.width if p.narrow else 0
        self._weights = {False: _lanes(weights, p.width, p.weight_bits)}
        if halves:  # in each lane the even word lies below the odd one
            split = _lanes(weights, halves, p.weight_bits // 2).reshape(-1, p.width, 2)
            self._weights[True] = split.transpose(0, 2, 1).reshape(-1, p.width)
        self._parameters = np.array([[_fields(word, (
            (p.theta_bits, False), (p.bias_bits, True), (p.state_bits, True), (p.theta_bits * p.signed, False),
        )) for word in words] for words in parameters], np.int64)  # of each neuron
        self._states, self._currents = (np.zeros((p.neurons, max(1, n)), np.int64) for n in (p.states, p.currents))
        self._windows, self._step = np.zeros((p.pool_steps, p.width), np.int64), 0

    def begin(self, fields):
        """Let the running addresses take the bases of a pass."""
        self._place = self._start = fields["output" if fields["readout"] else "state"]
        self._current, self._step = fields["current"], 0

    def gather(self, one, own, requests, image, maps):
        """Return (sums of all lanes, synaptic operations, cycles) of a tile."""
        p, fields = self._params, one.fields
        weights, maximum = self._weights[bool(fields.get("narrow", 0))], fields["maximum"] and p.maximum
        terms, work, cycles = [np.zeros((0, p.width), np.int64)], 0, 0
        for request in requests:
            block = one.synapses[request.synapse][0]
            column = request.column + own.position * block.get("position_columns", 0)
            if not request.hit or not 0 <= column < block["columns"]:
                continue
            address = request.address + own.position * block.get("position_step", 0)
            address += own.part * block.get("part_step", 0)
            source = image if request.image else maps
            _check(0 <= address < len(source), f"a word is read at {address}")
            word = source[address]
            lanes = np.flatnonzero(word)
            if request.dense:
                if len(lanes) or (maximum and p.signed):
                    terms.append((word * weights[request.weight])[None])
                    cycles += 1
                work += len(lanes) if request.active else 0
            elif len(lanes):
                terms.append(word[lanes, None] * weights[request.weight + lanes])
                cycles += len(lanes)
                work += len(lanes) * min(request.active, own.lanes)
        terms = np.concatenate(terms)
        sums = (terms.max(axis=0) if len(terms) else np.zeros(p.width, np.int64)) if maximum else terms.sum(axis=0)
        return sums, work, max(1, cycles)

    def fire(self, fields, tile, own, sums, outputs):
        """Return counts and states of a tile's neurons; keep states, currents and outputs."""
        p, lanes = self._params, np.arange(own.lanes)
        beats, neuron = np.divmod(lanes, p.neurons)
        total = sums[: own.lanes].copy()
        if fields["pool"]:
            self._advance(fields, tile, own.lanes)
            return total, total
        behind = tile.parameter + int(beats[-1]) + 1
        _check(behind <= self._parameters.shape[1], f"parameters are read at {tile.parameter}")
        theta, bias, v_init, theta_low = self._parameters[neuron, tile.parameter + beats].T
        total += 0 if fields.get("unbiased", 0) else bias
        if fields["keep"]:
            at = neuron, (self._current + (lanes if fields["readout"] else beats)) % self._currents.shape[1]
            if tile.first:
                self._currents[at] = total
            total = self._currents[at]
        resumes, initial = fields.get("resumes", 0), tile.first and not fields.get("resumes", 0)
        if fields["readout"]:
            memory, at = outputs, (self._place + lanes) % len(outputs)
        else:  # who has no states reads none
            memory, at = self._states, (neuron, (self._place + beats) % self._states.shape[1])
        v = (0 if fields["readout"] else v_init) if initial else memory[at]
        u = total + (2 * v if resumes else v)
        _check(np.abs(2 * u + 1).max() < 1 << p.acc_bits, "a membrane does not fit the accumulator")
        counts = np.zeros_like(u)
        if not fields["readout"]:
            counts, spent = _burst(fields, u, theta, theta_low)
            limit = fields["state_limit"]
            u = np.clip(u - spent, -limit - 1, limit)
        memory[at] = u
        self._advance(fields, tile, own.lanes)
        return counts, u

    def pool(self, fields, tile, counts):
        """Return the counts joined to those of the same window and timestep before."""
        window = self._windows[self._step % self._params.pool_steps, : len(counts)]
        self._step = self._step + 1 if fields["rewind"] and not tile.last else 0
        if tile.window_first:
            window[:] = counts
        elif fields["fused_maximum"] and self._params.maximum:
            np.maximum(window, counts, out=window)
        else:
            window += counts
        return window

    def _advance(self, fields, tile, lanes):
        """Move the running addresses behind a tile; in tile order its next timestep begins where this one did."""
        beats = lanes if fields["readout"] else -(-lanes // self._params.neurons)
        if not fields["rewind"]:
            self._place, self._current = self._place + beats, self._current + beats
        elif fields["readout"] and tile.last:
            self._place += lanes


class _Clock:
    """A model of the cycles of one pass: the walker, each group's gather and the serial part, tile by tile."""

    def __init__(self, params, one):
        synapses, p = len(one.synapses), params
        several = synapses * (SYNAPSE_CYCLES + words_of(synapse_fields(p)))
        self._making = several if synapses > 1 else TILE_CYCLES
        self._spacing, self._walker = one.fields["spacing"] + 1, 0
        self._ends, self._latency = [None] * p.groups, p.neuron_latency
        self._neurons = 1 if one.fields["readout"] else p.neurons
        self.end = 0

    def walk(self, requests):
        """The walker sends a tile: its requests and the end, or as long as it takes to make the next one."""
        self._walker += max(self._making, requests + 1)

    def gather(self, group, cycles, lanes):
        """A group gathers a tile, and ends it at the earliest a spacing behind the one before."""
        before = self._ends[group]
        end = self._walker if before is None else max(self._walker, before + cycles, before + self._spacing)
        self._ends[group] = end
        self.end = max(self.end, end + -(-lanes // self._neurons) + self._latency + PASS_CYCLES)


def _burst(fields, u, theta, theta_low):
    """Return the counts of the membranes, and what they take from them."""
    if fields.get("two_thresholds", 0):
        below = u < 0
        spent, cap = np.where(below, theta_low, theta), np.where(below, fields["burst_low"], fields["burst"])
        size = np.minimum((np.abs(u) + spent // 2) // np.maximum(spent, 1), cap)
        sign = np.where(below, -1, 1)
    else:
        spent, sign = theta, 1
        size = np.clip(u // np.maximum(theta, 1), 0, fields["burst"])
    size = np.where(size > fields.get("quiet", 0), size, 0)
    return sign * size, sign * size * spent


def _lanes(words, lanes, bits):
    """Return int64 [words, lanes], two's complement."""
    return np.array([_fields(word, ((bits, True),) * lanes) for word in words], np.int64)


def _fields(word, shapes):
    """Return the numbers of a memory word, the lowest bits first; ``shapes``: (bits, signed) of each."""
    values = []
    for bits, signed in shapes:
        value = word & ((1 << bits) - 1)
        values.append(value - (1 << bits) if signed and bits and value >> (bits - 1) else value)
        word >>= bits
    return values


def _check(holds, what):
    if not holds:
        raise MachineError(what)
