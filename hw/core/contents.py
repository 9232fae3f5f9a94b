"""RAM with contents: a memory of Amaranth's for simulation and bitstreams, in Verilog a module with a file beside it.

In Verilog text the contents of a large network are tens of megabytes. There, a RAM is an instance of `RAM_MODULE`
(adafire_ram.v), which reads its words with ``$readmemh`` from a file of the same folder. Who emits Verilog gives a
`ContentFiles` as Amaranth's platform, and finds in it what has to be written.
"""

from pathlib import Path

from amaranth.hdl import ClockSignal, Instance
from amaranth.lib.memory import Memory
from amaranth.utils import bits_for

__all__ = ["RAM_MODULE", "ContentFiles", "add_ram", "ram_verilog"]

RAM_MODULE = "adafire_ram"


class ContentFiles:
    """The platform of Verilog emission: collects the contents of every RAM that is elaborated.

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
        words = [*init, *[0] * (depth - len(init))]
        self.texts[file] = f"%0{-(-width // 4)}x\n" * depth % tuple(words)  # a word at a time takes five times as long
        return file


def add_ram(
    m, platform, name, *, file, depth, init, block, enable, write_address, word, address, data, read_enable=1
):
    """Add a RAM to the module ``m``: one write port, one read port with the word one cycle after its address.

    Nobody reads a word in the cycle in which it is written. Yosys must know: it would add logic to give the old word.
    It must also know a ``block``: it would make a narrow column of look-up tables.

    Parameters
    ----------
    name : str
        In the hierarchy.
    file : str
        Name of the file with the contents, without suffix; no other RAM of the core has it.
    depth : int
        Words.
    init : list of int
        Initial contents. None: zeros in simulation, undefined in the Verilog's hardware.
    block : bool
        Whether the RAM shall lie in block RAM, however small it is.
    enable, write_address, word, address, read_enable : Value
        What drives the ports; of an address the lowest bits count. Without ``read_enable`` the word read stays.
    data : Signal or Slice
        What the word read drives.
    """
    width, bits = len(data), bits_for(max(2, depth) - 1)
    write_address, address = write_address[:bits], address[:bits]
    if isinstance(platform, ContentFiles):
        m.submodules[name] = Instance(
            RAM_MODULE, p_WIDTH=width, p_DEPTH=depth, p_ADDRESS=bits,
            p_FILE=platform.add(file, width, depth, init) if any(init) else "",
            p_STYLE="block" if block else "auto", i_clk=ClockSignal(), i_write_enable=enable,
            i_write_address=write_address, i_write_data=word, i_read_enable=read_enable, i_address=address,
            o_data=data,
        )
        return
    attributes = {"no_rw_check": 1, **({"ram_style": "block"} if block else {})}
    m.submodules[name] = memory = Memory(shape=width, depth=depth, init=init, attrs=attributes)
    write, read = memory.write_port(), memory.read_port()
    m.d.comb += [
        write.en.eq(enable), write.addr.eq(write_address), write.data.eq(word),
        read.en.eq(read_enable), read.addr.eq(address), data.eq(read.data),
    ]


def ram_verilog():
    """Return the Verilog text of `RAM_MODULE`."""
    return (Path(__file__).with_name(f"{RAM_MODULE}.v")).read_text()
