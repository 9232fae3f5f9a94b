"""A model file is data: nothing in it runs for ever, eats the machine, or is taken for what it is not."""

import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gen.errors import InputError, UnsupportedModel
from gen.model.load import load
from gen.model.onnx_graph import MAX_NODES
from tests.gen.model.onnx_maker import END, HEAD, PLAIN, STEM, model, value

pytestmark = pytest.mark.usefixtures("one_thread")

INTS, HUGE = np.array, 2**40
CONV, RELU = PLAIN[:2]


def endless(trips):
    """Return a Loop of ``trips`` rounds with a constant body."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["w0"], ["w1"])], "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("w0", [4, 2, 3, 3])],
        [value("on", [], TensorProto.BOOL), value("w1", [4, 2, 3, 3])])
    return ("Loop", "trips,,stem.weight", "w", {"body": body}), {"trips": INTS(trips)}


def branch():
    """Return an If whose condition is a constant."""
    kept = [helper.make_node("Identity", ["stem.weight"], ["k"])]
    kept = helper.make_graph(kept, "kept", [], [value("k", [4, 2, 3, 3])])
    return ("If", "yes", "w", {"then_branch": kept, "else_branch": kept}), {"yes": INTS(True)}


def shaped(op, **attributes):
    return (op, "one,sizes", "w", attributes)


ONE = {"one": np.ones(1, "float32")}
WEIGHTS = {  # what makes the weight w of a convolution, what it reads, what is said of it
    "2^62 rounds": (*endless(2**62), r"stem \(Loop\): is control flow"),
    "a branch": (*branch(), r"/w \(If\): is control flow"),
    "ConstantOfShape": (("ConstantOfShape", "sizes", "w", {}), {"sizes": INTS([HUGE, 2])}, f"makes {2 * HUGE} numbers"),
    "Expand": (shaped("Expand"), {**ONE, "sizes": INTS([HUGE, 2])}, f"makes {2 * HUGE} numbers"),
    "Tile": (shaped("Tile"), {**ONE, "sizes": INTS([HUGE])}, f"makes {HUGE} numbers"),
    "Tile past 64 bits": (shaped("Tile"), {"one": np.ones(4, "float32"), "sizes": INTS([2**62])},
                          "is not valid .*overflow"),
    "Pad": (shaped("Pad"), {**ONE, "sizes": INTS([HUGE, 0])}, f"makes {HUGE + 1} numbers"),
    "Range": (("Range", "from,to,step", "w", {}), {"from": INTS(0), "to": INTS(2**62), "step": INTS(1)},
              f"makes {2**62} numbers"),
    "OneHot": (("OneHot", "at,depth,pair", "w", {}), {"at": INTS([1]), "depth": INTS(HUGE), "pair": np.float32([0, 1])},
               f"makes {HUGE} numbers"),
    "MatMul": (("MatMul", "tall,wide", "w", {}), {"tall": np.ones((20000, 1), "float32"),
                                                  "wide": np.ones((1, 20000), "float32")}, "makes 400000000 numbers"),
    "many products": (("MatMul", "square,square", "w", {}), {"square": np.ones((4000, 4000), "float32")},
                      "makes 16000000 numbers out of constants, more than are computed here"),
    "sparse": (("Constant", "", "w", {"sparse_value": helper.make_sparse_tensor(
        helper.make_tensor("v", 1, [1], [1.0]), helper.make_tensor("i", 7, [1], [3]), [HUGE])}), {},
        f"makes {HUGE} numbers"),
    "random": (("RandomNormal", "", "w", {"shape": [4, 2, 3, 3]}), {}, "draws random numbers, others at each run"),
    "random, like another": (("RandomUniformLike", "stem.weight", "w", {}), {}, "draws random numbers"),
    "no such list": (("Reshape", "stem.weight,sizes", "w", {}), {"sizes": INTS([7, 7])}, r"/w \(Reshape\): .*onnxsim"),
    "text": (("Identity", "words", "w", {}), {"words": INTS(["a", "b"], object)}, "reads a constant of text"),
    "complex": (("Identity", "turns", "w", {}), {"turns": np.ones(4, "complex64")}, "a constant of complex numbers"),
    "another library's": (("Foo", "stem.weight", "w", {"domain": "acme"}), {},
                          r"acme.Foo\): is not computed on constants"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_not_computed(name):
    node, more, text = WEIGHTS[name]
    nodes = [node, ("Conv", "x,w", "r", {}), *END]
    with pytest.raises(UnsupportedModel, match=text) as caught:
        load(model(nodes, {**STEM, **HEAD, **more}))
    assert len(caught.value.problems) == 1, "what depends on it is not refused again"


def test_constants_are_bounded_all_together():
    doubled = [("Concat", f"w{i},w{i}", f"w{i + 1}", {"axis": 0}) for i in range(40)]
    with pytest.raises(UnsupportedModel, match=r"/w\d\d \(Concat\): makes \d+ numbers"):
        load(model([*doubled, ("Conv", "x,w40", "y", {})], {"w0": np.ones((1000, 2, 3, 3), "float32")}))


@pytest.mark.parametrize("op, more, text", [
    ("Expand", INTS([1, 4, HUGE, 1]), "numbers, of which 67108864 are computed at most"),
    ("Tile", INTS([1, 1, HUGE, 1]), "numbers, of which 67108864 are computed at most"),
    ("Pad", INTS([0, 0, HUGE, 0, 0, 0, 0, 0]), "numbers, of which 67108864 are computed at most"),
    ("Slice", INTS([1, 1]), "is not valid"),
])
def test_maps_are_bounded(op, more, text):
    with pytest.raises(UnsupportedModel, match=text):
        load(model([CONV, RELU, ("GlobalAveragePool", "r", "g", {}), (op, "g,more", "y", {})], {**STEM, "more": more}))


def test_a_weight_that_only_orders_numbers_is_bounded():
    nodes = [("Flatten", "x", "f", {}), ("Slice", "f,one,last,one", "s", {}), ("Add", "s,s", "a", {}),
             ("Relu", "a", "y", {})]
    with pytest.raises(UnsupportedModel, match="makes a weight of .* numbers, the most is"):
        load(model(nodes, {"one": INTS([1]), "last": INTS([-1])}, shape=["N", 1024, 8, 8]))


def test_an_image_is_bounded():
    with pytest.raises(InputError, match="takes 2199023255552 numbers at once, of which 67108864 are looked at"):
        load(model(PLAIN, {**STEM, **HEAD}, shape=["N", 2, HUGE, 1]))


def functions(count, calls):
    """Return a model whose function i calls function i + 1 ``calls`` times, ``count`` deep; the last calls Relu."""
    made = []
    for i in range(count):
        called, domain = (f"f{i + 1}", "acme") if i + 1 < count else ("Relu", "")
        inner = [helper.make_node(called, ["a" if k == 0 else f"t{k}"], [f"t{k + 1}"], domain=domain)
                 for k in range(calls)]
        inner.append(helper.make_node("Identity", [f"t{calls}"], ["b"]))
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
        made.append(helper.make_function("acme", f"f{i}", ["a"], ["b"], inner, imports))
    result = model([CONV, ("f0", "c", "r", {"domain": "acme"}), *END], {**STEM, **HEAD})
    result.functions.extend(made)
    return result


def test_functions_are_inlined_as_often_as_they_are_called_and_not_without_end():
    assert load(functions(3, 1)).digest == load(model([CONV, RELU, *END], {**STEM, **HEAD})).digest
    with pytest.raises(InputError, match=rf"has \d+ nodes; {MAX_NODES} are walked at most"):
        load(functions(60, 2))
    circle = functions(2, 1)
    circle.functions[1].node[0].op_type, circle.functions[1].node[0].domain = "f0", "acme"
    with pytest.raises(InputError, match="Functions of the ONNX model call each other in a circle"):
        load(circle)


def test_a_graph_that_is_broken_is_called_what_it_is():
    lost = model([CONV, RELU, ("Add", "r,nowhere", "s", {}), ("Relu", "s", "y", {})], STEM, outputs=("y", "z"))
    with pytest.raises(InputError, match=r"to nothing: /s \(Add\) reads 'nowhere'; the model returns 'z', which"):
        load(lost)
    circle = model([("Add", "x,b", "a", {}), ("Relu", "a", "b", {}), ("Relu", "b", "y", {})], {})
    with pytest.raises(InputError, match=r"has a circle, (/a -> /b -> /a|/b -> /a -> /b)"):
        load(circle)
    with pytest.raises(InputError, match="makes the tensor 'c' twice, again in /c"):
        load(model([CONV, CONV, RELU, *END], {**STEM, **HEAD}))
    sparse = model(PLAIN, {**STEM, **HEAD})
    sparse.graph.sparse_initializer.add().values.name = "thin"
    with pytest.raises(InputError, match="keeps weights in a sparse form: thin"):
        load(sparse)


def test_old_ways_to_write_a_graph_are_taken():
    digest = load(model(PLAIN, {**STEM, **HEAD})).digest
    unsorted = model(PLAIN, {**STEM, **HEAD})
    nodes = [unsorted.graph.node.pop() for _ in range(len(unsorted.graph.node))]
    unsorted.graph.node.extend(nodes)
    assert load(unsorted).digest == digest
    third = model(PLAIN, {**STEM, **HEAD})
    third.ir_version = 3
    third.graph.input.extend(value(name, array.shape) for name, array in {**STEM, **HEAD}.items())
    assert load(third).digest == digest
    dead = model([*PLAIN, ("Foo", "r", "unread", {"domain": "acme"})], {**STEM, **HEAD})
    assert load(dead).digest == digest


@pytest.mark.parametrize("tensor, text", [
    (TensorProto(name="b", data_type=1, dims=[4], raw_data=b"123"), r"'b' of the ONNX model, \[4\], cannot be read"),
    (TensorProto(name="b", data_type=77, dims=[4]), r"'b' of the ONNX model, \[4\], cannot be read"),
    (TensorProto(name="b", data_type=1, dims=[-4]), r"its tensor 'b' has a negative size, \[-4\]"),
    (TensorProto(name="b", data_type=1, dims=[HUGE]), "hold 1099511627860 numbers; 268435456 are read at most"),
    (TensorProto(name="b", data_type=8, dims=[4], string_data=[b"\xff"] * 4), "cannot be read"),
])
def test_tensors_that_are_none(tensor, text):
    made = model(PLAIN, {**STEM, **HEAD})
    made.graph.initializer[1].CopyFrom(tensor)
    with pytest.raises(InputError, match=text):
        load(made)


def test_a_name_that_is_not_utf8(tmp_path):
    whole = model(PLAIN, {**STEM, **HEAD}).SerializeToString()
    broken = whole.replace(b"stem.weight", b"stem\xffweight")
    (tmp_path / "m.onnx").write_bytes(broken)
    for broken_model in (tmp_path / "m.onnx", onnx.ModelProto.FromString(broken)):
        with pytest.raises(InputError, match=r"model is damaged: the name b'stem\\xffweight' is not UTF-8"):
            load(broken_model)


def mutated(whole, chance):
    """Return a copy of the model ``whole`` with one thing in it changed by ``chance``."""
    made = onnx.ModelProto()
    made.CopyFrom(whole)
    node, numbers = chance.choice(made.graph.node), [-(2**63), -1, 0, 1, 3, 2**31, 2**62]
    names = [name for other in made.graph.node for name in [*other.input, *other.output]]
    match chance.randrange(6):
        case 0 if node.attribute:
            attribute = chance.choice(node.attribute)
            attribute.i = chance.choice(numbers)
            attribute.ints[:] = [chance.choice(numbers) for _ in attribute.ints]
        case 1 if node.input:
            node.input[chance.randrange(len(node.input))] = chance.choice([*names, ""])
        case 2:
            node.op_type = chance.choice([schema.name for schema in onnx.defs.get_all_schemas()])
        case 3:
            tensor = chance.choice(made.graph.initializer)
            array = np.array(chance.choices(numbers, k=chance.randrange(5)))
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        case 4:
            made.graph.input[0].type.tensor_type.shape.dim[chance.randrange(4)].dim_value = chance.choice(numbers)
        case _:
            content = bytearray(made.SerializeToString())
            content[chance.randrange(len(content))] = chance.randrange(256)
            return bytes(content)
    return made.SerializeToString()


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_model_loads_or_is_refused(seed, tmp_path):
    chance, refused = random.Random(seed), 0
    nodes = [*PLAIN[:2], ("Slice", "r,from,to,axes", "s", {}), ("MaxPool", "s", "p", {"kernel_shape": [2, 2]}),
             ("Transpose", "p", "t", {"perm": [0, 2, 3, 1]}), ("Reshape", "t,flat", "u", {}),
             ("MatMul", "u,w", "y", {})]
    whole = model(nodes, {**STEM, "from": INTS([0]), "to": INTS([6]), "axes": INTS([3]), "flat": INTS([0, -1, 4]),
                          "w": np.ones((4, 3), "float32")})
    load(whole)
    for _ in range(60):
        (tmp_path / "m.onnx").write_bytes(mutated(whole, chance))
        try:
            load(tmp_path / "m.onnx")
        except InputError:
            refused += 1
    assert 20 < refused < 60
