"""What the loadable memories hold: words of weights group by group, of parameters neuron by neuron, the program.

Words are Python integers: those of a layer are made from arrays of lanes at once, for a network has many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gen.plan.blocks import pack_block, run_head, stage_blocks
from gen.plan.grouping import tile_window
from gen.plan.memories import loadable_memories, parameter_bits
from gen.plan.outside import groups_of_parts
from gen.plan.passes import Pass, thresholds
from gen.plan.program_words import program_words

__all__ = ["memory_contents"]


def memory_contents(plan) -> dict[str, Sequence[int] | np.ndarray]:
    """Return {memory: words} of every loadable memory of a `gen.plan.plan.Plan`, in the order of loading.

    What lies outside the chip is a uint32 array.
    """
    limits = [limit for stage in plan.stages for limit in stage.network.exit_rule.limits]
    fixed = {"program": program_words(plan), "limits": limits or [0]}
    makers = {"weights": _weights, "parameters": _parameters, "outside": _outside}
    return {
        name: fixed[name] if name in fixed else makers[spec.role](plan, spec.owner)
        for name, spec in loadable_memories(plan.params).items()
    }


def _integers(bits):
    """Return the words of which ``bits``, uint8 [words, bits], has the bits, the lowest first."""
    packed = np.packbits(bits, axis=1, bitorder="little")
    data, size = packed.tobytes(), packed.shape[1]
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


def _own_channels(p: Pass, group: int) -> np.ndarray:
    """Return int64 [turns, tile_channels], the channels of the tiles that ``group`` runs; -1: no channel."""
    part = group % p.loops.parts
    if group >= p.loops.parts * p.loops.positions:
        part = p.tiles  # it takes no part: all tiles are beyond the last
    tiles = np.arange(p.loops.channel_turns) * p.loops.parts + part
    channels = tiles[:, None] * p.tile_channels + np.arange(p.tile_channels)
    return np.where(channels < p.channels, p.first_channel + channels, -1)


def _parameters(plan, neuron):
    params = plan.params
    rows = np.zeros((plan.layout.parameters, 4), np.int64)
    for p in plan.passes:
        if p.layer.weighted and not p.supplied:
            rows[p.parameter : p.parameter + p.parameter_words] = _channel_rows(plan, p, neuron)
    return _integers(_row_bits(rows, params))


def _channel_rows(plan, p, neuron):
    """Return int64 [words, 4], theta, bias, v_init and theta_low of the channels of a pass that a neuron serves."""
    group, first = divmod(neuron, plan.params.neurons)
    layer, channels = p.layer, np.full((p.loops.channel_turns, p.tile_words), -1)
    lanes = _own_channels(p, group)[:, first :: plan.params.neurons]
    channels[:, : lanes.shape[1]] = lanes
    channels = channels.ravel()[: p.parameter_words]
    own, rows = channels >= 0, np.zeros((len(channels), 4), np.int64)
    if not p.loops.shared or group == 0:
        rows[own, 1] = layer.bias[channels[own]]
    if layer.fires:
        rows[own, 0] = thresholds(plan.stages[p.stage].network, layer)[channels[own]]
        rows[own, 2] = layer.v_init[channels[own]]
        rows[own, 3] = layer.theta_low[channels[own]] if layer.signed else 0
    return rows


def _row_bits(rows, params):
    """Return the bits of memory words of parameters, uint8 [words, bits]."""
    columns = [(rows[:, i, None] >> np.arange(width)) & 1 for i, width in enumerate(parameter_bits(params))]
    return np.concatenate(columns, axis=1).astype(np.uint8)


def _weights(plan, group):
    params = plan.params
    lanes, written = np.zeros((plan.layout.weights, params.width), np.int16), set()
    for p in plan.passes:
        for number, base in enumerate(p.weights):
            if base in written or p.streamed:
                continue
            written.add(base)
            rows = _rows(plan, p, number, group)
            lanes[base : base + len(rows)] = rows
    return _integers(_lane_bits(lanes, params))


def _lane_bits(lanes, params):
    """Return the bits of memory words of weights, uint8 [words, bits], of the lanes int16 [words, width]."""
    bits = (lanes[:, :, None] >> np.arange(params.weight_bits, dtype=np.int16)) & 1
    return bits.astype(np.uint8).reshape(len(lanes), -1)


def _outside(plan, _owner):
    """Return the uint32 words of all blocks (`gen.plan.blocks`)."""
    packed = [np.zeros(0, np.uint32)]
    for stage in plan.stages:
        blocks = stage_blocks(stage.passes, plan.regions) if stage.blocks_of is None else []
        for block, following in zip(blocks, [*blocks[1:], None]):
            runs = _runs(plan, block)
            addresses = [_address(plan, block.p, copy) for copy in block.copies]
            packed.append(pack_block(block, following, runs, addresses, plan.params))
    return np.concatenate(packed)


def _address(plan, p, copy):
    """Return the address outside of what is copied, of the input in its first slot."""
    if copy.of_input:
        return plan.bases.image + copy.first * plan.params.image_pieces
    return plan.bases.maps + (plan.regions[p.stage, *copy.source].outside + copy.first) * plan.params.map_pieces


def _runs(plan, block):
    """Return the runs of a block as arrays of words: of each part its weights, then the parameters of each neuron."""
    p, params, runs = block.p, plan.params, []
    for groups in groups_of_parts(p, params.groups):
        group = (groups & -groups).bit_length() - 1  # the first of them
        for number, base in enumerate(p.weights) if block.weights else ():
            runs += _run(run_head(base, groups), _lane_bits(_rows(plan, p, number, group), params))
        for neuron in range(params.neurons) if block.parameters else ():
            rows = _channel_rows(plan, p, group * params.neurons + neuron)
            runs += _run(run_head(p.parameter, groups, neuron), _row_bits(rows, params))
    return runs


def _run(head, bits):
    """Return the words of a run as arrays; ``bits`` of its memory words, uint8 [words, bits]."""
    packed = np.packbits(bits, axis=1, bitorder="little")
    packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 4)))
    return [np.array([head, len(packed)], "<u4"), packed.reshape(-1).view("<u4")]


def _rows(plan, p, number, group):
    """Return the memory words of the weights of a synapse of a pass, [words, lanes], as the lanes of a group have them.

    In the order of tile, kernel row, column and channel.
    """
    source, width = p.walk.sources[number], plan.params.width
    if not p.layer.weighted:
        return np.ones((1, width), np.int16)
    synapse, channels = source.synapse, _own_channels(p, group)
    own = channels >= 0
    turns, lanes = np.nonzero(own)
    outs = channels[own]
    height, breadth = synapse.kernel
    if source.dense:
        rows = np.zeros((len(channels), height, breadth, width), np.int16)
        rows[turns, :, :, lanes] = synapse.weight[outs, 0]
    else:
        window, period, _ = tile_window(synapse, p.tile_channels)
        out_group, in_group = synapse.weight.shape[0] // synapse.groups, synapse.weight.shape[1]
        begins = outs // p.tile_channels // period * window if period else 0
        first = outs // out_group * in_group - begins
        rows = np.zeros((len(channels), window, width, height, breadth), np.int16)
        rows[turns[:, None], first[:, None] + np.arange(in_group), lanes[:, None]] = synapse.weight[outs]
        rows = rows.transpose(0, 3, 4, 1, 2)
        if p.loops.shared:
            rows = _own_share(rows, plan.regions[p.stage, *p.reads[number]], group, p.loops.positions)
    rows = rows.reshape(-1, width)
    return _paired(rows, plan.params.weight_bits // 2) if p.narrow else rows


def _own_share(rows, region, group, groups):
    """Return [tiles, words of the map, channels of a word, lanes] of those words that ``group`` reads."""
    width, tile = rows.shape[-1], region.tile_channels
    rows = np.pad(rows, [(0, 0)] * 3 + [(0, region.words_per_position * tile - rows.shape[3]), (0, 0)])
    words, own = rows.reshape(len(rows), -1, tile, width), region.own_words(group, groups)
    behind = max(0, int(own[-1]) + 1 - region.words)
    return np.pad(words, ((0, 0), (0, behind), (0, 0), (0, 0)))[:, own]


def _paired(rows, bits):
    """Join rows of weights two and two: in every lane the second one lies above the first's bits."""
    pairs = np.concatenate([rows, np.zeros_like(rows[: len(rows) % 2])]).reshape(-1, 2, rows.shape[1])
    return pairs[:, 0] & (1 << bits) - 1 | pairs[:, 1] << bits
