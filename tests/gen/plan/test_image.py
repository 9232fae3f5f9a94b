"""`gen.plan.image` and `gen.plan.program_words`: what is loaded, word by word."""

from zlib import crc32

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import SHARE_ONE
from gen.layers import INPUT
from gen.plan.image import read_image, write_image
from gen.plan.lanes import LANES
from gen.plan.params import LEVELS
from gen.plan.passes import thresholds
from gen.plan.plan import make_plan
from gen.plan.program import EXIT_CODES
from tests.gen.plan.reader import read_program
from tests.kit.random_networks import FIRST, SECOND, random_network, random_staged_network

SMALL = dict(max_neurons=500, max_weights=2000)


def random_plan(seed):
    if seed % 4 == 3:
        network = random_staged_network(seed, max_timesteps=3, **SMALL)
    else:
        network = random_network(seed, contract=(FIRST, SECOND)[seed % 2], **SMALL)
    return make_plan(network, sorted(LANES)[seed % 5])


def test_the_stream_is_blocks_and_a_digest():
    plan = random_plan(0)
    stream, at = plan.load_stream.tolist(), 0
    for code, (name, words) in enumerate(plan.contents.items()):
        size = -(-plan.memories[name].width // 32)
        assert stream[at : at + 2] == [code << 24, len(words)], name
        body = np.array(stream[at + 2 : at + 2 + size * len(words)]).reshape(-1, size).tolist()
        assert [sum(part << 32 * i for i, part in enumerate(parts)) for parts in body] == words, name
        at += 2 + size * len(words)
    assert stream[at : at + 2] == [0xFF << 24, 1] and at + 3 == len(stream)
    assert stream[-1] == plan.digest == crc32(np.array(stream[:at], "<u4").tobytes())


def test_an_image_is_the_same_every_time_and_read_back(tmp_path):
    plan, path = random_plan(6), tmp_path / "image.bin"
    assert plan.contents == random_plan(6).contents
    write_image(path, plan.load_stream)
    assert path.stat().st_size == 4 * len(plan.load_stream)
    np.testing.assert_array_equal(read_image(path), plan.load_stream)


@pytest.mark.parametrize("damage, text", [
    (lambda data: data[:-4], "is damaged or no memory image"), (lambda data: data + bytes(4), "is damaged"),
    (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "is damaged"),
    (lambda data: data[:-1] + bytes([data[-1] ^ 128]), "is damaged"),
    (lambda data: data[:-1], "is no memory image"), (lambda data: b"", "is no memory image"),
], ids=["cut", "longer", "bit", "digest", "byte", "empty"])
def test_a_damaged_image_is_refused(tmp_path, damage, text):
    path = tmp_path / "image.bin"
    write_image(path, random_plan(2).load_stream)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=text):
        read_image(path)


@pytest.mark.parametrize("seed", range(20))
def test_header_and_stages_are_those_of_the_network(seed):
    plan = random_plan(seed)
    header, stages, _ = read_program(plan)
    source, region = plan.network.source, plan.regions[0, INPUT, 0]
    values = (header["image_channels"] + 1) * (header["image_positions"] + 1)
    assert values == np.prod(source.shape) * region.versions, f"seed {seed}"
    assert header["image_tile"] + 1 == region.tile_channels
    assert header["frames"] == (source.kind == "frames" and region.versions == 1)
    assert header["outputs"] + 1 == sum(np.prod(plan.network.stages[0].shapes[name]) for name in plan.network.outputs)
    limits = plan.contents["limits"]
    for block, stage in zip(stages, plan.stages, strict=True):
        network, rule = stage.network, stage.network.exit_rule
        assert block["exit_kind"] == EXIT_CODES[rule.kind]
        assert tuple(limits[block["limits"] :][: len(rule.limits)]) == rule.limits
        assert block["timesteps"] + 1 == network.timesteps == (1 + block["rounds"]) * (
            network.timesteps if block["whole"] else 1)
        assert block["classes"] + 1 == network.classes
        positions, needed = block["positions"] + 1, block["required"]
        assert positions == np.prod(network.shapes[network.readout.name][1:])
        for passing in (needed - 1, needed):
            assert (passing * SHARE_ONE >= rule.share * positions) == (passing == needed)


@pytest.mark.parametrize("seed", range(20))
def test_passes_are_those_of_the_layers(seed):
    plan = random_plan(seed)
    _, stages, blocks = read_program(plan)
    firsts = {block["first_pass"] for block in stages}
    assert firsts == {blocks[stage.passes[0].index]["at"] for stage in plan.stages}
    for p, block, following in zip(plan.passes, blocks, [*blocks[1:], {"at": len(plan.contents["program"])}]):
        layer, where = p.layer, f"seed {seed}, {p.title}"
        assert block["next"] == following["at"] and block["synapses"] == len(p.synapses), where
        assert [block[f"{level}_turns"] + 1 for level in LEVELS] == [p.walk.turns[level] for level in LEVELS]
        assert (block["readout"], block["pool"]) == (not layer.emits, not layer.weighted), where
        assert block["stores"] == (p.stored is not None) and block["rewind"] == (p.steps > 1), where
        if layer.fires:
            assert block["burst"] == (0 if p.silent else layer.burst), where
            assert block["state_limit"] + 1 == 2 ** (layer.state_bits - 1), where
            assert block.get("two_thresholds", 0) == layer.signed, where
            assert block.get("quiet", 0) == (0 if p.silent else layer.min_burst - 1), where
        network = plan.stages[p.stage].network
        readers = network.readers[p.stored] if p.stored else ()
        assert block["counted"] == any(reader.weighted for reader in readers), where


@pytest.mark.parametrize("seed", range(20))
def test_parameters_are_those_of_the_channels(seed):
    plan = random_plan(seed)
    params = plan.params
    widths = (params.theta_bits, params.bias_bits, params.state_bits, params.theta_bits * params.signed)
    for p in plan.passes:
        for group in range(params.groups if p.layer.weighted else 0):
            part = group % p.loops.parts
            if group >= p.loops.parts * p.loops.positions:
                continue
            channels = [c for c in range(p.channels) if c // p.tile_channels % p.loops.parts == part]
            words = plan.contents[f"parameters_{group}"][p.parameter :][: len(channels)]
            for c, word in zip(channels, words, strict=True):
                theta, bias, v_init, low = _values(word, widths)
                own = 0 if p.loops.shared and group else p.layer.bias[c]  # of a shared readout group 0 adds it
                assert _signed(bias, params.bias_bits) == own, f"seed {seed}, {p.title}"
                if p.layer.fires:
                    assert theta == thresholds(plan.stages[p.stage].network, p.layer)[c], f"seed {seed}, {p.title}"
                    assert _signed(v_init, params.state_bits) == p.layer.v_init[c], f"seed {seed}, {p.title}"
                    assert low == (p.layer.theta_low[c] if p.layer.signed else 0), f"seed {seed}, {p.title}"


def _values(word, widths):
    values = []
    for bits in widths:
        values.append(word & ((1 << bits) - 1))
        word >>= bits
    return values


def _signed(value, bits):
    return value - (value >> (bits - 1) << bits)
