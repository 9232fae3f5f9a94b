"""Currents as products of integer matrices: windows of counts, uint8, times weights, int8, summed in int32.

ONNX Runtime multiplies with the instructions that processors have for this, at up to ten times the pace of floating
point. Where they first add two products in 16 bits (AVX2), that saturates at 32767. So a byte must not be over 32767 /
(2 * 127) = 129 where weights are up to 127. Counts that may be larger are split into parts, ``k = sum((k + i) >> s)``
for i = 0 .. 2**s - 1, each multiplied with the same weight. Signed ones are moved up by a zero point, which the product
takes off again. The contract proves that sums fit 32 bits, and 32-bit sums that wrap on the way are right in the end.
"""

from functools import cache, partial

import numpy as np

from gen.layers import MAX_BURST
from sim.golden.kernels import copy_windows, encode
from sim.golden.places import read_blocks

__all__ = ["Product", "dense", "multiplies", "split"]

_PAIR_MAX = 2**15 - 1  # of two products, each of a byte and a weight
_WINDOWS_BYTES, _LINE_MAX = 2**20, 2**26  # the windows held at a time; those of one row, which are held in any case


def multiplies(network, layer, synapse):
    """Return whether a synapse is worth a product: counts of few parts, and not depthwise with a window."""
    low, high = network.value_ranges[synapse.source]
    line = network.shapes[layer.name][2] * synapse.weight[0].size * synapse.groups
    return (
        max(-low, high) <= MAX_BURST and line <= _LINE_MAX and (synapse.groups == 1 or synapse.kernel == (1, 1))
    )


def split(low, high, weight_max):
    """Return (s, zero): counts of ``low..high`` go into 2**s parts, to each of which ``zero`` is added."""
    most, s = _PAIR_MAX // (2 * max(weight_max, 1)), 0
    while min(most, 255) < _zero(low, s) + _top(high, s):
        s += 1
    return s, _zero(low, s)


def _zero(low, s):
    """Return how far below zero a part of a count can be, of 2**s parts."""
    return max(0, -(low >> s))


def _top(high, s):
    """Return how far above zero."""
    return max(0, high + 2**s - 1 >> s)


class Product:
    """What several synapses of a layer add up to, as one product of matrices."""

    def __init__(self, network, layer, synapses):
        channels, *size = network.shapes[layer.name]
        lows, highs = zip(*(network.value_ranges[synapse.source] for synapse in synapses))
        self._size = size
        self._shift, self._zero = split(min(lows), max(highs), max(int(abs(s.weight).max()) for s in synapses))
        weights = [np.repeat(dense(s).transpose(2, 3, 1, 0)[:, :, None], 2**self._shift, axis=2) for s in synapses]
        weights = [weight.reshape(-1, channels) for weight in weights]
        self._weight = np.ascontiguousarray(np.concatenate(weights), np.int8)
        widths = [network.shapes[synapse.source][0] << self._shift for synapse in synapses]
        self._type = np.dtype(np.uint64 if all(width % 8 == 0 for width in widths) else np.uint8)
        self._fill = np.full(8, self._zero, np.uint8).view(self._type)[0]
        at = np.cumsum([0, *map(len, weights)]) // self._type.itemsize
        self._windows = [
            _Windows(synapse, network.shapes[synapse.source], size, width // self._type.itemsize, first)
            for synapse, width, first in zip(synapses, widths, at)
        ]

    def calls(self, maps, out, scratch):
        """Return the calls that compute ``out``, int32 [n, H', W', O], of ``maps``, name to [n, H, W, C]."""
        sources, calls = [], []
        for number, window in enumerate(self._windows):
            source, encoding = self._bytes(maps[window.source], scratch, number)
            sources.append(source)
            calls += encoding
        (length, outputs), (height, columns) = self._weight.shape, self._size
        sums = out.reshape(-1, outputs)
        if len(sources) == 1 and self._windows[0].whole:
            return [*calls, _product(sources[0].reshape(-1, length), self._weight, self._zero, sums)]
        rows, part = len(out) * height, max(1, _WINDOWS_BYTES // (columns * length))
        if part > height:
            part -= part % height  # whole images
        room = scratch("windows", (min(part, rows) * columns, length), np.uint8)
        for begin in range(0, rows, part):
            some = sums[begin * columns :][: part * columns]
            windows = room[: len(some)]
            for window, source in zip(self._windows, sources):
                source, to = source.view(self._type), windows.view(self._type)
                calls.append(partial(copy_windows, source, *window.tables, begin, self._fill, to))
            calls.append(_product(windows, self._weight, self._zero, some))
        return calls

    def _bytes(self, values, scratch, number):
        """Return the map ``values`` as bytes [n, H, W, C * parts], and the calls that make them of it."""
        if self._shift == self._zero == 0 and values.dtype == np.uint8:
            return values, []
        *plane, channels = values.shape
        out = scratch(f"bytes {number}", (*plane, channels << self._shift), np.uint8)
        flat, parts = values.reshape(-1, channels), out.reshape(-1, channels << self._shift)
        return out, [partial(encode, flat, self._shift, self._zero, parts)]


class _Windows:
    """What one synapse reads for every output position.

    whole : whether that, position by position, is the map as it lies in memory
    tables : of `copy_windows`, for ``channels`` numbers at a place of the map, and the column to begin at
    """

    def __init__(self, synapse, shape, size, channels, at):
        self.source, window = synapse.source, synapse.window
        rows, columns = (window.places(axis, shape[axis + 1], size[axis]) for axis in (0, 1))
        self.tables = rows, read_blocks(window, columns, channels), size[1], window.kernel[1] * channels, at
        straight = all(
            np.array_equal(places.ravel(), np.arange(n)) for places, n in zip((rows, columns), shape[1:])
        )
        self.whole = straight and (window.area == 1 or tuple(size) == (1, 1))


def dense(synapse):
    """Return the weights of a synapse as int [O, C, ...], zero between its groups."""
    groups, (outputs, inputs, *kernel) = synapse.groups, synapse.weight.shape
    weight = np.zeros((groups, outputs // groups, groups, inputs, *kernel), synapse.weight.dtype)
    index = np.arange(groups)
    weight[index, :, index] = synapse.weight.reshape(groups, -1, inputs, *kernel)
    return weight.reshape(outputs, groups * inputs, *kernel)


def _product(counts, weight, zero, out):
    """Return the call that computes ``out``, int32 [n, O]: of uint8 [n, K], less ``zero``, and int8 [K, O]."""
    session = _session()
    zero = np.array(zero, np.uint8)
    binding, arrays = session.io_binding(), {"counts": counts, "weight": weight, "zero": zero, "sum": out}
    for name, array in arrays.items():
        bind = binding.bind_output if array is out else binding.bind_input
        bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def call(_arrays=arrays):  # the binding holds addresses alone
        session.run_with_iobinding(binding)

    return call


@cache
def _session():
    """Return ONNX Runtime's session of one product, for matrices of any size; each thread runs it on its own core."""
    import onnxruntime
    from onnx import TensorProto, helper

    shapes = {
        "counts": (TensorProto.UINT8, "nk"), "weight": (TensorProto.INT8, "ko"), "zero": (TensorProto.UINT8, ()),
        "sum": (TensorProto.INT32, "no"),
    }
    *inputs, total = (helper.make_tensor_value_info(name, *shape) for name, shape in shapes.items())
    node = helper.make_node("MatMulInteger", ["counts", "weight", "zero"], ["sum"])
    graph = helper.make_graph([node], "product", inputs, [total])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
