"""`gen.layout.image`: every word of the memory image, decoded by itself and compared with the network."""

import numpy as np
import pytest

from gen.layers import INPUT
from gen.layout.image import load_stream, memory_image, read_image, write_image
from gen.layout.program import (EXIT_CODES, MEMORIES, WORD_BITS, header_fields, layer_fields, memory_shapes,
                         synapse_fields, words_of)
from gen.layout.schedule import build_schedule
from tests.kit.random_networks import random_network

SEEDS = range(28)


def schedule(seed):
    return build_schedule(random_network(seed, max_neurons=600), (1, 2, 3, 5, 8, 16, 64)[seed % 7])


def unpack(layout, words):
    bits, values = sum(word << (WORD_BITS * n) for n, word in enumerate(words)), {}
    for name, (width, signed) in layout.items():
        value, bits = bits % 2**width, bits >> width
        values[name] = value - 2**width if signed and value >= 2 ** (width - 1) else value
    return values


def program(s):
    """Return (header, [(layer block, synapse blocks)]) from the program's words."""
    words, p = list(memory_image(s)["program"]), s.params

    def take(layout):
        taken, words[:] = words[: words_of(layout)], words[words_of(layout):]
        return unpack(layout, taken)

    header = take(header_fields(p))
    passes = [(take(layer_fields(p)), [take(synapse_fields(p)) for _ in range(p.synapses)]) for _ in s.passes]
    assert not words, "the program ends with its last record"
    return header, passes


def lanes(word, bits, count, signed=True):
    values = [(word >> (bits * n)) % 2**bits for n in range(count)]
    return [v - 2**bits if signed and v >= 2 ** (bits - 1) else v for v in values]


@pytest.mark.parametrize("seed", SEEDS)
def test_memories_hold_words_of_their_shape(seed):
    s = schedule(seed)
    image = memory_image(s)
    assert tuple(image) == MEMORIES
    for name, (depth, bits) in memory_shapes(s.params).items():
        assert len(image[name]) == (s.network.timesteps if name == "limits" else depth)
        assert all(0 <= word < 2**bits for word in image[name]), name


@pytest.mark.parametrize("seed", SEEDS)
def test_parameters_are_those_of_the_channels(seed):
    s = schedule(seed)
    image, p = memory_image(s), s.params
    theta, bias, v_init = (
        np.reshape([lanes(word, bits, p.neurons, signed) for word in image[name]], (-1, p.lanes)).tolist()
        for name, bits, signed in (("theta", p.theta_bits, False), ("bias", p.bias_bits, True),
                                   ("v_init", p.state_bits, True)))
    for one in s.passes:
        for tile in range(one.tiles):
            at, first = one.parameter_base + tile, tile * one.tile_channels
            used = slice(0, min(one.tile_channels, one.channels - first))
            own = slice(first, first + used.stop)
            if one.layer.fires:
                assert theta[at][used] == one.layer.theta[own].tolist()
                assert v_init[at][used] == one.layer.v_init[own].tolist()
            if one.layer.weighted:
                assert bias[at][used] == one.layer.bias[own].tolist()
            idle = slice(used.stop, None)
            assert set(theta[at][idle]) <= {2**p.theta_bits - 1}
            assert not any(bias[at][idle] + v_init[at][idle])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_weight_is_stored_once(seed):
    """Per pass and synapse, the stored weights of each output channel are the network's, zeros left out."""
    s = schedule(seed)
    words, p = memory_image(s)["weights"], s.params
    for one in s.passes:
        starts = [other.weight_bases[0] for other in s.passes] + [len(words)]
        ends = [*one.weight_bases[1:], min(start for start in starts if start > one.weight_bases[-1])]
        for synapse, start, end in zip(one.synapses, one.weight_bases, ends):
            bits, count = (p.weight_bits // 2, 2 * p.lanes) if one.narrow else (p.weight_bits, p.lanes)
            stored = np.array([lanes(word, bits, count) for word in words[start:end]])
            if one.narrow:  # low and high half of every lane, one word of weights after the other
                stored = stored.reshape(-1, p.lanes, 2).swapaxes(1, 2).reshape(-1, p.lanes)
            if not one.layer.weighted:
                assert set(stored.ravel().tolist()) <= {0, 1}
                continue
            tiles = np.split(stored[: len(stored) // one.tiles * one.tiles], one.tiles)
            for out, weight in enumerate(synapse.weight):
                column = tiles[out // one.tile_channels][:, out % one.tile_channels]
                where = f"{one.layer.name}, channel {out}"
                assert sorted(column[column != 0]) == sorted(weight[weight != 0]), where


@pytest.mark.parametrize("seed", SEEDS)
def test_the_program_says_what_the_network_is(seed):
    s = schedule(seed)
    network, (header, passes) = s.network, program(s)
    channels, height, width = network.source.shape
    rule = network.exit_rule
    assert header | {
        "layers": len(s.passes) - 1, "timesteps": network.timesteps - 1,
        "frames": network.source.kind == "frames", "input_channels": channels - 1,
        "input_row": width * channels - 1, "input_rows": height - 1,
        "classes": network.classes - 1, "exit_kind": EXIT_CODES[rule.kind], "exit_shift": rule.shift,
        "exit_scale": rule.scale, "event_base": s.regions[INPUT, 0].events,
        "pointer_base": s.regions[INPUT, 0].pointers,
    } == header
    for one, (layer, synapses) in zip(s.passes, passes):
        assert bool(layer["readout"]) is (not one.layer.emits) is (one is s.passes[-1])
        assert layer["pool_pass"] == (not one.layer.weighted)
        loops = ("rows", "columns", "tiles", "pool_rows", "pool_columns")
        assert np.prod([layer[loop] + 1 for loop in loops]) == one.runs
        assert layer["synapses"] + 1 == len(one.synapses)
        fires = one.layer.fires
        limits = (one.layer.burst, 2 ** (one.layer.state_bits - 1) - 1) if fires else (0, 0)
        assert (layer["burst"], layer["state_limit"]) == limits
        assert not any(any(block.values()) for block in synapses[len(one.synapses):]), "the unused are zero"


def read_stream(stream, params):
    """Return {memory: words} that the blocks of a load stream hold."""
    words, image = iter(stream.tolist()), {}
    for head in words:
        name = MEMORIES[head >> 24]
        beats = -(-memory_shapes(params)[name][1] // WORD_BITS)
        assert head & 0xFFFFFF == 0 and name not in image
        image[name] = [sum(next(words) << (WORD_BITS * n) for n in range(beats)) for _ in range(next(words))]
    return image


@pytest.mark.parametrize("seed", range(7))
def test_the_load_stream_carries_the_image(seed, tmp_path):
    s = schedule(seed)
    image = memory_image(s)
    stream = load_stream(image, s.params)
    assert stream.dtype == np.uint32
    assert read_stream(stream, s.params) == image
    write_image(tmp_path / "image.bin", stream)
    assert (tmp_path / "image.bin").stat().st_size == 4 * len(stream)
    np.testing.assert_array_equal(read_image(tmp_path / "image.bin"), stream)


def test_the_image_is_the_same_every_time():
    first, second = (memory_image(build_schedule(random_network(6), 4)) for _ in range(2))
    assert first == second
