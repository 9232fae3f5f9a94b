"""A host on AXI: cocotbext-axi's models for every interface of the wrapper, with pauses; a watch on the rules."""

import logging
import mmap
from itertools import repeat
from random import Random

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import (
    AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp, AxiStreamBus, AxiStreamSink, AxiStreamSource,
)

from hw.regmap import REGISTERS

__all__ = ["AxiHost"]

STALL = 0.3
MEMORY_BASE, MEMORY_BYTES = 0x23000, 2**19  # the base is no multiple of what a core has outside
MEMORY = mmap.mmap(-1, MEMORY_BYTES)  # it outlives a host, as NETWORK does
ADDRESS_LATE, DATA_LATE = (STALL, 0.8), (0.8, STALL)  # of pauses before W and before AW


class AxiHost:
    """Registers through `AxiLiteMaster`, data through streams that pause at random.

    Parameters
    ----------
    dut : the simulator's top module; its clock runs already
    seed : of the pauses, and of whether addresses or data of writes mostly come first
    """

    streams = True

    def __init__(self, dut, seed):
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        self._dut, self._random, self._forgets = dut, Random(seed), False
        self.interrupt = dut.interrupt
        self._master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, dut.aresetn, False)
        self._load, self._input = (
            AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{name}"), dut.aclk, dut.aresetn, False)
            for name in ("load", "input")
        )
        self._results = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_result"), dut.aclk, dut.aresetn, False)
        write, read = self._master.write_if, self._master.read_if
        data_stall, address_stall = self._random.choice([ADDRESS_LATE, DATA_LATE, (STALL, STALL), (0, 0)])
        write.w_channel.set_pause_generator(self._pauses(data_stall))
        write.aw_channel.set_pause_generator(self._pauses(address_stall))
        for paused in (write.b_channel, read.ar_channel, read.r_channel, self._load, self._input, self._results):
            paused.set_pause_generator(self._pauses(STALL))
        self._outside = hasattr(dut, "m_axi_memory_arvalid")
        if self._outside:
            self._add_memory()
        cocotb.start_soon(self._watch("s_axi_b", "resp"))
        cocotb.start_soon(self._watch("s_axi_r", "data", "resp"))
        cocotb.start_soon(self._watch("m_axis_result_t", "data", "last"))

    def _add_memory(self):
        """Put a memory behind ``m_axi_memory``, with pauses on all its channels."""
        bus = AxiBus.from_prefix(self._dut, "m_axi_memory")
        memory = AxiRam(bus, self._dut.aclk, self._dut.aresetn, False, size=MEMORY_BYTES, mem=MEMORY)
        write, read = memory.write_if, memory.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(self._pauses(STALL))
        for channel, names in {"aw": ("addr", "len"), "w": ("data", "last"), "ar": ("addr", "len")}.items():
            cocotb.start_soon(self._watch(f"m_axi_memory_{channel}", *names))

    def _pauses(self, stall):
        return (self._random.random() < stall for _ in repeat(None))

    async def _watch(self, channel, *names):
        """Hold a channel to its rule: what is offered stays, unchanged, until it is taken or there is a reset."""
        valid, ready, *payload = (getattr(self._dut, channel + name) for name in ("valid", "ready", *names))
        edge, offered = RisingEdge(self._dut.aclk), None
        while True:
            await edge
            now = [str(part.value) for part in payload] if valid.value else None
            assert offered is None or now == offered, f"{channel}: {offered} was offered, then {now}"
            offered = now if not ready.value and self._dut.aresetn.value and not self._forgets else None

    async def reset(self, cycles=4):
        """Hold ``aresetn`` low."""
        self._dut.aresetn.value = 0
        await ClockCycles(self._dut.aclk, cycles)
        self._dut.aresetn.value = 1
        await ClockCycles(self._dut.aclk, 2)
        self._results.clear()
        if self._outside and await self.read("MEMORY") != MEMORY_BASE:
            assert await self.read("MEMORY") == 0 and not await self.write("MEMORY", MEMORY_BASE + 4)
            assert await self.write("MEMORY", MEMORY_BASE)

    async def read(self, name):
        """Return a register; None if the read is refused."""
        answer = await self._master.read(REGISTERS[name].offset, 4)
        return int.from_bytes(answer.data, "little") if answer.resp == AxiResp.OKAY else None

    async def write(self, name, value, *, offset=0, size=4):
        """Write a register, or only ``size`` of its bytes from ``offset`` on; return whether it was done."""
        data = (value & 0xFFFFFFFF).to_bytes(4, "little")[offset : offset + size]
        answer = await self._master.write(REGISTERS[name].offset + offset, data)
        assert answer.resp in (AxiResp.OKAY, AxiResp.SLVERR)
        return answer.resp == AxiResp.OKAY

    async def load(self, words):
        """Send words of a load stream; return when all are taken."""
        self._load.send_nowait(np.asarray(words, "<u4").tobytes())
        await self._load.wait()

    def send(self, values):
        """Queue a transfer of input values, ``tlast`` with the last one."""
        self._input.send_nowait(np.asarray(values, "<i2").tobytes())

    async def sent(self):
        """Wait until all input values are taken."""
        await self._input.wait()

    def arrived(self):
        """Return the results that have arrived and were not returned yet, lists of signed words."""
        frames = []
        while not self._results.empty():
            frames.append(np.frombuffer(bytes(self._results.recv_nowait().tdata), "<i4").tolist())
        return frames

    async def forget(self):
        """Reset the core through CONTROL, and before it what sends and receives, as a driver resets its DMA."""
        self._forgets = True
        ends = (self._load, self._input, self._results)
        for end in ends:
            end.assert_reset(True)
            end.clear()
        await self.write("CONTROL", 2)
        await ClockCycles(self._dut.aclk, 12)
        for end in ends:
            end.assert_reset(False)
        self._forgets = False
