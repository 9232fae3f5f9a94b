"""Currents as products of integer matrices: windows of counts, uint8, times weights, int8, summed in int32.

ONNX Runtime multiplies with the instructions that processors have for this, at up to ten times the pace of floating
point. Where they first add two products in 16 bits (AVX2), that saturates at 32767: counts up to 127 stay below, as
2 * 127 * 127 = 32258. The contract proves that sums fit 32 bits.
"""

import math
from functools import cache, partial

import numpy as np

from sim.golden.kernels import copy_windows

__all__ = ["Product", "dense", "multiplies"]

_COUNT_MAX, _WINDOWS_BYTES = 127, 2**20


def multiplies(network, synapse):
    """Return whether a synapse is worth a product and exact in it: small counts, and not depthwise with a window."""
    low, high = network.value_ranges[synapse.source]
    return 0 <= low and high <= _COUNT_MAX and (synapse.groups == 1 or synapse.kernel == (1, 1))


class Product:
    """What several synapses of a layer add up to, as one product of matrices."""

    def __init__(self, network, layer, synapses):
        channels, *self._size = network.shapes[layer.name]
        weights = [dense(s).transpose(2, 3, 1, 0).reshape(-1, channels) for s in synapses]
        self._weight = np.ascontiguousarray(np.concatenate(weights), np.int8)
        self._windows = [_Window(network, layer, synapse) for synapse in synapses]
        words = all(window.channels % 8 == 0 for window in self._windows)
        self._type = np.dtype(np.uint64 if words else np.uint8)
        self._at = np.cumsum([0, *map(len, weights)]) // self._type.itemsize

    def calls(self, maps, out, scratch):
        """Return the calls that compute ``out``, int32 [n, H', W', O], of ``maps``, name to uint8 [n, H, W, C]."""
        sources, (length, outputs) = [maps[window.source] for window in self._windows], self._weight.shape
        if len(sources) == 1 and self._windows[0].whole:
            return [_product(sources[0].reshape(-1, length), self._weight, out.reshape(-1, outputs))]
        n, pixels = len(out), math.prod(self._size)
        part = max(1, _WINDOWS_BYTES // (pixels * length))
        windows, calls = scratch("windows", (min(part, n) * pixels, length), np.uint8), []
        for images in (slice(start, start + part) for start in range(0, n, part)):
            sums = out[images].reshape(-1, outputs)
            rows = windows[: len(sums)]
            for window, source, at in zip(self._windows, sources, self._at):
                calls.append(window.copy(source[images].view(self._type), at, rows.view(self._type)))
            calls.append(_product(rows, self._weight, sums))
        return calls


class _Window:
    """What one synapse reads for every output position."""

    def __init__(self, network, layer, synapse):
        self.source, shape = synapse.source, network.shapes[synapse.source]
        self.channels, self._size = shape[0], tuple(network.shapes[layer.name][1:])
        self._geometry = synapse.kernel, synapse.stride, synapse.padding, synapse.dilation
        pixel = synapse.kernel == synapse.stride == (1, 1) and self._size == shape[1:]
        self.whole = synapse.padding == (0, 0) and (pixel or (synapse.kernel == shape[1:] and self._size == (1, 1)))

    def copy(self, source, at, out):
        """Return the call that copies every window of the map ``source`` into a row of ``out``, from column ``at``."""
        return partial(copy_windows, source, self._size, *self._geometry, at, out)


def dense(synapse):
    """Return the weights of a synapse as int [O, C, ...], zero between its groups."""
    groups, (outputs, inputs, *kernel) = synapse.groups, synapse.weight.shape
    weight = np.zeros((groups, outputs // groups, groups, inputs, *kernel), synapse.weight.dtype)
    index = np.arange(groups)
    weight[index, :, index] = synapse.weight.reshape(groups, -1, inputs, *kernel)
    return weight.reshape(outputs, groups * inputs, *kernel)


def _product(counts, weight, out):
    """Return the call that computes ``out``, int32 [n, O]: the product of uint8 [n, K] and int8 [K, O]."""
    session = _session()
    binding, arrays = session.io_binding(), {"counts": counts, "weight": weight, "sum": out}
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

    shapes = {"counts": (TensorProto.UINT8, "nk"), "weight": (TensorProto.INT8, "ko"), "sum": (TensorProto.INT32, "no")}
    counts, weight, total = (helper.make_tensor_value_info(name, *shape) for name, shape in shapes.items())
    node = helper.make_node("MatMulInteger", ["counts", "weight"], ["sum"])
    graph = helper.make_graph([node], "product", [counts, weight], [total])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
