"""Carry chains for nextpnr, on the ECP5: without the cells that it adds at both ends, and with more inputs.

Yosys gives every chain a constant to begin with and its last carry a wire that nothing reads: nextpnr puts a pair of
tables before the one and another behind the other. Of the four inputs of a chain's table Yosys uses two.
"""

from itertools import permutations, product

from hw.board.refining import count_readers

__all__ = ["refine_carries"]

CARRY, TABLE = "CCU2C", "LUT4"
PINS, HALVES = "ABCD", "01"
BITS = {"0": 0, "1": 1}  # wires that are constants
OPEN = "x"  # no wire


class Half:
    """A bit of a chain: wires at its pins, its table of 16 bits, what takes its sum.

    It propagates the carry where the table says 1 to its four pins. Elsewhere it makes a carry, which the same table
    says to the pins A and B, the others 0.
    """

    def __init__(self, wires, table, total):
        self.wires, self.table, self.total = wires, table, total

    def propagates(self, pins):
        return self.table >> _number(pins) & 1

    def makes(self, pins):
        return self.table >> _number(pins[:2]) & 1


def refine_carries(netlist):
    """Refine the chains of a netlist of Yosys' write_json, in place.

    A chain begins with its first bit, which makes a carry whatever comes in, and whose sum is that of a table beside
    it; where the chain has a bit to spare, it begins with one that makes the constant. Tables that nothing but a chain
    reads move into it as far as there are pins.
    """
    for module in netlist["modules"].values():
        cells, readers = module["cells"], count_readers(module)
        tables = {cell["connections"]["Z"][0]: name for name, cell in cells.items() if cell["type"] == TABLE}
        for chain in _chains(cells):
            halves = [_half(cells[name], half) for name in chain for half in HALVES]
            carry = cells[chain[-1]]["connections"]["COUT"]
            if not readers[carry[0]]:
                cells[chain[-1]]["connections"]["COUT"] = [OPEN]
            spare = not readers[halves[-1].total] and not readers[carry[0]]
            if (table := _begin(halves, cells[chain[0]], readers, spare)) is not None:
                cells[f"{chain[0]}_first"] = table
                readers.update(table["connections"][pin][0] for pin in PINS)
            for half in halves:
                while _absorbs(half, cells, tables, readers):
                    pass
            for place, half in enumerate(halves):
                _put(half, cells[chain[place // 2]], HALVES[place % 2])


def _chains(cells):
    """Return the chains, each the names of its cells in order."""
    chained = {name: cell["connections"] for name, cell in cells.items() if cell["type"] == CARRY}
    following = {wires["CIN"][0]: name for name, wires in chained.items()}
    carries, found = {wires["COUT"][0] for wires in chained.values()}, []
    for name, wires in chained.items():
        if wires["CIN"][0] not in carries:
            chain = [name]
            while (after := following.get(chained[chain[-1]]["COUT"][0])) is not None:
                chain.append(after)
            found.append(chain)
    return found


def _half(cell, half):
    wires = [cell["connections"][pin + half][0] for pin in PINS]
    return Half(wires, int(cell["parameters"][f"INIT{half}"], 2), cell["connections"][f"S{half}"][0])


def _put(half, cell, name):
    cell["connections"] |= {pin + name: [wire] for pin, wire in zip(PINS, half.wires)} | {f"S{name}": [half.total]}
    cell["parameters"][f"INIT{name}"] = f"{half.table:016b}"


def _begin(halves, cell, readers, spare):
    """Let a chain need no carry from outside, if it has a constant one; return the table of its first sum, if any."""
    carry, first = cell["connections"]["CIN"][0], halves[0]
    if carry not in BITS:
        return None
    summed, table = readers[first.total] > 0, None
    if summed and spare:
        halves[:] = [Half(["1"] * len(PINS), 0b1111 * BITS[carry], OPEN), *halves[:-1]]
    elif all(wire in BITS for wire in first.wires[2:]):
        pairs = [(pins, [*pins, *(BITS[wire] for wire in first.wires[2:])]) for pins in _all(2)]
        if summed:
            table = _table(first, sum(
                (first.propagates(pins) ^ BITS[carry]) << _number(pair) for pair, pins in pairs))
        halves[0] = Half([*first.wires[:2], "1", "1"], sum(
            (BITS[carry] if first.propagates(pins) else first.makes(pins)) << _number(pair) for pair, pins in pairs
        ), OPEN)
    else:
        return None
    cell["connections"]["CIN"] = [OPEN]
    return table


def _table(half, function):
    """Return a table for the sum of ``half``, a function of its pins A and B."""
    wires = [*half.wires[:2], "0", "0"]
    return {
        "type": TABLE, "parameters": {"INIT": f"{function:016b}"}, "attributes": {},
        "port_directions": {**dict.fromkeys(PINS, "input"), "Z": "output"},
        "connections": {**{pin: [wire] for pin, wire in zip(PINS, wires)}, "Z": [half.total]},
    }


def _absorbs(half, cells, tables, readers):
    """Move a table before the half into it; return whether there was one that could."""
    for pin, wire in enumerate(half.wires):
        name = tables.get(wire)
        if name is None or readers[wire] != 1:
            continue
        connections = cells[name]["connections"]
        inputs = [connections[place][0] for place in PINS]
        function = int(cells[name]["parameters"]["INIT"], 2)
        given = [*half.wires[:pin], *half.wires[pin + 1 :], *inputs]
        wires = list(dict.fromkeys(each for each in given if each not in BITS))
        if len(wires) > len(PINS):
            continue

        def at(known, pin=pin, inputs=inputs, function=function):
            """Return (whether the carry is propagated, which is made) for the values of ``wires``."""
            value = {**BITS, **known, half.wires[pin]: function >> _number([{**BITS, **known}[i] for i in inputs]) & 1}
            pins = [value[each] for each in half.wires]
            return half.propagates(pins), half.makes(pins)

        if (made := _arranged(wires, at)) is not None:
            half.wires, half.table = made
            del cells[name], tables[wire]
            return True
    return False


def _arranged(wires, at):
    """Return wires for all pins and a table of a half that behaves as ``at``, or None where no half does."""
    for places in permutations(range(len(PINS)), len(wires)):
        table, made = {}, {}
        for values in _all(len(wires)):
            pins = [1] * len(PINS)
            for place, value in zip(places, values):
                pins[place] = value
            propagated, carry = at(dict(zip(wires, values)))
            table[_number(pins)] = propagated
            if not propagated:
                made.setdefault(_number(pins[:2]), set()).add(carry)
        if all(carries == {table.get(place, max(carries))} for place, carries in made.items()):
            table = {place: max(carries) for place, carries in made.items()} | table
            pins = ["1"] * len(PINS)
            for place, wire in zip(places, wires):
                pins[place] = wire
            return pins, sum(bit << place for place, bit in table.items())
    return None


def _all(number):
    return product((0, 1), repeat=number)


def _number(bits):
    """Return the number whose bits these are, the lowest first."""
    return sum(bit << place for place, bit in enumerate(bits))
