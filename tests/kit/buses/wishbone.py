"""A host on Wishbone: a classic master with pauses, that feeds values and collects results in turns."""

from collections import deque
from random import Random

import cocotb
from cocotb.triggers import ClockCycles, Lock, RisingEdge

from hw.regmap import REGISTERS

__all__ = ["WishboneHost"]

STALL = 0.3
LIMIT = 20
WHOLE = 0xF
FIRST = 1 << 16
HAS_WORD, IS_LAST = 1 << 3, 1 << 4


class WishboneHost:
    """One master for all: registers, load stream, input values, results.

    Parameters
    ----------
    dut : the simulator's top module; its clock runs already
    seed : of the pauses, and of whether results are polled for or waited for by the interrupt
    """

    streams = False

    def __init__(self, dut, seed):
        self._dut, self._random, self._edge = dut, Random(seed), RisingEdge(dut.clk)
        self.interrupt = dut.interrupt
        self._lock, self._values, self._words, self._results = Lock(), deque(), [], []
        self._polls = self._random.random() < 0.5
        dut.rst.value = 1
        for port in (dut.wb_cyc, dut.wb_stb, dut.wb_we, dut.wb_adr, dut.wb_sel, dut.wb_dat_w):
            port.value = 0
        cocotb.start_soon(self._feed())
        cocotb.start_soon(self._collect())

    async def reset(self, cycles=4):
        """Hold ``rst`` high between two accesses."""
        async with self._lock:
            self._dut.rst.value = 1
            await ClockCycles(self._dut.clk, cycles)
            self._dut.rst.value = 0
            await ClockCycles(self._dut.clk, 2)
        self._drop()

    async def access(self, address, value=None, select=WHOLE):
        """Read, or write ``value``; return (whether it was done, what was read)."""
        async with self._lock:
            return await self._access(address, value, select)

    async def _access(self, address, value, select):
        dut = self._dut
        while self._random.random() < STALL:
            dut.wb_cyc.value = self._random.random() < 0.5
            await self._edge
            assert not (dut.wb_ack.value or dut.wb_err.value), "an answer that nobody asked for"
        dut.wb_cyc.value = dut.wb_stb.value = 1
        dut.wb_we.value, dut.wb_adr.value, dut.wb_sel.value = value is not None, address, select
        dut.wb_dat_w.value = self._random.getrandbits(32) if value is None else value & 0xFFFFFFFF
        for _ in range(LIMIT):
            await self._edge
            done, refused = bool(dut.wb_ack.value), bool(dut.wb_err.value)
            assert bool(dut.wb_stall.value) == (not done and not refused)
            if done or refused:
                break
        else:
            raise AssertionError(f"no answer within {LIMIT} cycles")
        assert done != refused
        dut.wb_stb.value = dut.wb_cyc.value = 0
        return done, int(dut.wb_dat_r.value)

    async def read(self, name):
        """Return a register; None if the read is refused."""
        done, value = await self.access(REGISTERS[name].offset // 4)
        return value if done else None

    async def write(self, name, value, *, offset=0, size=4):
        """Write a register, or only ``size`` of its bytes from ``offset`` on; return whether it was done."""
        done, _ = await self.access(REGISTERS[name].offset // 4, value, ((1 << size) - 1) << offset)
        return done

    async def load(self, words):
        """Write words of a load stream, each until it is taken."""
        for word in words:
            while not await self.write("LOAD", int(word)):
                pass

    def send(self, values):
        """Queue the input values of an image."""
        self._values += [int(value) & 0xFFFF | (FIRST if n == 0 else 0) for n, value in enumerate(values)]

    async def sent(self):
        """Wait until all input values are taken."""
        while self._values:
            await self._edge

    async def _feed(self):
        while True:
            while not self._values:
                await self._edge
            async with self._lock:
                if self._values:
                    done, _ = await self._access(REGISTERS["INPUT"].offset // 4, self._values[0], WHOLE)
                    if done:
                        self._values.popleft()
            await self._edge

    async def _collect(self):
        async with self._lock:  # until the first reset, outputs may be undefined
            pass
        while True:
            while not (self._polls or self._words or self.interrupt.value):
                await self._edge
            async with self._lock:
                await self._collect_word()
            await self._edge

    async def _collect_word(self):
        _, status = await self._access(REGISTERS["STATUS"].offset // 4, None, WHOLE)
        if not status & HAS_WORD:
            return
        done, word = await self._access(REGISTERS["RESULT"].offset // 4, None, WHOLE)
        assert done, "STATUS promised a word"
        self._words.append((word & 0x7FFFFFFF) - (word & 0x80000000))
        if status & IS_LAST:
            self._results.append(self._words)
            self._words = []

    def arrived(self):
        """Return the results that have arrived and were not returned yet, lists of signed words."""
        results, self._results = self._results, []
        return results

    async def forget(self):
        """Reset the core through CONTROL and drop what is queued here."""
        async with self._lock:
            self._drop()
            done, _ = await self._access(REGISTERS["CONTROL"].offset // 4, 2, WHOLE)
            assert done
            await ClockCycles(self._dut.clk, 12)

    def _drop(self):
        self._values.clear()
        self._words, self._results = [], []
