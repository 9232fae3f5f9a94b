"""The core's parameters and the bit layout of its layer program, shared by image and gateware.

`CoreParams` says how large one core is; another network runs on the same core when its schedule fits.
The program is a header followed by one record per layer; a record is a layer block and ``synapses``
synapse blocks, each a run of bit fields, least significant first, padded to whole 32-bit words.
"""

from dataclasses import asdict, dataclass, fields

from gen.errors import InputError
from gen.exit_rule import SCALE_MAX, SHIFT_MAX

__all__ = [
    "CORE_TIMESTEPS", "EXIT_CODES", "MEMORIES", "SPRAM_BITS", "SPRAM_WORDS", "WORD_BITS", "CoreParams", "header_fields",
    "layer_fields", "memory_shapes", "pack", "synapse_fields", "words_of",
]

WORD_BITS = 32
MAX_LANES = 64
CORE_TIMESTEPS = 64  # the most that a core runs; the contract allows more
EXIT_CODES = {"off": 0, "entropy": 1, "confidence": 2, "margin": 3}
SWITCHES = {  # parameters that may be 0, and what a core without has none of
    "maximum": "maximum pools", "softmax": "the exit rules entropy and confidence",
    "separated": "inverse-leaky neurons", "spram": "single-port RAM", "narrow": "narrow layers",
}
BESIDE = ("lanes", "neurons", "program", "spram", "narrow")  # sizes that no network falls short of
SPRAM_BITS, SPRAM_WORDS = 16, 16384  # one block of single-port RAM
MEMORIES = ("program", "weights", "theta", "bias", "v_init", "limits")


@dataclass(frozen=True, kw_only=True)
class CoreParams:
    """Size of one core; every width and depth that the gateware uses follows from these.

    Depths are in words: ``events`` nonzero counts, ``pointers`` one per map position and channel tile,
    ``weights`` words of one value per lane, ``parameters``, ``states`` and ``currents`` tiles.
    """

    lanes: int
    neurons: int             # one for each lane, or one that serves all lanes in turn
    weight_bits: int
    value_bits: int          # one event's signed value: an input pixel or a count
    index_bits: int          # an event's place in its map row, x * channels + channel
    offset_bits: int         # signed arithmetic on places and pointers, padding included
    loop_bits: int           # turns of a loop over positions, tiles, windows or kernels, less one
    acc_bits: int            # synaptic sums, membranes before firing, logits
    state_bits: int
    theta_bits: int
    bias_bits: int
    events: int
    pointers: int
    weights: int
    parameters: int
    states: int
    currents: int
    layers: int              # passes of the program
    synapses: int
    burst: int               # the largest count
    classes: int
    class_tiles: int         # tiles of the readout
    maximum: int             # 1: the core can pool by the maximum, 0: by sums only
    softmax: int             # 1: the core has the exit rules `entropy` and `confidence`
    program: int             # 32-bit words
    separated: int = 0       # 1: the core runs networks of inverse-leaky neurons too
    spram: int = 0           # in single-port RAM (`hw.machine.spram`): 1 weights, 2 states as well
    least: int = 1           # the largest least burst of a layer: 1, 2, 4 or 8
    narrow: int = 0          # 1: narrow layers store two weight words in one memory word (`gen.layout.weights`)

    def __post_init__(self):
        if not 1 <= self.lanes <= MAX_LANES:
            raise InputError(f"the number of lanes must be 1..{MAX_LANES}, not {self.lanes}")
        for name, value in asdict(self).items():
            if not isinstance(value, int) or value < (name not in SWITCHES):
                raise InputError(f"the core parameter {name} must be a positive integer, not {value!r}")
        if self.acc_bits > WORD_BITS:
            raise InputError(f"accumulators have at most {WORD_BITS} bits, not {self.acc_bits}")
        if self.neurons not in (1, self.lanes):
            raise InputError(f"{self.lanes} lanes have {self.lanes} neurons or share one, not {self.neurons}")
        if self.halved_bits % 2:
            raise InputError(f"weight words of {self.weight_bits} bits a lane cannot be halved, for narrow layers")

    def shortages(self, needed):
        """Return one sentence per parameter in which ``needed`` is larger than this core."""
        names = [f.name for f in fields(self) if f.name not in BESIDE]
        short = [name for name in names if getattr(needed, name) > getattr(self, name)]
        return [
            f"{SWITCHES[name]}: the network needs them, the core has none" if name in SWITCHES else
            f"{name}: the network needs {getattr(needed, name)}, the core has {getattr(self, name)}" for name in short
        ]

    def covering(self, other):
        """Return the parameters of a core that runs whatever this one or ``other`` runs."""
        merged = {name: max(value, getattr(other, name)) for name, value in asdict(self).items()}
        merged["weight_bits"] += merged["weight_bits"] % 2 * merged["narrow"]
        core = CoreParams(**merged)
        return CoreParams(**{**merged, "program": core.program_words})

    @property
    def program_words(self):
        """32-bit words of a program with the greatest number of layers."""
        record = words_of(layer_fields(self)) + self.synapses * words_of(synapse_fields(self))
        return words_of(header_fields(self)) + self.layers * record

    @property
    def shared(self):
        """Whether one neuron serves all lanes, a lane a cycle: a small core."""
        return self.neurons == 1

    @property
    def beats(self):
        """Cycles that a tile takes in the neurons, and words that its parameters or its state take."""
        return self.lanes // self.neurons

    @property
    def spram_blocks(self):
        """Blocks of single-port RAM that hold weights and states."""
        weights = self.lanes * self.weight_bits, self.weights
        states = self.neurons * self.state_bits, self.states * self.beats
        return sum(-(-bits // SPRAM_BITS) * -(-depth // SPRAM_WORDS) for bits, depth in (weights, states)[: self.spram])

    @property
    def event_address_bits(self):
        """Bits of an event address; the end of the last segment included."""
        return self.events.bit_length()

    @property
    def weight_address_bits(self):
        """Bits of a weight address, which counts half words in a narrow layer."""
        return (self.weights << self.narrow).bit_length()

    @property
    def halved_bits(self):
        """Bits of a lane in a weight word that narrow layers halve; 0 where none does."""
        return self.weight_bits * self.narrow


def _unsigned(limit):
    return (max(1, int(limit).bit_length()), False)


def header_fields(p):
    """Fields of the program header: name to (bits, signed)."""
    separated = {"separated": (1, False)} if p.separated else {}
    return separated | {
        "layers": _unsigned(p.layers - 1), "timesteps": _unsigned(CORE_TIMESTEPS - 1), "frames": (1, False),
        "input_channels": (p.index_bits, False), "input_row": (p.index_bits, False),
        "input_rows": (p.offset_bits, False),
        "event_base": (p.event_address_bits, False), "pointer_base": (p.offset_bits, True),
        "classes": _unsigned(p.classes - 1), "class_lanes": _unsigned(p.lanes - 1),
        "exit_kind": (2, False), "exit_shift": _unsigned(SHIFT_MAX),
        "exit_scale": _unsigned(SCALE_MAX),
    }


def layer_fields(p):
    """Fields of a layer block. Loop fields hold the count less one."""
    offset, flag = (p.offset_bits, True), (1, False)
    separated = dict.fromkeys(("resumes", "silent", "unbiased"), flag) if p.separated else {}
    return separated | {
        "readout": flag, "pool_pass": flag, "maximum": flag, "fused_maximum": flag, "keep": flag, "counted": flag,
        **dict.fromkeys(("rows", "columns", "tiles", "pool_rows", "pool_columns"), (p.loop_bits, False)),
        "synapses": _unsigned(p.synapses - 1), "burst": _unsigned(p.burst), "state_limit": (p.state_bits - 1, False),
        "state_base": _unsigned(p.states * p.beats), "current_base": _unsigned(p.currents * p.beats),
        "parameter_base": _unsigned(p.parameters * p.beats), "event_base": (p.event_address_bits, False),
        "pointer_base": offset, "index_column": offset, "index_tile": offset,
        **({"quiet": _unsigned(p.least - 1)} if p.least > 1 else {}), **({"narrow": flag} if p.narrow else {}),
    }


def synapse_fields(p):
    """Fields of a synapse block; steps are what an address gains when that loop advances by one."""
    offset, address, flag = (p.offset_bits, True), (p.weight_address_bits, False), (1, False)
    lanes = _unsigned(p.lanes)
    return {
        "direct": flag, "kernel_rows": (p.loop_bits, False), "kernel_columns": (p.loop_bits, False),
        "pointer_base": offset, "row_limit": offset, "column_limit": offset,
        "row_start": offset, "row_kernel": offset, "row_pool": offset, "row_output": offset,
        "column_start": offset, "column_kernel": offset, "column_pool": offset, "column_tile": offset,
        "column_output": offset, "column_width": offset,
        "index_start": offset, "index_kernel": offset, "index_pool": offset, "index_tile": offset,
        "index_output": offset, "index_count": offset, "index_count_last": offset,
        "tile_period": (p.loop_bits, False), "weight_base": address, "weight_segment": address,
        "weight_row": address, "weight_tile": address, "active": lanes, "active_last": lanes,
    }


def words_of(layout):
    """Return the 32-bit words that a block of fields takes."""
    return -(-sum(bits for bits, _ in layout.values()) // WORD_BITS)


def pack(layout, values):
    """Return the 32-bit words of a block, each value checked against its field."""
    unknown = set(values) ^ set(layout)
    if unknown:
        raise KeyError(f"fields missing or unknown: {sorted(unknown)}")
    packed, position = 0, 0
    for name, (bits, signed) in layout.items():
        value = int(values[name])
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= value <= high:
            raise InputError(f"program field {name} holds {value}, outside {low}..{high}: the core is too small")
        packed |= (value & ((1 << bits) - 1)) << position
        position += bits
    return [(packed >> (WORD_BITS * i)) & (2**WORD_BITS - 1) for i in range(words_of(layout))]


def memory_shapes(p):
    """Name of each loadable memory to (depth, bits of one word)."""
    return {
        "program": (p.program, WORD_BITS),
        "weights": (p.weights, p.lanes * p.weight_bits),
        "theta": (p.parameters * p.beats, p.neurons * p.theta_bits),
        "bias": (p.parameters * p.beats, p.neurons * p.bias_bits),
        "v_init": (p.parameters * p.beats, p.neurons * p.state_bits),
        "limits": (CORE_TIMESTEPS, WORD_BITS),
    }
