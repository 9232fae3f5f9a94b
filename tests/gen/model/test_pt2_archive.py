"""A .pt2 file is data: whatever PyTorch would run from one is refused before it does."""

import io
import json
import pickle
import random
import zipfile
from contextlib import suppress

import pytest
import torch
from torch import nn

from gen.errors import InputError
from gen.model.exported import load_program, read_program
from gen.model.load import load
from gen.model.pt2_archive import plain_archive

pytestmark = pytest.mark.usefixtures("one_thread")

SAMPLES = "data/sample_inputs/model.pt"
CONSTANTS = "data/constants/model_constants_config.json"
WEIGHTS = "data/weights/model_weights_config.json"
GRAPH = "models/model.json"


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Linear(72, 3)

    def forward(self, x):
        with torch.no_grad():
            x = self.conv(x).relu()
        return self.head(x.flatten(1)) + torch.tensor([0.5, 0.25, 1.0])


@pytest.fixture(scope="module")
def records():
    """The records of an honest archive, without the folder they are in."""
    free = {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(Small().eval(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=(free,))
    content = io.BytesIO()
    torch.export.save(program, content)
    with zipfile.ZipFile(content) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def written(path, records, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(f"model/{name}", content)
    return path


def saved(value, protocol=2):
    content = io.BytesIO()
    torch.save(value, content, pickle_protocol=protocol)
    return content.getvalue()


def changed(records, name, change):
    """Return ``records`` with the JSON of one of them changed."""
    value = json.loads(records[name])
    change(value)
    return {**records, name: json.dumps(value).encode()}


def entry(path_name, use_pickle):
    return {"path_name": path_name, "is_param": False, "use_pickle": use_pickle, "tensor_meta": None}


def with_constant(records, path_name, content):
    table = changed(records, CONSTANTS, lambda t: t["config"].update(extra=entry(path_name, True)))
    return {**table, f"data/constants/{path_name}": content}


def with_weight(records, content):
    """Return ``records`` with the bias of the head kept as a pickle."""
    table = changed(records, WEIGHTS, lambda t: t["config"]["head.bias"].update(path_name="weight_9", use_pickle=True))
    return {**table, "data/weights/weight_9": content}


def with_sizes(records, *sizes):
    """Return ``records`` with other sizes of the bias of the head."""
    return changed(records, WEIGHTS, lambda t: t["config"]["head.bias"]["tensor_meta"].update(sizes=sizes))


def with_size(records, text):
    """Return ``records`` whose input has ``text`` as its N."""
    def change(graph):
        sizes = graph["graph_module"]["graph"]["tensor_values"]["x"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = text

    return changed(records, GRAPH, change)


def with_tree(records, **node):
    tree = json.dumps([1, {"type": "builtins.tuple", "context": "null", "children_spec": [], **node}])
    signature = {"in_spec": tree}
    return changed(records, GRAPH, lambda g: g["graph_module"]["module_call_graph"][0]["signature"].update(signature))


def with_operation(records, target, **inputs):
    def change(graph):
        node = graph["graph_module"]["graph"]["nodes"][-1]
        arguments = [{"name": name, "arg": arg, "kind": 1} for name, arg in inputs.items()]
        node.update(target=target, **({"inputs": arguments} if inputs else {}))

    return changed(records, GRAPH, change)


ATTACKS = {  # name: (change of the records for a marker, part of the refusal)
    "sample inputs": (
        lambda r, m: {**r, SAMPLES: saved(((Runs(m),), {}))}, r"has sample inputs with more than tensors .* open"),
    "sample inputs by protocol 4": (
        lambda r, m: {**r, SAMPLES: saved(((Runs(m),), {}), 4)}, "has sample inputs with more .* STACK_GLOBAL"),
    "sample inputs of the old kind": (
        lambda r, m: {**r, SAMPLES: pickle.dumps(Runs(m))}, "has sample inputs that are no tensors"),
    "an opaque constant": (
        lambda r, m: with_constant(r, "opaque_obj_0", pickle.dumps(Runs(m))), "holds a pickled object, .*opaque_obj_0"),
    "a pickled constant": (
        lambda r, m: with_constant(r, "tensor_7", saved(Runs(m))), "keeps extra as a pickle, which may run code"),
    "a pickled weight": (lambda r, m: with_weight(r, saved(Runs(m))), "keeps head.bias as a pickle, which may run"),
    "weights of an older layout": (
        lambda r, m: {**r, "data/weights/model.pt": saved({"w": Runs(m)})}, "holds data/weights/model.pt: it is of an"),
    "a size": (
        lambda r, m: with_size(r, f"open({str(m)!r}, 'w').fileno() or Symbol('s77')"), "a size that is no plain expr"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_no_file_runs_code(name, records, tmp_path):
    marker = tmp_path / "marker"
    attack, text = ATTACKS[name]
    path = written(tmp_path / "model.pt2", attack(records, marker))
    with pytest.raises(InputError, match=text) as caught:
        load(path)
    assert not marker.exists() and caught.value.exit_code == 2
    with suppress(Exception):
        torch.export.load(path)
    assert marker.exists(), "the attack itself does not work: it tests nothing"


def test_no_file_imports_a_module(records, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    enumeration = json.dumps({"__enum__": True, "fqn": "stranger:Kind", "name": "A"})
    path = written(tmp_path / "model.pt2", with_tree(records, type="builtins.dict", context=enumeration))
    with pytest.raises(InputError, match="takes or returns a dictionary whose keys are no text"):
        load(path)
    assert not (tmp_path / "marker").exists()
    with suppress(Exception):
        torch.export.load(path)
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("change, text", [
    (lambda r: {**r, "data/aotinductor/model/m.so": b"\x7fELF"}, r"holds compiled code, .*m\.so, which would run"),
    (lambda r: with_constant(r, "custom_obj_0", b""), "holds a pickled object, data/constants/custom_obj_0"),
    (lambda r: {**r, "models/second.json": b"{}"}, "holds models/second.json: it is of an older layout, or holds more"),
    (lambda r: {**r, "serialized_exported_program.json": b""}, "is in the layout of PyTorch 2.7 and older, .* pickles"),
    (lambda r: with_operation(r, "torch.os.system"), "calls torch.os.system, which is no operation of PyTorch's own"),
    (lambda r: with_operation(r, "torch.ops.mine.run.default"), "calls torch.ops.mine.run.default, which is no"),
    (lambda r: with_operation(r, "torch.ops.aten.__class__.mro"), "calls .*mro, which is no operation"),
    (lambda r: with_operation(r, "torch.ops.higher_order.call_torchbind"), "calls .*call_torchbind, which is no"),
    (lambda r: with_operation(r, "torch.ops.aten.from_file.default"), "from_file.default, which does something else"),
    (lambda r: with_operation(r, "torch.ops.aten.save.default"), "calls torch.ops.aten.save.default, which does some"),
    (lambda r: with_operation(r, "_operator.pow"), "calls _operator.pow, which is no operation"),
    (lambda r: with_operation(r, "_operator.mul", a={"as_sym_int": {"as_name": "x"}}), "multiplies two sizes that are"),
    (lambda r: with_size(r, "Pow(Integer(9), Integer(99999999))"), "a size that is no plain expression"),
    (lambda r: with_size(r, "s77.x"), "has a size that is no plain expression: 's77.x'"),
    (lambda r: changed(r, GRAPH, lambda g: g["range_constraints"].update(u999999999=1)), "free size with the strange"),
    (lambda r: changed(r, GRAPH, lambda g: g.update(more=[10**30])), "no readable text .*a number of 31 digits"),
    (lambda r: with_tree(r, type="mine.Result"), "takes or returns 'mine.Result'. Return tensors"),
    (lambda r: {**r, GRAPH: b"[" * 100_000}, "has no readable text in models/model.json"),
    (lambda r: {**r, GRAPH: b"\xff{}"}, "has no readable text in models/model.json"),
    (lambda r: {**r, GRAPH: b"[]"}, "has something else than a JSON object in models/model.json"),
    (lambda r: {k: v for k, v in r.items() if k != WEIGHTS}, f"has no record {WEIGHTS}: it is cut short"),
    (lambda r: changed(r, WEIGHTS, lambda t: t["config"]["head.bias"].update(path_name="../../x")), "which it does"),
    (lambda r: with_sizes(r, {"as_int": 10**6}, {"as_int": 10**6}),
     r"says that head.bias has sizes \[1000000, 1000000\], and holds 12 bytes"),
    (lambda r: with_sizes(r, {"as_name": "x"}), "does not say in whole numbers what sizes head.bias has"),
])
def test_what_is_no_plain_program_is_refused(change, text, records, tmp_path):
    with pytest.raises(InputError, match=text):
        load(written(tmp_path / "model.pt2", change(records)))


def test_a_small_file_does_not_become_a_large_one(records, tmp_path):
    bomb = written(tmp_path / "model.pt2", {**records, "data/weights/weight_9": bytes(10**8)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**6
    with pytest.raises(InputError, match=r"says that it holds 1\d{8} bytes in \d{5,6}: PyTorch compresses nothing"):
        load(bomb)


def test_guards_are_never_made_into_code(records, tmp_path):
    marker = tmp_path / "marker"
    guards = {"guards_code": [f"open({str(marker)!r}, 'w')"]}
    path = written(tmp_path / "model.pt2", changed(records, GRAPH, lambda g: g.update(guards)))
    assert read_program(path)._guards_code == []
    load_program(read_program(path).run_decompositions({}))
    assert not marker.exists()


def test_the_copy_is_the_program(records, tmp_path):
    path = written(tmp_path / "model.pt2", records)
    copied, trusted = torch.export.load(plain_archive(path)), torch.export.load(path)
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(copied.module()(x), trusted.module()(x))
    assert copied.state_dict.keys() == trusted.state_dict.keys() and copied.example_inputs is None
    assert load_program(copied).digest == load_program(trusted).digest


def test_a_program_from_a_gpu_is_read_without_one(records, tmp_path):
    moved = {name: content.replace(b'"type": "cpu", "index": null', b'"type": "cuda", "index": 0')
             for name, content in records.items()}
    assert moved != records
    here, there = written(tmp_path / "here.pt2", records), written(tmp_path / "there.pt2", moved)
    assert load(there).digest == load(here).digest


def test_damaged_files_are_refused_or_harmless(records, tmp_path):
    draw = random.Random(3)
    whole = written(tmp_path / "whole.pt2", records).read_bytes()
    refused = 0
    for trial in range(60):
        content = bytearray(whole)
        if trial % 3 == 0:
            content = content[: draw.randrange(len(content))]
        for _ in range(draw.randrange(1, 40)) if len(content) else ():
            content[draw.randrange(len(content))] = draw.randrange(256)
        (tmp_path / "damaged.pt2").write_bytes(content)
        try:
            load(tmp_path / "damaged.pt2")
        except InputError:
            refused += 1
    assert refused >= 20


def test_a_graph_with_its_parts_exchanged_is_refused_or_harmless(records, tmp_path):
    draw, refused = random.Random(5), 0
    for _ in range(60):
        graph = json.loads(records[GRAPH])
        places = [(value, key) for value in _containers(graph)
                  for key in (value if isinstance(value, dict) else range(len(value)))]
        for _ in range(2):
            (a, i), (b, j) = draw.choice(places), draw.choice(places)
            with suppress(LookupError):  # a place of what was replaced before
                a[i] = json.loads(json.dumps(b[j]))
        path = written(tmp_path / "model.pt2", {**records, GRAPH: json.dumps(graph).encode()})
        try:
            load(path)
        except InputError:
            refused += 1
    assert refused >= 10


def _containers(value):
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)
