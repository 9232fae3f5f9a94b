# amaranth: UnusedElaboratable=no
"""`hw.machine.payloads`: what components hand to each other has one shape on both sides."""

import pytest
from amaranth.hdl import Shape

from gen.layout.program import header_fields, layer_fields, synapse_fields
from hw.machine import payloads
from hw.machine.compressor import Compressor
from hw.machine.early_exit import EarlyExit
from hw.machine.events import EventStore
from hw.machine.gather import Gather
from hw.machine.ingest import Ingest
from hw.machine.lanes import Lanes
from hw.machine.logit_scan import LogitScan
from hw.machine.neuron import Neuron
from hw.machine.program_reader import ProgramReader
from hw.machine.segments import SegmentGenerator
from hw.machine.sequencer import Sequencer
from hw.machine.state import StateStore
from hw.machine.tile_loops import TileLoops

IMAGE = {name: [] for name in ("program", "weights", "theta", "bias", "v_init", "limits")}


@pytest.fixture(params=[
    {}, {"lanes": 1, "synapses": 1, "classes": 1, "class_tiles": 1, "layers": 1},
    {"events": 1, "pointers": 2, "weights": 1, "parameters": 1, "states": 1, "currents": 1},
], ids=["small", "one of each", "one word"])
def parts(request, sizes):
    """Every component of a core, by name."""
    p = sizes(**request.param)
    return {
        "program": ProgramReader(p, IMAGE), "sequencer": Sequencer(p), "ingest": Ingest(p),
        "store": EventStore(p), "loops": TileLoops(p), "segments": SegmentGenerator(p),
        "gather": Gather(p, credits=4), "lanes": Lanes(p), "states": StateStore(p, IMAGE), "neuron": Neuron(p),
        "compressor": Compressor(p, depth=4), "scan": LogitScan(p), "exit": EarlyExit(p, IMAGE),
    }


@pytest.mark.parametrize("one, other", [
    ("segments.o.payload", "gather.i.payload"), ("segments.o_tiles.payload", "states.tiles.payload"),
    ("segments.first_event", "store.first_event"), ("segments.end_event", "store.end_event"),
    ("gather.event", "store.event"), ("gather.o.value", "lanes.value"),
    ("lanes.sums.0", "neuron.total"), ("states.bias.0", "neuron.bias"), ("states.v.0", "neuron.v"),
    ("states.theta.0", "neuron.theta"), ("states.kept.0", "neuron.kept"),
    ("neuron.current", "states.current.0"), ("neuron.state", "states.state.0"),
    ("neuron.count", "compressor.i.payload.counts.0"),
    ("program.layer", "segments.layer"), ("program.layer", "states.layer"),
    ("program.layer", "compressor.layer"), ("program.layer", "loops.layer"),
    ("program.synapses", "segments.synapses"), ("program.synapses", "loops.synapses"),
    ("program.header", "sequencer.header"), ("program.header", "ingest.header"),
    ("program.header", "exit.header"), ("program.header", "scan.header"),
    ("compressor.write", "store.write"), ("ingest.write", "store.write"),
    ("exit.logits", "states.state"), ("exit.class_", "sequencer.class_"), ("exit.step", "sequencer.step"),
    ("exit.o.payload", "sequencer.o.payload"), ("program.load", "states.load"), ("program.load", "exit.load"),
])
def test_both_ends_have_one_shape(parts, one, other):
    def shape(path):
        part, *names = path.split(".")
        value = parts[part]
        for name in names:
            value = value[int(name)] if name.isdigit() else getattr(value, name)
        return value.shape()

    assert shape(one) == shape(other)


def test_addresses_reach_the_last_word(sizes):
    p = sizes(events=65, pointers=33, weights=129)
    store, gather = EventStore(p), Gather(p, credits=2)
    for address, words in ((store.event_address, 65), (gather.event_address, 65), (store.first_pointer, 33),
                           (store.end_pointer, 33), (gather.weight_address, 129)):
        assert 2 ** len(address) >= words


@pytest.mark.parametrize("layout, fields", [
    (payloads.header, header_fields), (payloads.layer_block, layer_fields),
    (lambda p: payloads.synapse_blocks(p).elem_shape, synapse_fields),
])
def test_blocks_have_the_bits_of_the_program(sizes, layout, fields):
    p, place = sizes(), 0
    for (name, field), (wanted, (bits, signed)) in zip(layout(p), fields(p).items()):
        assert (name, field.offset, Shape.cast(field.shape)) == (wanted, place, Shape(bits, signed))
        place += bits
    assert layout(p).size == place
