"""The program of a plan as 32-bit words, in the layout of `gen.plan.program`."""

from __future__ import annotations

from gen.exit_rule import SHARE_ONE
from gen.layers import INPUT
from gen.plan.blocks import stage_words
from gen.plan.params import LEVELS, CoreParams
from gen.plan.parking import parked_words, state_digits
from gen.plan.passes import Pass
from gen.plan.program import (
    EXIT_CODES, cursor_fields, header_fields, output_fields, pack, pass_fields, pass_words, stage_fields,
    synapse_fields, words_of,
)

__all__ = ["program_length", "program_words", "spacing"]


def program_length(stages, params: CoreParams) -> int:
    """Return the words of the program of ``stages`` on a core of ``params``."""
    records = sum(_record_words(stage, params) for stage in stages)
    return words_of(header_fields(params)) + len(stages) * words_of(stage_fields(params)) + records


def _record_words(stage, params):
    """Return the words of the records of a stage's passes; 0 where they are those of another stage."""
    own = stage.passes if stage.program_of is None else ()
    return sum(pass_words(params, len(p.synapses)) for p in own)


def program_words(plan) -> list[int]:
    """Return the words of a plan's program."""
    params, stages = plan.params, plan.stages
    words, limit = pack(header_fields(params), _known(header_fields(params), _header(plan))), 0
    records, blocks = [len(words) + len(stages) * words_of(stage_fields(params))], [0]  # where those of a stage begin
    for number, stage in enumerate(stages):
        first_pass = records[number if stage.program_of is None else stage.program_of]
        first_block = blocks[number if stage.blocks_of is None else stage.blocks_of]
        fields = _stage(plan, stage, first_pass, limit, first_block)
        words += pack(stage_fields(params), _known(stage_fields(params), fields))
        records.append(records[-1] + _record_words(stage, params))
        blocks.append(blocks[-1] + stage_words(stage, params, plan.regions))
        limit += len(stage.network.exit_rule.limits)
    for p in (p for stage in stages if stage.program_of is None for p in stage.passes):
        words += _record(plan, p, len(words) + pass_words(params, len(p.synapses)))
    return words


def spacing(p: Pass, params: CoreParams) -> int:
    """Return how many cycles the ends of two tiles of a group lie apart at least.

    The neurons take a beat a cycle. In tile order the next timestep reads the state that this one writes; states in
    single-port RAM are written before the next tile reads.

    All groups store their words one after another, so those of a group begin at least as many cycles apart as there are
    groups. A group makes one in the last tile of a pooling window, and none where no map is stored. No slack is needed,
    however far the groups have drifted apart: they take turns (`hw.core.map_writer`), so a word that is offered waits
    for one of each other group at most. It is away as many cycles behind its beginning, at most, as a tile has beats
    and there are groups. That is no more than twice the distance of two words, and a group has room for a word until
    the next but one begins (`hw.core.word_writer`). Words copied from outside come in where no group offers one.
    """
    height, width = p.window
    single_port = params.spram >= 2 and params.states and p.layer.fires
    return max(
        p.beats + (params.single_port_spacing if single_port else 0),
        -(-params.groups // (height * width)) if p.stored else 0, params.neuron_latency + 4 if p.steps > 1 else 0,
    )


def _header(plan):
    source, region = plan.network.source, plan.regions[0, INPUT, 0]
    return {
        "stages": len(plan.stages) - 1, "frames": source.kind == "frames" and region.versions == 1,
        "frame_words": region.words if plan.layout.replays else 0,
        "image_channels": plan.layout.image_channels - 1, "image_tile": region.tile_channels - 1,
        "image_positions": region.rows * region.columns * region.versions - 1, **_strips(plan.params, region),
        "outputs": plan.layout.values - 1, "shared": plan.layout.shared,
        "image": plan.bases.image, "image_pitch": region.words * plan.params.image_pieces,
    }


def _strips(params, region) -> dict[str, int]:
    """Return the fields of an input in strips; of any other one words begin at 0."""
    strips = region.strips
    whole = strips if strips is not None and strips.rows > 1 else None
    windows = {
        "windows": whole is not None, "given": whole.height - 1 if whole else 0,
        "last_word": region.words * region.versions - 1,
        **{f"first_word_{row}": whole.first_word(row) if whole else 0 for row in range(params.image_rows)},
    }
    if not strips:
        return dict.fromkeys(("strips", "row_values", "strip_first", "strip_step"), 0) | windows
    return {
        "image_channels": strips.row_values - 1, "image_tile": strips.kernel_row_values - 1,
        "image_positions": region.rows * region.versions - 1, "strips": 1,
        "row_values": strips.channels * strips.width - 1,
        "strip_first": strips.first_values - 1, "strip_step": strips.step_values - 1, **windows,
    }


def _stage(plan, stage, first_pass, limits, blocks):
    network, rule = stage.network, stage.network.exit_rule
    _, rows, columns = network.shapes[network.readout.name]
    return {
        "first_pass": first_pass, "passes": len(stage.passes) - 1, "rounds": stage.rounds - 1,
        "whole": stage.rounds != network.timesteps, "timesteps": network.timesteps - 1, "limits": limits,
        "exit_kind": EXIT_CODES[rule.kind], "exit_shift": rule.shift, "exit_scale": rule.scale,
        "output": plan.output_base(network.readout.name, plan.layout.images - 1), "classes": network.classes - 1,
        "positions": rows * columns - 1, "required": -(-rule.share * rows * columns // SHARE_ONE),
        "fetches": any(p.fetched for p in stage.passes), "blocks": blocks, "ends": stage.ends,
    }


def _record(plan, p, following):
    params = plan.params
    words = pack(pass_fields(params), _known(pass_fields(params), _pass_block(plan, p, following)))
    words += _cursor(params, output_fields(params), p.walk.output)
    for number, source in enumerate(p.walk.sources):
        words += pack(synapse_fields(params), _known(synapse_fields(params), _ring(params, p, number) | source.fields))
        words += _cursor(params, cursor_fields(params), source.cursor)
    return words


def _ring(params, p, number):
    """Return the fields of a synapse's ring; without one every bit of an address counts."""
    ring = p.rings[number] if p.rowwise else None
    return {"ring_mask": (ring.words if ring else 1 << params.ring_bits) - 1, "ring_base": ring.base if ring else 0}


def _known(layout, fields):
    """Return the fields that the core has: what it has not, the network does not need."""
    return {name: int(value) for name, value in fields.items() if name in layout}


def _cursor(params, layout, cursor):
    steps = (step for level, step in zip(LEVELS, cursor.steps) if level in params.levels)
    return [word for place in (cursor.start, *steps) for word in pack(layout, _known(layout, place))]


def _pass_block(plan, p, following):
    layer, walk, params, network = p.layer, p.walk, plan.params, plan.stages[p.stage].network
    pool, region = not layer.weighted, plan.regions.get((p.stage, *p.writes)) if p.writes else None
    fires, signed = layer.fires and not p.silent, layer.fires and layer.signed
    spill = region.outside if region else None
    parts, last_parts = walk.parts, walk.last_parts
    if walk.shared and not params.windows:  # groups of such a core have no positions
        parts = last_parts = walk.positions
    return {
        "next": following, "synapses": len(p.synapses),
        **{f"{level}_turns": walk.turns[level] - 1 for level in LEVELS},
        "readout": not layer.emits, "pool": pool, "stores": region is not None,
        "counted": p.stored is not None and any(reader.weighted for reader in network.readers[p.stored]),
        "keep": p.keep, "rewind": p.steps > 1,
        "maximum": pool and layer.kind == "max", "fused_maximum": p.pool is not None and p.pool.kind == "max",
        "lanes": p.tile_channels - 1, "lanes_last": p.channels - (p.tiles - 1) * p.tile_channels - 1,
        "spacing": spacing(p, params) - 1,
        "burst": layer.burst if fires else 0, "burst_low": layer.burst_low if fires else 0,
        "two_thresholds": signed, "quiet": layer.min_burst - 1 if fires else 0,
        "state_limit": 2 ** (layer.state_bits - 1) - 1 if layer.fires else 0,
        "state": p.state, "current": p.current,
        "output": 0 if layer.emits else plan.output_base(layer.name, p.image) + p.first_channel,
        "narrow": p.narrow, "fetched": p.fetched, "rowwise": p.rowwise,
        "spills": spill is not None, "spill": plan.bases.maps + (spill or 0) * params.map_pieces,
        "parks": p.parked is not None, "digits": state_digits(p), "park": plan.bases.states + (p.parked or 0),
        **{f"parked_{group}": parked_words(p, group) for group in range(params.groups)},
        "resumes": p.resumes, "unbiased": not p.biased,
        "part_bits": parts.bit_length() - 1, "positions": walk.positions - 1,
        "last_parts": last_parts - 1, "last_positions": walk.last_positions - 1,
        "output_position": region.words_per_position if region else 0,
    }
