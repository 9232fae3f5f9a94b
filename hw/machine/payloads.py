"""Shapes of everything that crosses between components, each defined once."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from gen.layout.program import WORD_BITS, header_fields, layer_fields, memory_shapes, synapse_fields

__all__ = [
    "beat", "counts", "event", "header", "input_word", "layer_block", "load_port", "output_word",
    "parameter_address", "pooled", "segment", "stores", "synapse_blocks", "tile",
]


def _struct(fields):
    return data.StructLayout({
        name: signed(bits) if is_signed else unsigned(bits) for name, (bits, is_signed) in fields.items()
    })


def header(p):
    """Program header."""
    return _struct(header_fields(p))


def layer_block(p):
    """Layer block of the running pass."""
    return _struct(layer_fields(p))


def stores(p, layer):
    """Return whether a pass, of which this is the layer block, stores a map: no readout, no accumulation."""
    return ~(layer.readout | layer.silent) if p.separated else ~layer.readout


def synapse_blocks(p):
    """Synapse blocks of the running pass."""
    return data.ArrayLayout(_struct(synapse_fields(p)), p.synapses)


def input_word(p):
    """One input value in raster order, channels innermost; ``first`` marks the first word of an image."""
    return data.StructLayout({"value": signed(p.value_bits), "first": 1})


def output_word():
    """One word of a result; ``last`` marks its end."""
    return data.StructLayout({"data": signed(32), "last": 1})


def load_port(p):
    """A memory word to load: ``write`` has one bit per memory, each memory takes the bits it has."""
    shapes = memory_shapes(p).values()
    return data.StructLayout({
        "data": WORD_BITS * -(-max(bits for _, bits in shapes) // WORD_BITS),
        "address": range(max(depth for depth, _ in shapes) + 1),
        "write": len(shapes),
    })


def event(p):
    """One nonzero value of a map: its place in the row, x * channels + channel."""
    return data.StructLayout({"index": unsigned(p.index_bits), "value": signed(p.value_bits)})


def segment(p):
    """A run of stored events that one tile gathers.

    ``origin`` is the place of the first event that has a weight, ``count`` how many places have one,
    ``weights`` the weight address less ``origin``; ``active`` counts the lanes an event does work in.
    An empty segment only carries ``last``, the end of the tile.
    """
    return data.StructLayout({
        "address": unsigned(p.event_address_bits), "length": unsigned(p.event_address_bits),
        "origin": signed(p.offset_bits), "count": unsigned(p.offset_bits),
        "weights": signed(max(p.weight_address_bits, p.offset_bits) + 2), "active": unsigned(p.lanes.bit_length()),
        "last": 1,
    })


def tile(p):
    """What the compressor must know about a tile: its first lane's place, its part in a pooling window."""
    return data.StructLayout({
        "index": unsigned(p.index_bits), "window_first": 1, "window_last": 1, "layer_last": 1,
    })


def parameter_address(p):
    """Where a tile's parameters begin."""
    return unsigned((p.parameters * p.beats).bit_length())


def counts(p):
    """One value per lane."""
    return data.ArrayLayout(signed(p.value_bits), p.lanes)


def beat(p):
    """What leaves the neurons in a cycle on its way to the compressor: one count each, and the tile's description."""
    return data.StructLayout({"counts": data.ArrayLayout(signed(p.value_bits), p.neurons), "tile": tile(p)})


def pooled(p):
    """A window's counts: which lanes hold any, and how many lanes that is."""
    return data.StructLayout({
        "counts": counts(p), "nonzero": unsigned(p.lanes), "events": range(p.lanes + 1),
        "index": unsigned(p.index_bits), "layer_last": 1,
    })
