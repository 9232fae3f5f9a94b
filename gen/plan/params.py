"""How large one core is: every width and depth that the gateware uses follows from these numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from gen.errors import InputError
from gen.plan.lanes import GROUPS, WIDTHS, check_neurons

__all__ = [
    "CORE_TIMESTEPS", "INPUT_VALUES", "LEAST_TIMESTEPS", "LEVELS", "LINE_LEVELS", "WORD_BITS", "CoreParams",
]

WORD_BITS = 32
INPUT_VALUES = (1, 2, 4)  # that a core may take in a cycle
CORE_TIMESTEPS, LEAST_TIMESTEPS = 512, 16  # that a core may count to, and at least can
# The loops over a pass's tiles, outermost first (`gen.plan.walk`).
LEVELS = ("rows", "columns", "blocks", "tiles", "pool_rows", "pool_columns", "steps")
LINE_LEVELS = ("tiles", "steps")  # those that dense layers have
SWITCHES = {  # parameters that may be 0, and what a core without has none of
    "value_signed": "input values below zero",
    "signed": "counts below zero", "maximum": "maximum pools", "dense": "depthwise layers and pools",
    "tile_order": "tile order", "windows": "windows that move over a map, grouped channels, pools",
    "softmax": "the exit rules entropy and confidence", "exit_shift": "exit rules that shift distances",
    "two_phase": "inverse-leaky neurons", "narrow": "narrow layers", "states": "membranes that outlive a timestep",
    "currents": "kept currents", "phase_bits": "upsampled maps", "spram": "single-port RAM",
    "replay": "stages that look at frames", "outside": "weights outside the chip",
    "wide": "maps of wider counts than the others", "spilled": "maps outside the chip",
    "strips": "an input in strips", "image_ring": "an input outside the chip", "parked": "states outside the chip",
    "supplied": "parameters outside the chip", "spare_blocks": "few words in block RAM",
    "quick": "steps from tile to tile that are kept", "unfused": "pools by themselves",
    "shared": "shared inputs of readouts",
}
# No network falls short of them.
BESIDE = (
    "width", "groups", "neurons", "program", "spram", "narrow", "input_values", "spare_blocks", "quick", "unfused",
    "shared",
)


@dataclass(frozen=True, kw_only=True)
class CoreParams:
    """Size of one core.

    ``_bits`` are widths. A *word* of a map or of the input is one count of each of a group's lanes; an address counts
    words. Weights are those of one group, parameters, states and currents those of one neuron: each has memories of its
    own. A neuron serves every ``neurons``-th lane of its group.
    """

    width: int           # lanes of a group
    groups: int
    neurons: int = 1     # of a group: lanes that fire in a cycle
    weight_bits: int
    value_bits: int      # of an input value, two's complement
    count_bits: int      # of a count
    map_bits: int        # of a count in a map's word; the first words of the maps have the other bits elsewhere
    sum_bits: int        # synaptic sums of a timestep
    acc_bits: int        # membranes before firing, outputs
    state_bits: int      # of an initial state, and of a stored one
    theta_bits: int
    bias_bits: int
    burst: int           # the largest burst, of both signs
    address_bits: int    # signed arithmetic on addresses of words, padding included
    place_bits: int      # signed arithmetic on rows and columns
    turns_bits: int      # turns of a loop, less one
    image_tile: int      # input values in a word of the input
    image_words: int     # of one input map
    image_slots: int     # input maps held at a time: one is written while another is read
    map_words: int
    weights: int         # words of a weight for each lane
    parameters: int      # channels
    outputs: int         # values of all outputs
    limits: int          # exit limits of all stages
    program: int         # 32-bit words
    passes: int          # of all stages
    stages: int
    synapses: int        # of a pass
    classes: int         # channels of the output that decides
    positions: int       # positions of it
    value_signed: int = 1  # 0: no input value is below zero, and its sign is not stored
    min_burst: int = 1   # the largest of a layer: 1, 2, 4 or 8
    tile_order: int = 0  # 1: all timesteps of a tile may follow one another
    timesteps: int = CORE_TIMESTEPS  # of a stage
    pool_steps: int = 1  # timesteps of a tile with a pool behind it: in tile order all of them
    windows: int = 1     # 0: a core of dense layers alone, all of whose maps are one position
    signed: int = 0      # 1: counts may be below zero, their words are two's complement
    dense: int = 0       # 1: words are also read lane by lane: depthwise layers, pools
    maximum: int = 0     # 1: the core can pool by the maximum, 0: by sums only
    softmax: int = 0     # 1: the core has the exit rules `entropy` and `confidence`
    exit_shift: int = 15 # of their temperature, at most
    two_phase: int = 0   # 1: the core runs networks of inverse-leaky neurons too
    narrow: int = 0      # 1: narrow layers store two weight words in one memory word
    phase_bits: int = 0  # of an upsampling factor; 0: no map is upsampled
    states: int = 0      # membranes that outlive a timestep
    currents: int = 0    # currents of a constant input, kept from the first timestep
    spram: int = 0       # in single-port RAM: 1 weights, 2 states as well
    replay: int = 0      # 1: all frames of an image are kept, for stages that look at them again
    outside: int = 0     # 32-bit words outside the chip: blocks (`gen.plan.blocks`), maps, the input, states
    wide: int = 0        # words of maps, from the first on, whose counts have all bits
    spilled: int = 0     # words of the largest map outside the chip
    image_ring: int = 0  # words of the input held on the chip, a power of two: all of it lies outside; 0: whole slots
    parked: int = 0      # words of 32 bits of the states of a group and pass outside the chip, at most
    strips: int = 0      # values of a row of an input in strips, padding included, at most; 0: no input is
    image_rows: int = 1  # kernel rows in a word of the input: more than one in strips of whole windows
    supplied: int = 0    # 1: parameters of some layers lie outside the chip
    input_values: int = 1  # taken in a cycle: a beat of them lies in one word of the input
    batch: int = 1       # images that are run together: a result has the outputs of all
    unfused: int = 0     # synapses of a neuron from which on pools that leave groups idle are not fused; 0: all are
    shared: int = 0      # 1: each group has values of outputs, to share inputs of readouts (`gen.plan.sharing`)
    spare_blocks: int = 0  # 1: few words lie in block RAM too, and so do those in a group's queue; 0: in tables
    quick: int = 0       # 1: a pass of one synapse keeps the steps from tile to tile: it makes one in two cycles

    def __post_init__(self):
        for name, value in asdict(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < (name not in SWITCHES):
                raise InputError(f"the core parameter {name} must be a positive integer, not {value!r}")
        if self.width not in WIDTHS or self.groups not in GROUPS:
            raise InputError(f"a core has 1, 2 or 4 groups of 4, 8 or 16 lanes, not {self.groups} of {self.width}")
        check_neurons(self.width, self.neurons)
        if self.map_bits > self.count_bits:
            raise InputError(f"counts of {self.count_bits} bits have no {self.map_bits} bits in a map")
        if self.acc_bits > WORD_BITS:
            raise InputError(f"accumulators have at most {WORD_BITS} bits, not {self.acc_bits}")
        if self.outside and self.spram:
            raise InputError("weights in single-port RAM cannot be fetched from outside the chip while they are read")
        if self.rowwise and not (self.outside and self.windows):
            raise InputError("maps outside the chip need a memory outside, and a core with windows")
        if self.parked and not self.outside:
            raise InputError("states outside the chip need a memory outside")
        if self.supplied and not self.outside:
            raise InputError("parameters outside the chip need a memory outside")
        if self.image_ring & (self.image_ring - 1):
            raise InputError(f"the input's words on the chip must be a power of two, not {self.image_ring}")
        if self.narrow and self.weight_bits % 2:
            raise InputError(f"weight words of {self.weight_bits} bits a lane cannot be halved, for narrow layers")
        if self.image_tile % self.image_rows:
            raise InputError(f"whole windows of {self.image_tile} values have no {self.image_rows} rows")
        if self.input_values not in INPUT_VALUES or self.image_row_lanes % self.input_values:
            raise InputError(
                f"a core takes 1, 2 or 4 input values in a cycle, whole words of {self.image_row_lanes} values from "
                f"them, not {self.input_values}"
            )

    def shortages(self, needed):
        """Return one sentence per parameter in which ``needed`` is larger than this core."""
        short = self._short(needed)
        sentences = [
            f"{SWITCHES[name]}: the network needs them, the core has none" if not getattr(self, name) else
            f"{name}: the network needs {getattr(needed, name)}, the core has {getattr(self, name)}" for name in short
        ]
        if self.image_ring and not needed.image_ring:
            sentences.append("image_ring: the core holds no whole input, and the network's cannot pass by row by row")
        if self.input_values > needed.input_values:
            sentences.append(
                f"input_values: the core takes {self.input_values} input values at a time, the network's input can be "
                f"cut into {needed.input_values} at most"
            )
        return sentences

    def grown(self, needed):
        """Return these parameters, each of them that is short of ``needed`` as large as there."""
        return replace(self, **{name: getattr(needed, name) for name in self._short(needed)})

    def _short(self, needed):
        """Return the names of the parameters in which ``needed`` is larger."""
        names = [f.name for f in fields(self) if f.name not in BESIDE]
        return [name for name in names if getattr(needed, name) > getattr(self, name)]

    @property
    def timestep_bits(self):
        """Bits of how many timesteps an image has been run for."""
        return (self.timesteps * self.stages).bit_length()

    @property
    def lanes(self):
        """Lanes of all groups."""
        return self.width * self.groups

    @property
    def beats(self):
        """Cycles in which the neurons of a group take all its lanes."""
        return self.width // self.neurons

    @property
    def levels(self):
        """The loops over the tiles of a pass that the core has, outermost first."""
        levels = LEVELS if self.windows else LINE_LEVELS
        return levels if self.tile_order else tuple(level for level in levels if level != "steps")

    @property
    def operand_bits(self):
        """Bits of what a lane multiplies with its weight, two's complement: an input value or a count."""
        return max(self.value_bits, self.signed_count_bits)

    @property
    def stored_bits(self):
        """Bits of a word as the memories give it: of a map, or of the input."""
        return max(self.width * self.count_bits, self.image_tile * self.image_bits)

    @property
    def initialised(self):
        """Whether a core can be made with a network in it: what lies in single-port RAM or outside is only loaded."""
        return not self.spram and not self.outside

    @property
    def rowwise(self):
        """Whether maps or the input lie outside the chip: rows of passes wait for them."""
        return bool(self.spilled or self.image_ring)

    @property
    def staged(self):
        """Whether an image begins without reading the program: its only stage stands, the first pass is read ahead."""
        return self.stages == 1 and not (self.outside or self.replay)

    @property
    def map_pieces(self):
        """Words of 32 bits that a word of a map takes outside the chip."""
        return -(-self.width * self.map_bits // WORD_BITS)

    @property
    def image_pieces(self):
        """Words of 32 bits that a word of the input takes outside the chip."""
        return -(-self.image_tile * self.image_bits // WORD_BITS)

    @property
    def image_bits(self):
        """Bits of a stored input value."""
        return self.value_bits - (not self.value_signed)

    @property
    def strip_form(self):
        """Into which strips an input is cut, of `gen.plan.strips.FORMS`; none: ""."""
        return ("windows" if self.image_rows > 1 else "rows") if self.strips else ""

    @property
    def image_row_lanes(self):
        """Values of a word of the input that are those of one row of whole windows; elsewhere all."""
        return self.image_tile // self.image_rows

    @property
    def image_depth(self):
        """Words of a group's copy of the input."""
        return self.image_ring or self.image_words << self.slot_bits

    @property
    def ring_bits(self):
        """Bits of an address on the chip of a map or the input."""
        return max(1, (max(self.map_words, self.image_depth) - 1).bit_length())

    @property
    def stored_words(self):
        """Words of which the map that a pass makes may be one: of the memory of maps, or of a map outside."""
        return max(self.map_words, self.spilled)

    @property
    def slot_bits(self):
        """Bits of the slot in an address of the input: its lowest, so that slots need be no power of two of words."""
        return (self.image_slots - 1).bit_length()

    @property
    def signed_count_bits(self):
        """Bits of a count as a two's complement number."""
        return self.count_bits + (not self.signed)

    @property
    def signed_map_bits(self):
        """Bits of a count in a map's word as a two's complement number."""
        return self.map_bits + (not self.signed)

    @property
    def outside_bits(self):
        """Bits of an address of the memory outside the chip."""
        return max(1, (self.outside - 1).bit_length())

    @property
    def weight_address_bits(self):
        """Bits of a weight address, which counts half words in a narrow layer."""
        return max(1, ((self.weights << self.narrow) - 1).bit_length())

    @property
    def burst_bits(self):
        """Bits of the largest burst: stages of the division in the neuron."""
        return self.burst.bit_length()

    @property
    def neuron_latency(self):
        """Cycles from a sum at the neuron to its count and state (`hw.core.neuron`)."""
        return self.burst_bits + 4 + 3 * self.signed

    @property
    def single_port_spacing(self):
        """Cycles that the ends of two tiles lie apart at least, beside the beats of the first.

        See `gen.plan.program_words.spacing`.
        """
        return self.neuron_latency + 2
