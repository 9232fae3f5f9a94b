"""The core of a folder with a look inside: the Verilog of a top that names what a reader of waves wants to see.

The module ``adafire`` has the ports of the core, holds it as ``core``, and beside it scopes with signals in plain
words: where the machine is, every stream, every group. The save file of `sim.waves` shows the same signals.
"""

import re
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Fragment

from hw.core.sequencer import Sequencer
from hw.regmap import RESULT_WORDS
from sim.inside import CORE, KEYWORDS, Inside

__all__ = ["CONTROLS", "Seen", "TOP", "View"]

TOP = "adafire"
CONTROLS = ("dump", "image", "timestep", "decided")  # ports of the top beside those of the core
COORDINATE_BITS = 16
COORDINATES = ("row", "column", "channel", "step")  # of a neuron, as the files of places have them
SIGNED = ("count", "state", "total", "bias", "v", "value")
PARTS = {  # of a group: what is shown where a core has it
    "fetch": ("request_valid", "slot"),
    "queue": ("room",),
    "gather": ("busy", "active", "issue", "upper", "weight_address"),
    "lanes": ("done", "maximum"),
    "firing": ("idle", "room", "tile_valid", "counted"),
}
MACHINE = {
    "sequencer": ("idle", "prepare", "prepared", "go", "done", "decide", "decided", "exits", "stop", "release"),
    "walker": ("prepare", "prepared", "go", "done", "first_step", "stop", "room", "tile_valid", "request_valid"),
    "image_writer": ("full", "slot", "release", "restart", "clear"),
    "decision": ("begin", "done", "exits", "class_"),
    "result_reader": ("begin", "busy"),
    "loader": ("busy", "fault"),
}


@dataclass(frozen=True)
class Seen:
    """A signal of the view: scope, name, bits, Verilog expression; ``dec``, ``signed``, ``hex`` or ``ascii``."""

    scope: str
    name: str
    width: int
    value: str
    format: str = "dec"

    @property
    def path(self):
        """The name in the waveform."""
        return f"{TOP}.{self.scope}.{self.name}"


def places_file(group):
    """Name of the file that the simulator reads from the folder it runs in: a line for each neuron of a group."""
    return f"places_{group}.hex"


class View:
    """What is seen of the core in one folder.

    Parameters
    ----------
    plan : gen.plan.plan.Plan
    core : text of core.v

    Attributes
    ----------
    groups : title to list of `Seen`; ``group 1/gather`` lies in the group ``group 1``
    """

    def __init__(self, plan, core):
        self._plan, self._inside = plan, Inside(core)
        neurons = range(plan.params.groups * plan.params.neurons)
        self._ends, self._places = zip(*(self._lanes(neuron) for neuron in neurons))
        self.groups = {
            "now": self._now(),
            "streams": self._streams(),
            **{self._title(neuron): self._neuron(neuron) for neuron in neurons},
            **{name.replace("_", " "): self._of(name, *signals) for name, signals in MACHINE.items()},
            **{
                f"group {group}/{part}": self._of(f"group_{group}.{part}", *signals)
                for group in range(plan.params.groups) for part, signals in PARTS.items()
            },
        }

    def verilog(self, dump):
        """Return the text of the top; it writes the waveform ``dump`` while its input ``dump`` is high."""
        ports = [(kind, f"[{bits - 1}:0] " if bits > 1 else "", name) for kind, bits, name in self._inside.ports]
        scopes = {}
        for seen in (seen for group in self.groups.values() for seen in group):
            scopes.setdefault(seen.scope, []).append(seen)
        return "\n".join([
            f"module {TOP}({', '.join([*CONTROLS, *(name for _, _, name in ports)])});",
            "  input dump;\n  input [31:0] image;\n  output [31:0] timestep;\n  output decided;",
            *(f"  {kind} {width}{name};" for kind, width, name in ports),
            f"  {CORE} core({', '.join(f'.{name}({name})' for _, _, name in ports)});",
            self._behaviour(dump),
            *(self._scope(scope, signals) for scope, signals in scopes.items()),
            "endmodule\n",
        ])

    def shown(self, image):
        """Return in words what is seen of a run that begins with an image."""
        images = self._plan.layout.images
        return f"image {image}" + f" and those run with it, {images} in all" * (images > 1)

    def files(self):
        """Return {name: text} of the files that the simulator reads: where all lie that a neuron fires, in order."""
        line = ("{:04x}" * len(COORDINATES) + "\n").format
        return {places_file(neuron): "".join(line(*place) for place in places)
                for neuron, places in enumerate(self._places)}

    def _title(self, neuron):
        group, part = divmod(neuron, self._plan.params.neurons)
        return f"group {group}/neuron" + (f" {part}" if self._plan.params.neurons > 1 else "")

    def _lanes(self, neuron):
        """Return how many lanes a neuron has fired before each pass, and int [lanes, 4]: `COORDINATES` of each.

        The step is the timestep, less those of the rounds before.
        """
        group, part = divmod(neuron, self._plan.params.neurons)
        ends, places = [0], [np.zeros((1, len(COORDINATES)), int)]  # one at least, where a group has nothing to do
        for p in self._plan.passes:
            row, column, first, lanes, step = (np.asarray(values, int) for values in p.order(group))
            lane = np.arange(lanes.sum()) - np.repeat(np.cumsum(lanes) - lanes, lanes)
            timestep = (p.stores_at or p.reads_at) if p.steps == 1 else 0  # of a two-phase network
            step = np.full_like(step, timestep) if timestep else step + 1
            row, column, first, step = (np.repeat(values, lanes) for values in (row, column, first, step))
            own = lane % self._plan.params.neurons == part
            places.append(np.stack([row, column, first + lane, step], axis=1)[own])
            ends.append(ends[-1] + int(np.count_nonzero(own)))
        return ends[:-1], np.concatenate([*places[1:], places[0]])

    def _behaviour(self, dump):
        """Count rounds, neurons and words of results; write the waveform."""
        go, step, decided = (f"core.{self._inside.path(*place)}" for place in (
            ("walker", "go"), ("sequencer", "step"), ("decision", "done"),
        ))
        counters = "".join(
            f"\n  reg [{len(COORDINATES) * COORDINATE_BITS - 1}:0] places_{neuron} [0:{len(places) - 1}];"
            f'\n  initial $readmemh("{places_file(neuron)}", places_{neuron});'
            f"\n  reg [31:0] fired_{neuron} = 0;"
            f"\n  always @(posedge clk) fired_{neuron} <= {go} ? 0 : fired_{neuron} + {self._fires(neuron)};"
            for neuron, places in enumerate(self._places)
        )
        return f"""  wire [31:0] round = {step};
  assign timestep = round + 1, decided = {decided};
  reg dumping = 0;
  always @(posedge dump) begin
    $dumpfile("{dump}");
    $dumpvars(0, {TOP});
    dumping = 1;
  end
  always @(negedge dump) if (dumping) begin
`ifdef VERILATOR
    $c("vlSymsp->_traceDumpClose();");  // it ignores $dumpoff
`else
    $dumpoff;
`endif
    dumping = 0;
  end{counters}
  reg [31:0] word = 0, class_number = 0, exit_step = 0;
  always @(posedge clk) if (o__valid && o__ready) begin
    word <= o__payload[32] ? 0 : word + 1;
    if (word == 0) class_number <= o__payload[31:0];
    if (word == 1) exit_step <= o__payload[31:0];
  end"""

    @staticmethod
    def _scope(name, signals):
        lines = []
        for seen in signals:
            kind = "wire signed" if seen.format == "signed" else "wire"
            bits = f" [{seen.width - 1}:0]" if seen.width > 1 else ""
            lines.append(f"    {kind}{bits} {seen.name} = {seen.value};")
        return "\n".join([f"  generate if (1) begin : {name}", *lines, "  end endgenerate"])

    def _now(self):
        """Where the machine is."""
        passes = _text("probe_layer", {p.index: p.title for p in self._plan.passes})
        step_order = all(stage.rounds == stage.network.timesteps for stage in self._plan.stages)
        image = "image"
        if self._plan.layout.images > 1:  # that is in work, of a run that begins with ``image``
            image = f"image + ({_choice('probe_layer', {p.index: p.image for p in self._plan.passes})})"
        return [
            Seen("now", "of_image", 32, image),
            Seen("now", "in_timestep", 32, "timestep" if step_order else self._timestep(0)),
            *self._state("sequencer", Sequencer(self._plan.params)),
            Seen("now", "in_pass", *passes, "ascii"),
            Seen("now", "result_class", 32, "class_number"), Seen("now", "result_timesteps", 32, "exit_step"),
        ]

    def _streams(self):
        value, beat = self._plan.params.value_bits, self._plan.params.input_values
        names = [f"{output} {place}" for output in self._plan.network.outputs for place in range(
            int(np.prod(self._plan.network.stages[0].shapes[output]))
        )]
        if (images := self._plan.layout.images) > 1:
            names = [f"{name} of image {image}" for image in range(images) for name in names]
        words = dict(enumerate([*RESULT_WORDS, *(names if len(names) <= 64 else self._plan.network.outputs)]))
        return [
            *(
                Seen("streams", f"{stream}_{wire}", 1, f"{port}__{wire}")
                for stream, port in (("load", "load"), ("input", "i"), ("output", "o")) for wire in ("valid", "ready")
            ),
            Seen("streams", "load_word", 32, "load__payload", "hex"),
            *(Seen("streams", f"input_value_{n}" if n else "input_value", value, f"i__payload[{n * value} +: {value}]",
                   "signed") for n in range(beat)),
            Seen("streams", "input_first", 1, f"i__payload[{beat * value}]"),
            Seen("streams", "output_name", *_text("word", words), "ascii"),
            Seen("streams", "output_word", 32, "o__payload[31:0]", "signed"),
            Seen("streams", "output_last", 1, "o__payload[32]"),
        ]

    def _neuron(self, neuron):
        """What a neuron fires now, or else next."""
        scope, p = re.sub("[ /]", "_", self._title(neuron)), self._plan.params
        place, last = self._place(neuron), len(COORDINATES) - 1
        coordinates = [
            Seen(scope, name, COORDINATE_BITS, f"{place} >> {COORDINATE_BITS * (last - i)}")
            for i, name in enumerate(COORDINATES[:last])
        ]
        return [
            Seen(scope, "fires", 1, self._fires(neuron)), Seen(scope, "number", 32, f"fired_{neuron}"),
            *coordinates, Seen(scope, "in_timestep", 32, self._timestep(neuron)),
            *(
                Seen(scope, name, bits, f"{vector}[{bits * neuron} +: {bits}]", "signed") for name, vector, bits in (
                    ("count", "probe_counts", p.signed_count_bits), ("state", "probe_states", p.acc_bits),
                )
            ),
        ]

    def _fires(self, neuron):
        return f"probe_fired[{neuron}]" if len(self._places) > 1 else "probe_fired"

    def _place(self, neuron):
        """Return the line of `places_file` of what a neuron fires now or next."""
        return f"places_{neuron}[({_choice('probe_layer', dict(enumerate(self._ends[neuron])))}) + fired_{neuron}]"

    def _timestep(self, neuron):
        return f"({self._place(neuron)} & {2**COORDINATE_BITS - 1}) + round"

    def _of(self, component, *names):
        """Return those of the named signals that a component of this core has."""
        signals, scope = self._inside.signals(component), component.replace(".", "_")
        return [
            Seen(scope, f"{name}s" if name in KEYWORDS else name, signals[name],
                 f"core.{self._inside.path(component, name)}", "signed" if name in SIGNED else "dec")
            for name in names if name in signals
        ]

    def _state(self, component, machine):
        """Return the name of the state that a component's machine is in."""
        names = Fragment.get(machine, None).generated["fsm"].decoding
        found = self._of(component, "fsm_state")
        return [Seen(component, "state", *_text(seen.value, names), "ascii") for seen in found]


def _text(selector, names):
    """Return (bits, expression) of the name that a number stands for, in ASCII, padded with spaces."""
    longest = max(map(len, names.values()))
    quoted = {number: '"' + _ascii(name).ljust(longest) + '"' for number, name in names.items()}
    return 8 * longest, _choice(selector, quoted)


def _ascii(name):
    return re.sub(r'[^ !#-\[\]-~]', "?", name)


def _choice(selector, values):
    """Return an expression: the value of the number that ``selector`` is, the last one's for any other."""
    *rows, (_, last) = values.items()
    return "".join(f"{selector} == {number} ? {value} : " for number, value in rows) + str(last)
