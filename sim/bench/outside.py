"""The memory outside the chip in cocotb: it answers a core's `hw.memory.bus.MemoryBus` late and with pauses."""

from collections import deque
from random import Random

from cocotb.triggers import RisingEdge

from hw.memory.bus import LENGTH_BITS

__all__ = ["OutsideMemory"]

PAUSE = 0.2  # chance that a stream rests in a cycle
LATENCY = 20  # cycles to the first word of a burst, at most
QUEUED = 2  # bursts


class OutsideMemory:
    """Words of 32 bits, what nobody has written is 0.

    Parameters
    ----------
    dut : the core
    address_bits : of its bus
    words : uint32 array, what is there from address 0 on
    seed : of every pause
    """

    def __init__(self, dut, address_bits, words, seed):
        self._bits, self._random = address_bits, Random(seed).random
        self._words = dict(enumerate(words.tolist()))
        self._bursts, self._rest = deque(), 0
        # looked up once: this is what every cycle reads and writes
        self._reset, self._edge = dut.rst, RisingEdge(dut.clk)
        self._request_valid, self._request = dut.memory__request__valid, dut.memory__request__payload
        self._read_ready, self._write_valid = dut.memory__read__ready, dut.memory__write__valid
        self._read, self._write = dut.memory__read__payload, dut.memory__write__payload
        self._request_ready, self._read_valid = dut.memory__request__ready, dut.memory__read__valid
        self._write_ready, self._fault = dut.memory__write__ready, dut.memory__fault
        self._asks = self._reads = self._writes = False

    async def serve(self):
        """Answer until the simulation ends; a reset of the core gives up all bursts."""
        for port in (self._request_ready, self._read_valid, self._read, self._write_ready, self._fault):
            port.value = 0
        while True:
            await self._edge
            shown = self._asks, self._reads, self._writes
            if self._reset.value:
                self._bursts.clear()
                self._reads = self._writes = False
            else:
                self._moved()
            self._asks = len(self._bursts) < QUEUED and self._random() >= PAUSE
            self._offer()
            self._show(shown)

    def _show(self, shown):
        """Write what is no longer as it was shown: a write takes a simulator as long as all the rest of a cycle."""
        asks, reads, writes = shown
        if self._asks != asks:
            self._request_ready.value = self._asks
        if self._reads != reads:
            self._read_valid.value = self._reads
        if self._writes != writes:
            self._write_ready.value = self._writes

    def _moved(self):
        """Take what has moved at the edge."""
        if self._reads and self._read_ready.value or self._writes and self._write_valid.value:
            address, left, write = self._bursts[0]
            if write:
                self._words[address] = int(self._write.value)
            self._reads = self._writes = False
            if left:
                self._bursts[0] = address + 1, left - 1, write
            else:
                self._bursts.popleft()
                self._rest = self._latency()
        if self._asks and self._request_valid.value:
            request = int(self._request.value)
            length = request >> self._bits & (1 << LENGTH_BITS) - 1
            self._bursts.append((request & (1 << self._bits) - 1, length, request >> self._bits + LENGTH_BITS))
            self._rest = self._rest or self._latency()

    def _latency(self):
        return int(self._random() * LATENCY)

    def _offer(self):
        """Offer, or be ready to take, a word of the first burst."""
        self._rest = max(0, self._rest - 1)
        if not self._bursts or self._rest or self._reads or self._random() < PAUSE:
            return
        address, _, write = self._bursts[0]
        if write:
            self._writes = True
        else:
            self._read.value = self._words.get(address, 0)
            self._reads = True
