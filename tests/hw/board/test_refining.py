"""Changes of a netlist's file, one after the other."""

import json

from hw.board.refining import count_readers, refining


def test_a_file_is_rewritten(tmp_path):
    file = tmp_path / "top.json"
    file.write_text(json.dumps({"made": [1]}))
    refining(lambda netlist: netlist["made"].append(2), lambda netlist: netlist["made"].append(3))(file)
    assert json.loads(file.read_text()) == {"made": [1, 2, 3]}


def test_inputs_of_cells_and_outputs_of_the_module_read_a_wire():
    directions = {"A": "input", "Z": "output"}
    cells = {name: {"port_directions": directions, "connections": {"A": [take], "Z": [give]}}
             for name, take, give in (("one", 2, 3), ("two", 3, 4), ("three", 3, 5))}
    ports = {"i": {"direction": "input", "bits": [2]}, "o": {"direction": "output", "bits": [3, 4]}}
    assert count_readers({"cells": cells, "ports": ports}) == {2: 1, 3: 3, 4: 1}
