"""What the bus wrappers share: the registers of `hw.regmap`, one word an access, and the way to the core."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.link.blackbox import core_signature
from hw.link.collector import Collector
from hw.link.queue import Queue
from hw.link.registers import Registers
from hw.regmap import COUNTERS, PIECE_WORDS, WRITABLE, register

__all__ = ["ADDRESS_BITS", "BusSide", "access_port"]

ADDRESS_BITS = 10    # of a word: 4 KiB, the least that bus tools like to hand out
VALUE_BITS = 16      # of an input value in the register INPUT
RESET_CYCLES = 8
QUEUE = 4            # words: the least that moves one a cycle
PAGE_BITS = 12       # of an address: MEMORY counts pages of 4 KB


def access_port():
    """Return the signature of an access to one word, as the master sees it.

    In the cycle of ``read`` or ``write``, ``address`` (a word index) and ``write_data`` count; in the next one
    ``data`` holds what was read, and ``refused`` is high if the access did nothing.
    """
    return wiring.Signature({
        "address": Out(ADDRESS_BITS), "read": Out(1), "write": Out(1), "write_data": Out(WORD_BITS),
        "data": In(WORD_BITS), "refused": In(1),
    })


class BusSide(wiring.Component):
    """The registers, and the queues between a bus and a core.

    Words of a load stream are taken while the register NETWORK is 0, input values while it is not: no image meets
    half a network. NETWORK stays 0 until the load has ended with its right digest. A result of up to `PIECE_WORDS`
    words is queued whole, so that the core can go on while it waits; of a longer one so much is.

    A write that does nothing is refused: no such register, read-only, no room in LOAD or INPUT, a network where the
    load is not sound, a MEMORY that begins amid a page. A read is refused only of RESULT while it holds no word; an
    address where nothing is to be read gives 0.

    Parameters
    ----------
    params : CoreParams
        Sizes of the core.
    values : dict
        As of `hw.link.registers.Registers`.
    streams : bool
        Words, input values and results go through streams, and LOAD, INPUT and RESULT are no registers.

    Members
    -------
    access : In(access_port)
    i_load, i_input : In(stream(32)), In(stream(input_word))
        Only with ``streams``.
    o_result : Out(stream(output_word))
        Only with ``streams``.
    input_size : Out(32)
        The register INPUT_SIZE.
    interrupt : Out(1)
        A whole result waits, or as much of one as can be queued.
    core : In(core_signature)
        Connect it to the core.
    base : Out(32)
        Only with ``streams`` and something outside the chip: the register MEMORY.
    """

    def __init__(self, params, values, *, streams=False):
        self._params, self._values, self._streams = params, values, streams
        self._based = streams and params.outside > 0
        data = {
            "i_load": In(stream.Signature(WORD_BITS)),
            "i_input": In(stream.Signature(payloads.input_word(params))),
            "o_result": Out(stream.Signature(payloads.output_word())),
        }
        super().__init__({
            "access": In(access_port()), **(data if streams else {}), "input_size": Out(WORD_BITS),
            "interrupt": Out(1), "core": In(core_signature(params)),
            **({"base": Out(WORD_BITS)} if self._based else {}),
        })

    def elaborate(self, platform):
        m = Module()
        core = wiring.flipped(self.core)
        network = Signal(init=bool(self._values.get("NETWORK", 0)), reset_less=True)
        loads = Queue(WORD_BITS, depth=QUEUE)
        inputs = Queue(payloads.input_word(self._params), depth=QUEUE)
        results = Queue(payloads.output_word(), depth=PIECE_WORDS)
        for name, queue in {"loads": loads, "inputs": inputs, "results": results}.items():
            m.submodules[name] = ResetInserter(core.reset)(queue)
        m.submodules.registers = registers = Registers(self._values)
        wiring.connect(m, loads.o, core.load)
        wiring.connect(m, inputs.o, core.i)
        wiring.connect(m, core.o, results.i)
        values, empty = inputs, inputs.level == 0
        if self._params.input_values > 1 and not self._streams:  # values come one by one
            m.submodules.collector = values = ResetInserter(core.reset)(Collector(self._params))
            wiring.connect(m, values.o, inputs.i)
            m.d.comb += values.clear.eq(core.abort)
            empty = empty & ~values.begins

        load, value, result = self._data_streams(m)
        m.d.sync += network.eq(registers.network.any())
        m.d.comb += [
            self.input_size.eq(registers.input_size),
            registers.load.eq(load.valid & load.ready), registers.load_word.eq(load.payload),
        ]
        for outer, queue, wanted in ((load, loads, ~network), (value, values, network & ~core.fault)):
            is_open = wanted & ~core.reset
            m.d.comb += [
                queue.i.payload.eq(outer.payload), queue.i.valid.eq(outer.valid & is_open),
                outer.ready.eq(queue.i.ready & is_open),
            ]
        m.d.comb += [
            result.payload.eq(results.o.payload), result.valid.eq(results.o.valid),
            results.o.ready.eq(result.ready),
        ]

        rests = core.idle & ~core.reset & (loads.level == 0) & empty & (results.level == 0)
        last = result.valid & result.payload.last
        sound = ~core.fault & (loads.level == 0)
        status = Cat(rests, load.ready, value.ready, result.valid, last, core.fault)
        self._serve(m, registers, load, value, result, sound, status)
        self._count(m, registers, results, last & result.ready)
        return m

    def _data_streams(self, m):
        """Return what the queues face: the outer streams, or streams that `_serve` moves."""
        if self._streams:
            return self.i_load, self.i_input, self.o_result
        signature, access = payloads.input_value(self._params), self.access
        load = stream.Signature(WORD_BITS).create(path=("load",))
        value = stream.Signature(signature).create(path=("value",))
        m.d.comb += [
            load.payload.eq(access.write_data),
            value.payload.value.eq(access.write_data[:VALUE_BITS].as_signed()),
            value.payload.first.eq(access.write_data[VALUE_BITS]),
        ]
        return load, value, stream.Signature(payloads.output_word()).create(path=("result",))

    def _serve(self, m, registers, load, value, result, sound, status):
        """Do an access and answer it."""
        access, core = self.access, self.core
        bank, word = Signal(), Signal(WORD_BITS)
        resetting = Signal(range(RESET_CYCLES + 1))
        m.d.comb += [
            registers.address.eq(access.address), registers.write_data.eq(access.write_data),
            access.data.eq(Mux(bank, registers.data, word)), core.reset.eq(resetting != 0),
        ]
        m.d.sync += [
            bank.eq(access.address < register("CONTROL")), word.eq(0), access.refused.eq(access.write),
            core.abort.eq(0), resetting.eq(Mux(resetting == 0, 0, resetting - 1)),
        ]
        with m.If(access.write):
            with m.Switch(access.address):
                with m.Case(register("NETWORK")):
                    allowed = sound | ~access.write_data.any()
                    m.d.comb += registers.write.eq(allowed)
                    m.d.sync += access.refused.eq(~allowed)
                with m.Case(*(register(entry.name) for entry in WRITABLE if entry.name != "NETWORK")):
                    m.d.comb += registers.write.eq(1)
                    m.d.sync += access.refused.eq(0)
                with m.Case(register("CONTROL")):
                    m.d.sync += [access.refused.eq(0), core.abort.eq(access.write_data[0])]
                    with m.If(access.write_data[1]):
                        m.d.sync += resetting.eq(RESET_CYCLES)
                for name, outer in (() if self._streams else (("LOAD", load), ("INPUT", value))):
                    with m.Case(register(name)):
                        m.d.comb += outer.valid.eq(1)
                        m.d.sync += access.refused.eq(~outer.ready)
        self._serve_base(m, word)
        with m.If(access.read):
            with m.Switch(access.address):
                with m.Case(register("STATUS")):
                    m.d.sync += word.eq(status)
                if not self._streams:
                    with m.Case(register("RESULT")):
                        m.d.comb += result.ready.eq(1)
                        m.d.sync += [
                            word.eq(Mux(result.valid, result.payload.data, 0)), access.refused.eq(~result.valid),
                        ]

    def _serve_base(self, m, word):
        """Do an access to MEMORY, where there is one."""
        access = self.access
        if self._based:
            base = Signal(WORD_BITS - PAGE_BITS, reset_less=True)
            m.d.comb += self.base.eq(Cat(Const(0, PAGE_BITS), base))
            with m.If(access.address == register("MEMORY")):
                with m.If(access.read):
                    m.d.sync += word.eq(self.base)
                with m.If(access.write & (access.write_data[:PAGE_BITS] == 0)):
                    m.d.sync += [base.eq(access.write_data[PAGE_BITS:]), access.refused.eq(0)]

    def _count(self, m, registers, results, taken):
        """Count results and busy cycles; ``taken`` is high when the last word of a result leaves the queue."""
        core, given, whole = self.core, results.i, Signal(range(results.depth + 1))
        counted = {"RESULTS": taken, "BUSY": ~core.idle}
        m.d.comb += [
            registers.clear.eq(core.reset), self.interrupt.eq((whole != 0) | (results.level == results.depth)),
            registers.counted.eq(Cat(counted.get(entry.name, Const(0, 1)) for entry in COUNTERS)),
        ]
        m.d.sync += whole.eq(whole + (given.valid & given.ready & given.payload.last) - taken)
        with m.If(core.reset):
            m.d.sync += whole.eq(0)
