"""What a schedule will cost before any tool has run: cycles per image and resources by estimate, memories exactly."""

from dataclasses import replace

import numpy as np

from gen.layers import INPUT
from gen.layout.program import memory_shapes
from gen.layout.schedule import build_schedule
from gen.layout.weights import ideal_bits, word_bits

__all__ = [
    "estimate_cycles", "estimate_memories", "estimate_resources", "link_resources", "place_weights", "queue_blocks",
    "weight_memory",
]

INPUT_DENSITY, COUNT_DENSITY = 0.5, 1 / 3
PASS_OVERHEAD, CLASS_CYCLES = 40, 2


def estimate_cycles(schedule, timesteps=None):
    """Return the cycles of one image that runs ``timesteps`` (default: all of them; a two-phase network always does).

    Assumes that half of the input values and a third of the counts are not zero.
    """
    network, first, later = schedule.network, float(np.prod(schedule.network.source.shape)), 0.0
    for p in schedule.passes:
        gather = sum(_taps(network, p, synapse) for synapse in p.synapses)
        positions = p.rows * p.columns * p.tiles
        emitted = positions * p.tile_channels * COUNT_DENSITY if p.stored else 0
        first += max(gather, emitted, p.runs) + PASS_OVERHEAD
        later += max(0 if p.keep else gather, emitted, p.runs) + PASS_OVERHEAD
    steps = min(timesteps or schedule.rounds, schedule.rounds)
    decide = 3 * CLASS_CYCLES * network.classes + PASS_OVERHEAD
    return int(first + (steps - 1) * later + steps * decide)


def _taps(network, p, synapse):
    """Return the events that the tiles of a pass gather from one synapse."""
    channels = network.shapes[synapse.source][0] if not p.layer.weighted else synapse.weight.shape[1]
    density = INPUT_DENSITY if synapse.source == INPUT else COUNT_DENSITY
    return p.runs * synapse.kernel[0] * synapse.kernel[1] * channels * density


def estimate_memories(params):
    """Return {memory: (bits of one word, words)} of every memory of a core, copies for extra ports included."""
    width, beats, pointer = params.neurons, params.beats, params.event_address_bits
    return {
        **{name: (bits, depth) for name, (depth, bits) in memory_shapes(params).items()},
        "events": (params.index_bits + params.value_bits, params.events),
        "first_pointers": (pointer, params.pointers), "end_pointers": (pointer, params.pointers),
        "states": (width * params.state_bits, params.states * beats),
        "currents": (width * params.acc_bits, params.currents * beats),
        "logits": (width * params.acc_bits, params.class_tiles * beats),
    }


def weight_memory(network, lanes=None):
    """Return the bits in which the machine stores the weights of ``network``, narrow layers with half a word each.

    With ``lanes``, those of the smallest core's weight memory: idle lanes and the ones of pools included. Without,
    those of the weights alone, whatever the number of lanes.
    """
    if lanes is None:
        return ideal_bits(network, word_bits(network))
    width, words = estimate_memories(build_schedule(network, lanes).params)["weights"]
    return width * words


def place_weights(params, target):
    """Return ``params`` with the weights in single-port RAM where the part has enough of it, and then the states."""
    choices = (replace(params, spram=n) for n in ((2, 1, 0) if params.shared else (1, 0)))
    return next(placed for placed in choices if placed.spram_blocks <= target.spram_blocks)


def queue_blocks(params, target):
    """Return the block RAMs of a core's queues: some, where the part has no other small memory."""
    return (2 if params.shared else 8) * (target.family == "ice40")


def link_resources(target):
    """Return {lut, ff, bram, dsp} of the UART link that stands beside the core on a board."""
    joint = target.family == "ice40"
    return {"lut": 1200 if joint else 1000, "ff": 800, "bram": 6 if joint else 2, "dsp": 0}


def estimate_resources(params, target):
    """Return {lut, ff, bram, dsp} of a core on ``target``.

    Memories of 32 words or fewer go into look-up tables where the part has distributed memory. The logic is a fixed
    part, one for the synapses of a layer, one for the exit rules of softmax, and one per lane and accumulator bit,
    their shares taken from synthesized cores; narrow layers take a table for every bit of a weight word and of its
    address. Where table and flip-flop share a cell, the cells are counted as tables: two flip-flops in five sit behind
    theirs.
    """
    lanes, bits, brams, luts = params.lanes, params.acc_bits, 0, 0
    joint = target.family == "ice40"
    for name, (width, depth) in estimate_memories(params).items():
        if name in ("weights", "states")[: params.spram]:
            continue
        if depth > 32 or joint:
            brams += target.bram.count(width, depth)
        else:
            luts += width * -(-depth // 16) * 3 // 4
    brams += queue_blocks(params, target)
    luts += params.narrow * (lanes * params.weight_bits + params.weight_address_bits)
    if params.shared:
        luts += 1850 + 350 * params.synapses + 450 * params.softmax + lanes * (2 * bits + 15) + 9 * bits
        ffs = 1420 + 400 * params.synapses + 380 * params.softmax + lanes * (2 * bits + 15) + 9 * bits
    else:
        luts += 2800 + lanes * (22 * bits + 120)
        ffs = 3500 + lanes * (28 * bits + 180)
    luts += 3 * ffs // 5 if joint else 0
    return {"lut": int(luts), "ff": int(ffs), "bram": int(brams), "dsp": lanes + 3 * params.softmax}
