"""RAM with contents: a memory of Amaranth's for simulation and bitstreams, in Verilog a module with a file beside it.

In Verilog text the contents of a large network are tens of megabytes. There, a RAM is an instance of `RAM_MODULE`
(adafire_ram.v), which reads its words with ``$readmemh`` from a file of the same folder. Who emits Verilog gives a
`ContentFiles` as Amaranth's platform, and finds in it what has to be written.
"""

from pathlib import Path

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["RAM_MODULE", "ContentFiles", "Ram", "ram_verilog"]

RAM_MODULE = "adafire_ram"


class ContentFiles:
    """The platform of Verilog emission: collects the contents of every `Ram` that is elaborated.

    Attributes
    ----------
    texts : {file name: text}, a hexadecimal word a line, as many as the RAM has
    """

    def __init__(self):
        self.texts = {}

    def add(self, name, width, depth, init):
        """Note the contents of a RAM; return the name of its file."""
        file = f"{name}.hex"
        if file in self.texts:
            raise ValueError(f"two memories want to be called {name}")
        digits = -(-width // 4)
        words = [*init, *[0] * (depth - len(init))]
        self.texts[file] = "".join(f"{word:0{digits}x}\n" for word in words)
        return file


class Ram(wiring.Component):
    """One write port, one read port with the word one cycle after its address.

    Nobody reads a word in the cycle in which it is written. Yosys must know: it would add logic to give the old word.
    It must also know a ``block``: it would make a narrow column of look-up tables.

    Parameters
    ----------
    name : str
        Of the file with the contents, without suffix; no other RAM of the core has it.
    width : int
        Bits of a word.
    depth : int
        Words.
    init : list of int
        Initial contents. None: zeros in simulation, undefined in the Verilog's hardware.
    block : bool
        Whether the RAM shall lie in block RAM, however small it is.
    """

    def __init__(self, name, width, depth, init=(), *, block):
        self._name, self._width, self._depth, self._init, self._block = name, width, depth, init, block
        address = range(max(2, depth))
        super().__init__({
            "write_enable": In(1), "write_address": In(address), "write_data": In(width),
            "address": In(address), "data": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        if isinstance(platform, ContentFiles):
            file = platform.add(self._name, self._width, self._depth, self._init) if any(self._init) else ""
            m.submodules.ram = Instance(
                RAM_MODULE, p_WIDTH=self._width, p_DEPTH=self._depth, p_ADDRESS=len(self.address), p_FILE=file,
                p_STYLE="block" if self._block else "auto", i_clk=ClockSignal(),
                i_write_enable=self.write_enable, i_write_address=self.write_address, i_write_data=self.write_data,
                i_address=self.address, o_data=self.data,
            )
            return m
        attributes = {"no_rw_check": 1, **({"ram_style": "block"} if self._block else {})}
        m.submodules.ram = memory = Memory(
            shape=self._width, depth=self._depth, init=self._init, attrs=attributes
        )
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.write_enable), write.addr.eq(self.write_address), write.data.eq(self.write_data),
            read.addr.eq(self.address), self.data.eq(read.data),
        ]
        return m


def ram_verilog():
    """Return the Verilog text of `RAM_MODULE`."""
    return (Path(__file__).with_name(f"{RAM_MODULE}.v")).read_text()
