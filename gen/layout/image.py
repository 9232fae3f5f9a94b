"""The memory image: every loadable memory's words, and the stream of 32-bit words that loads them.

The load stream is a run of blocks ``[memory << 24 | address, words, word 0, word 1, ...]``; a memory word
wider than 32 bits is sent low part first. The same words initialise the memories in the Verilog.
"""

import numpy as np

from gen.layers import INPUT
from gen.layout.passes import is_row_segment, segment_words, thresholds, window_channels
from gen.layout.program import (EXIT_CODES, MEMORIES, WORD_BITS, header_fields, layer_fields, memory_shapes, pack,
                         synapse_fields)

__all__ = ["load_stream", "memory_image", "read_image", "synapse_block", "write_image"]


def memory_image(schedule):
    """Return {memory: list of words} for `Schedule.params`, words as non-negative integers."""
    parameters = {"theta": [], "bias": [], "v_init": []}
    for p in schedule.layers:
        for name, rows in _parameters(p, schedule).items():
            parameters[name] += rows
    limits = schedule.network.exit_rule.limits or (0,) * schedule.network.timesteps
    return {
        "program": _program(schedule),
        "weights": [word for p in schedule.layers for word in _weights(p, schedule)],
        **parameters,
        "limits": list(limits),
    }


def load_stream(image, params):
    """Return the 32-bit words (uint32 array) that load ``image`` into a core of ``params``."""
    stream = []
    for code, name in enumerate(MEMORIES):
        _, bits = memory_shapes(params)[name]
        words, beats = image[name], -(-bits // WORD_BITS)
        stream += [code << 24, len(words)]
        for word in words:
            stream += [(word >> (WORD_BITS * i)) & (2**WORD_BITS - 1) for i in range(beats)]
    return np.array(stream, np.uint32)


def write_image(path, stream):
    """Write a load stream as little-endian 32-bit words."""
    path.write_bytes(stream.astype("<u4").tobytes())


def read_image(path):
    """Read a load stream back."""
    return np.frombuffer(path.read_bytes(), "<u4")


def _lanes(rows, bits):
    """Pack rows of lane values, [words, lanes], into integers, lane 0 lowest."""
    mask = (1 << bits) - 1
    return [sum((int(v) & mask) << (bits * lane) for lane, v in enumerate(row)) for row in rows]


def _parameters(p, schedule):
    """Thresholds, biases and initial states of a pass, one word per beat of a tile; idle lanes never fire."""
    params = schedule.params
    rows = {name: np.zeros((p.tiles, params.lanes), np.int64) for name in ("theta", "bias", "v_init")}
    rows["theta"][:] = 2**params.theta_bits - 1
    for tile in range(p.tiles):
        low = tile * p.tile_channels
        high = min(low + p.tile_channels, p.channels)
        if p.layer.weighted:
            rows["bias"][tile, : high - low] = p.layer.bias[low:high]
        if p.layer.fires:
            rows["theta"][tile, : high - low] = thresholds(schedule.network, p.layer)[low:high]
            rows["v_init"][tile, : high - low] = p.layer.v_init[low:high]
    bits = {"theta": params.theta_bits, "bias": params.bias_bits, "v_init": params.state_bits}
    return {name: _lanes(values.reshape(-1, params.neurons), bits[name]) for name, values in rows.items()}


def _weights(p, schedule):
    params, words = schedule.params, []
    for synapse in p.synapses:
        tiles = 1 if not p.layer.weighted else p.tiles
        kernel = synapse.kernel
        if not p.layer.weighted:
            kernel = (1, synapse.kernel[1] if is_row_segment(synapse) else 1)
        window, period, _ = window_channels(synapse, p.tile_channels)
        blocks = []
        for tile in range(tiles):
            start = (tile // period) * window if period else 0
            block = _tile_weights(synapse, p, tile, start, window, params.lanes)[: kernel[0], : kernel[1]]
            blocks.append(block.reshape(-1, params.lanes))
        rows = np.concatenate(blocks)
        words += _lanes(_paired(rows, params.weight_bits // 2) if p.narrow else rows, params.weight_bits)
    return words


def _paired(rows, bits):
    """Join rows of weights, [rows, lanes], two and two: in every lane the second one lies above the first's bits."""
    pairs = np.concatenate([rows, np.zeros_like(rows[: len(rows) % 2])]).reshape(-1, 2, rows.shape[1])
    return pairs[:, 0] & (1 << bits) - 1 | pairs[:, 1] << bits


def _tile_weights(synapse, p, tile, start, window, lanes):
    """Return weights [kernel rows, kernel columns, window, lanes] of one tile, zero outside its groups."""
    out_channels, in_group = synapse.weight.shape[:2]
    block = np.zeros((*synapse.kernel, window, lanes), np.int64)
    for lane in range(min(p.tile_channels, out_channels - tile * p.tile_channels)):
        out = tile * p.tile_channels + lane
        first = out // (out_channels // synapse.groups) * in_group - start
        block[:, :, first : first + in_group, lane] = synapse.weight[out].transpose(1, 2, 0)
    return block


def _program(schedule):
    params, network = schedule.params, schedule.network
    rule = network.exit_rule
    channels, height, width = network.source.shape
    source = schedule.regions[INPUT, 0]
    words = pack(header_fields(params), _known(params, {"separated": network.two_phase}) | {
        "layers": len(schedule.passes) - 1, "timesteps": network.timesteps - 1,
        "frames": network.source.kind == "frames", "input_channels": channels - 1,
        "input_row": width * channels - 1, "input_rows": height - 1,
        "event_base": source.events, "pointer_base": source.pointers,
        "classes": network.classes - 1, "class_lanes": schedule.passes[-1].tile_channels - 1,
        "exit_kind": EXIT_CODES[rule.kind], "exit_shift": rule.shift,
        "exit_scale": rule.scale,
    })
    for p in schedule.passes:
        words += pack(layer_fields(params), _layer_block(p, schedule))
        for i in range(params.synapses):
            block = synapse_block(p, i, schedule) if i < len(p.synapses) else dict.fromkeys(synapse_fields(params), 0)
            words += pack(synapse_fields(params), block)
    return words


def _known(params, fields):
    """Return the fields that only a core for two-phase networks has."""
    return fields if params.separated else {}


def _layer_block(p, schedule):
    network, beats = schedule.network, schedule.params.beats
    region = schedule.regions.get(p.writes)
    readers = network.readers.get(p.stored, ())
    is_pool = not p.layer.weighted
    phase = {"resumes": p.resumes, "silent": p.silent, "unbiased": not p.biased}
    return _known(schedule.params, phase) | {
        "readout": not p.layer.emits, "pool_pass": is_pool, "maximum": is_pool and p.layer.kind == "max",
        "fused_maximum": p.pool is not None and p.pool.kind == "max", "keep": p.keep,
        "counted": any(reader.weighted for reader in readers),
        "rows": p.rows - 1, "columns": p.columns - 1, "tiles": p.tiles - 1,
        "pool_rows": p.window[0] - 1, "pool_columns": p.window[1] - 1, "synapses": max(0, len(p.synapses) - 1),
        "burst": p.layer.burst if p.layer.fires and not p.silent else 0,
        "state_limit": 2 ** (p.layer.state_bits - 1) - 1 if p.layer.fires else 0,
        "state_base": p.state_base * beats, "current_base": p.current_base * beats,
        "parameter_base": p.parameter_base * beats,
        "event_base": region.events if region else 0, "pointer_base": region.pointers if region else 0,
        "index_column": p.channels, "index_tile": p.tile_channels,
        **({"quiet": getattr(p.layer, "min_burst", 1) - 1} if schedule.params.least > 1 else {}),
        **({"narrow": p.narrow} if schedule.params.narrow else {}),
    }


def synapse_block(p, index, schedule):
    """Return the fields of the synapse block of a pass's synapse ``index`` (`gen.layout.program.synapse_fields`)."""
    synapse, source = p.synapses[index], schedule.regions[p.reads[index]]
    channels, height, width = schedule.network.shapes[synapse.source]
    window, period, active = window_channels(synapse, p.tile_channels)
    words, segments = segment_words(synapse, p.tile_channels)
    is_row, is_pool = is_row_segment(synapse), not p.layer.weighted
    aligned = period is not None and window % source.tile_channels == 0
    span = window // source.tile_channels if aligned else source.tiles
    last_channels = p.channels - (p.tiles - 1) * p.tile_channels
    groups_last = last_channels // active if period == 1 else None
    pitch = width * source.tiles
    (stride_y, stride_x), (dilate_y, dilate_x), (pad_y, pad_x, *_) = synapse.stride, synapse.dilation, synapse.padding
    places = {}
    for name, unit in (("column", source.tiles), ("index", channels)):
        places |= {
            f"{name}_start": -pad_x * unit, f"{name}_kernel": dilate_x * unit, f"{name}_pool": stride_x * unit,
            f"{name}_output": p.window[1] * stride_x * unit,
        }
    return places | {
        "direct": synapse.source == INPUT and schedule.network.source.kind == "direct",
        "kernel_rows": synapse.kernel[0] - 1, "kernel_columns": segments - 1,
        "pointer_base": source.pointers, "row_limit": height * pitch, "column_limit": pitch,
        "row_start": -pad_y * pitch, "row_kernel": dilate_y * pitch, "row_pool": stride_y * pitch,
        "row_output": p.window[0] * stride_y * pitch,
        "column_tile": span if aligned else 0, "column_width": (synapse.kernel[1] if is_row else 1) * span,
        "index_tile": window if period else 0, "index_count": words,
        "index_count_last": groups_last * synapse.weight.shape[1] if period == 1 else words,
        "tile_period": (period or 1) - 1,
        "weight_base": p.weight_bases[index] << p.narrow, "weight_segment": 0 if is_pool else words,
        "weight_row": 0 if is_pool else words * segments,
        "weight_tile": 0 if is_pool else words * segments * synapse.kernel[0],
        "active": 0 if is_pool else active,
        "active_last": 0 if is_pool else (active if period else last_channels),
    }
