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
        self._dut, self._bits, self._random = dut, address_bits, Random(seed)
        self._words = dict(enumerate(words.tolist()))
        self._bursts, self._reads, self._writes, self._rest = deque(), False, False, 0

    async def serve(self):
        """Answer until the simulation ends; a reset of the core gives up all bursts."""
        dut, edge = self._dut, RisingEdge(self._dut.clk)
        for port in (dut.memory__request__ready, dut.memory__read__valid, dut.memory__read__payload,
                     dut.memory__write__ready, dut.memory__fault):
            port.value = 0
        asks = False
        while True:
            await edge
            if dut.rst.value:
                self._bursts.clear()
                self._reads = self._writes = False
            else:
                self._moved(asks)
            asks = len(self._bursts) < QUEUED and self._random.random() >= PAUSE
            self._offer()
            dut.memory__request__ready.value = asks
            dut.memory__write__ready.value = self._writes
            dut.memory__read__valid.value = self._reads

    def _moved(self, asks):
        """Take what has moved at the edge."""
        dut = self._dut
        if self._reads and dut.memory__read__ready.value or self._writes and dut.memory__write__valid.value:
            address, left, write = self._bursts[0]
            if write:
                self._words[address] = int(dut.memory__write__payload.value)
            self._reads = self._writes = False
            if left:
                self._bursts[0] = address + 1, left - 1, write
            else:
                self._bursts.popleft()
                self._rest = self._random.randrange(LATENCY)
        if asks and dut.memory__request__valid.value:
            request = int(dut.memory__request__payload.value)
            length = request >> self._bits & (1 << LENGTH_BITS) - 1
            self._bursts.append((request & (1 << self._bits) - 1, length, request >> self._bits + LENGTH_BITS))
            self._rest = self._rest or self._random.randrange(LATENCY)

    def _offer(self):
        """Offer, or be ready to take, a word of the first burst."""
        self._rest = max(0, self._rest - 1)
        if not self._bursts or self._rest or self._reads or self._random.random() < PAUSE:
            return
        address, _, write = self._bursts[0]
        if write:
            self._writes = True
        else:
            self._dut.memory__read__payload.value = self._words.get(address, 0)
            self._reads = True
