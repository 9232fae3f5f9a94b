"""The core of a folder with a look inside: the Verilog of a top that names what a reader of waves wants to see.

The module ``adafire`` has the ports of the core, holds it as ``core``, and beside it scopes with signals in plain
words: where the machine is, every stream, every lane. The save file of `sim.waves` shows the same signals.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Fragment

from gen.layout.image import memory_image
from hw.machine.early_exit import EarlyExit
from hw.machine.sequencer import Sequencer
from hw.regmap import RESULT_WORDS

__all__ = ["CONTROLS", "Seen", "TILES", "TOP", "View"]

TOP, CORE = "adafire", "adafire_core"
TILES = "tiles.hex"  # read by the simulator from the folder it runs in
CONTROLS = ("dump", "image", "timestep", "decided")  # ports of the top beside those of the core
COORDINATE_BITS = 16
MODULE = re.compile(r"^module (\S+) ?\(.*?\);\n(.*?)^endmodule", re.MULTILINE | re.DOTALL)
INSTANCE = re.compile(rf"^  \\({CORE}\.(\w+)(?:\$\d+)?)  (\\\S+ |\w+) ?\(", re.MULTILINE)
SIGNAL = re.compile(r"^  (input|output|wire|reg) (?:\[(\d+):0\] )?(\\\S+ |\w+)(?: = [^;]*)?;", re.MULTILINE)


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


class View:
    """What is seen of the core in one folder.

    Parameters
    ----------
    schedule : gen.layout.schedule.Schedule
    core : text of core.v

    Attributes
    ----------
    groups : title to list of `Seen`; ``neurons/lane 3`` lies in the group ``neurons``
    """

    def __init__(self, schedule, core):
        self._schedule, p = schedule, schedule.params
        self._orders = [np.stack(p.order(), axis=1) for p in schedule.passes]  # of each tile: row, column, channel
        modules = {name.removeprefix("\\"): SIGNAL.findall(text) for name, text in MODULE.findall(core)}
        self._ports = [signal for signal in modules[CORE] if signal[0] in ("input", "output")]
        self._units = {
            unit: (instance, {name.strip("\\ "): int(high or 0) + 1 for _, high, name in modules[module]})
            for module, unit, instance in INSTANCE.findall(core)
        }
        self.groups = {
            "now": self._now(),
            "streams": self._streams(),
            "sequencer": self._of("sequencer", "idle", "ingest", "ingested", "begin_pass", "pass_done", "decide",
                                  "decided", "exits", "stop"),
            "gather": self._of("gather", "busy", "ending"),
            **{f"lanes/lane {lane}": self._lane(lane) for lane in range(p.lanes)},
            **{f"neurons/neuron {number}": self._neuron(number) for number in range(p.neurons)},
            "compressor": self._of("compressor", "counted", "credit", "done"),
            "early exit": [
                *self._state("early_exit", EarlyExit(p, memory_image(schedule))),
                *self._of("early_exit", "fired", "done", "exits", "class_"),
            ],
        }

    def verilog(self, dump):
        """Return the text of the top; it writes the waveform ``dump`` while its input ``dump`` is high."""
        ports = [(kind, f"[{high}:0] " if high else "", name) for kind, high, name in self._ports]
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

    def tiles(self):
        """Return the text of `TILES`: row, column and first channel of every tile, pass after pass."""
        return "".join("{:04x}{:04x}{:04x}\n".format(*tile) for tile in np.concatenate(self._orders))

    def _behaviour(self, dump):
        """Count tiles and words of results; write the waveform."""
        return f"""  assign timestep = core.sequencer.step + 1, decided = core.sequencer.decided;
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
  end
  reg [{3 * COORDINATE_BITS - 1}:0] places [0:{sum(map(len, self._orders)) - 1}];
  initial $readmemh("{TILES}", places);
  reg [31:0] fired = 0, word = 0, class_number = 0, exit_step = 0;
  always @(posedge clk) begin
    fired <= core.sequencer.begin_pass ? 0 : fired + probe_fired;
    if (o__valid && o__ready) begin
      word <= o__payload[32] ? 0 : word + 1;
      if (word == 0) class_number <= o__payload[31:0];
      if (word == 1) exit_step <= o__payload[31:0];
    end
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
        """Where the machine is: the tile is the one that leaves the neurons next, or does now."""
        ends = np.cumsum([0, *map(len, self._orders)])
        place = f"places[({_choice('probe_layer', dict(enumerate(ends[:-1])))}) + fired]"
        layers = _text("probe_layer", {index: p.title for index, p in enumerate(self._schedule.passes)})
        timestep = "timestep"
        if self._schedule.network.two_phase:
            timestep = _choice("probe_layer", {index: p.timestep for index, p in enumerate(self._schedule.passes)})
        coordinates = [
            Seen("now", name, COORDINATE_BITS, f"{place} >> {COORDINATE_BITS * (2 - i)}")
            for i, name in enumerate(("row", "column", "channel"))
        ]
        return [
            Seen("now", "of_image", 32, "image"), Seen("now", "in_timestep", 32, timestep),
            *self._state("sequencer", Sequencer(self._schedule.params)),
            Seen("now", "layer", *layers, "ascii"),
            Seen("now", "tile", 32, "fired"), Seen("now", "tile_fires", 1, "probe_fired"), *coordinates,
            Seen("now", "result_class", 32, "class_number"), Seen("now", "result_timesteps", 32, "exit_step"),
        ]

    def _streams(self):
        value = self._schedule.params.value_bits
        words = {**dict(enumerate(RESULT_WORDS)), **{
            len(RESULT_WORDS) + n: f"logit {n}" for n in range(self._schedule.network.classes)
        }}
        return [
            *(
                Seen("streams", f"{stream}_{wire}", 1, f"{port}__{wire}")
                for stream, port in (("load", "load"), ("input", "i"), ("output", "o")) for wire in ("valid", "ready")
            ),
            Seen("streams", "load_word", 32, "load__payload", "hex"),
            Seen("streams", "input_value", value, f"i__payload[{value - 1}:0]", "signed"),
            Seen("streams", "input_first", 1, f"i__payload[{value}]"),
            Seen("streams", "output_name", *_text("word", words), "ascii"),
            Seen("streams", "output_word", 32, "o__payload[31:0]", "signed"),
            Seen("streams", "output_last", 1, "o__payload[32]"),
        ]

    def _lane(self, lane):
        """A lane's sum, and what it holds of the tile that leaves the neurons."""
        scope, p = f"lane_{lane}", self._schedule.params
        return [
            Seen(scope, name, bits, f"{vector}[{bits * lane} +: {bits}]", "signed")
            for name, vector, bits in (
                *(("sum", sums.value, p.acc_bits) for sums in self._of("lanes", "sums")),
                ("count", "probe_counts", p.value_bits), ("state", "probe_states", p.acc_bits),
            )
        ]

    def _neuron(self, number):
        return [
            replace(seen, format="dec" if seen.name == "theta" else "signed")
            for seen in self._of(f"neuron_{number}", "total", "bias", "current", "v", "theta", "count", "state")
        ]

    def _of(self, unit, *names):
        """Return those of the named signals that the unit of this core has."""
        instance, widths = self._units[unit]
        return [Seen(unit, name, widths[name], f"core.{instance}.{name}") for name in names if name in widths]

    def _state(self, unit, component):
        """Return the name of the state that a unit's machine is in."""
        names = Fragment.get(component, None).generated["fsm"].decoding
        return [Seen(unit, "state", *_text(seen.value, names), "ascii") for seen in self._of(unit, "fsm_state")]


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
