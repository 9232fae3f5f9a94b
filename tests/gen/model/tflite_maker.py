"""Writes TFLite models node by node and runs them with LiteRT's own interpreter."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

TYPES = {np.dtype(kind): getattr(schema.TensorType, name) for kind, name in (
    ("f4", "FLOAT32"), ("f2", "FLOAT16"), ("i1", "INT8"), ("u1", "UINT8"), ("i4", "INT32"), ("i8", "INT64"))}
NONE, RELU, RELU_N1, RELU6, TANH = range(5)
SAME, VALID = range(2)


class Maker:
    """A model of one graph: tensors are numbers, in the order in which they are made."""

    def __init__(self):
        self.tensors, self.buffers, self.codes, self.operators, self.inputs = [], [schema.BufferT()], [], [], []
        self.shapes = []

    def tensor(self, shape, name="", dtype="f4", scale=None, zero=0, axis=0, buffer=0, free=()):
        """Add a tensor; one or several scales make it quantized; ``free`` axes have no fixed size."""
        tensor = schema.TensorT()
        tensor.shape, tensor.name, tensor.buffer = list(map(int, shape)), name or f"t{len(self.tensors)}", buffer
        tensor.type = TYPES[np.dtype(dtype)]
        if free:
            tensor.shapeSignature = [-1 if axis in free else size for axis, size in enumerate(tensor.shape)]
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.ravel(scale).astype("f4").tolist()
            tensor.quantization.zeroPoint = np.broadcast_to(zero, np.size(scale)).tolist()
            tensor.quantization.quantizedDimension = axis
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def input(self, *shape, **known):
        """Add an input."""
        self.inputs.append(self.tensor(shape, "image", **known))
        return self.inputs[-1]

    def const(self, array, **known):
        """Add a constant; plain numbers are float32, integers int32."""
        array = np.asarray(array)
        kind = {"f": "f4", "i": "i4"}[array.dtype.kind] if array.dtype.itemsize == 8 else array.dtype
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.astype(kind).tobytes(), np.uint8)
        self.buffers.append(buffer)
        return self.tensor(array.shape, dtype=kind, buffer=len(self.buffers) - 1, **known)

    def node(self, op, inputs, shape, options="", results=1, custom=None, **values):
        """Add an operation with the options table ``options``; return its result, or all of several."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, op)
        code.deprecatedBuiltinCode, code.customCode = min(code.builtinCode, 127), custom
        self.codes.append(code)
        operator = schema.OperatorT()
        known = {key: values.pop(key) for key in ("dtype", "scale", "zero") if key in values}
        outputs = [self.tensor(shape, f"{op.lower()}{len(self.operators)}" + f".{i}" * (results > 1), **known)
                   for i in range(results)]
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.codes) - 1, list(inputs), outputs
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in values.items():
                assert hasattr(operator.builtinOptions, name), name
                setattr(operator.builtinOptions, name, value)
        self.operators.append(operator)
        return outputs[0] if results == 1 else outputs

    def conv(self, x, weight, shape, bias=None, stride=(1, 1), padding=SAME, act=NONE, dilation=(1, 1), depthwise=None):
        """Add a convolution with ``weight`` [out, kh, kw, in], depthwise [1, kh, kw, out]; arrays or tensors."""
        bias = np.zeros(shape[-1]) if bias is None else bias
        ends = [x, *(value if isinstance(value, int) else self.const(value) for value in (weight, bias))]
        more = {} if depthwise is None else {"depthMultiplier": depthwise}
        return self.node("CONV_2D" if depthwise is None else "DEPTHWISE_CONV_2D", ends, shape,
                         "Conv2DOptions" if depthwise is None else "DepthwiseConv2DOptions", padding=padding,
                         strideH=stride[0], strideW=stride[1], fusedActivationFunction=act, dilationHFactor=dilation[0],
                         dilationWFactor=dilation[1], **more)

    def pool(self, op, x, window, stride, shape, padding=VALID, act=NONE):
        """Add a pool."""
        known = {"filterHeight": window[0], "filterWidth": window[1], "strideH": stride[0], "strideW": stride[1]}
        return self.node(op, [x], shape, "Pool2DOptions", padding=padding, fusedActivationFunction=act, **known)

    def linear(self, x, weight, shape, bias=None, act=NONE, keep=False):
        """Add a linear layer with ``weight`` [out, in]."""
        ends = [x, self.const(weight), self.const(np.zeros(len(weight)) if bias is None else bias)]
        return self.node("FULLY_CONNECTED", ends, shape, "FullyConnectedOptions", fusedActivationFunction=act,
                         keepNumDims=keep)

    def content(self, *outputs):
        """Return the model as bytes."""
        graph, model, builder = schema.SubGraphT(), schema.ModelT(), flatbuffers.Builder(0)
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, self.inputs, outputs
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, self.codes
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def interpreted(content, images):
    """Return the results of a model for ``images`` [N, ...], one by one, in its own numbers."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), results = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None].astype(given["dtype"]))
        interpreter.invoke()
        found.append([interpreter.get_tensor(result["index"])[0] for result in results])
    return [np.stack(values) for values in zip(*found)]


def float_weights(content):
    """Return a model with its quantized weights as the floats that they stand for; maps stay as they are."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if tensor.type == schema.TensorType.INT8 and data is not None and len(data):
            quantization, sizes = tensor.quantization, [1] * len(tensor.shape)
            if len(quantization.scale) > 1:
                sizes[quantization.quantizedDimension] = -1
            numbers = np.asarray(data, np.uint8).view(np.int8).reshape(tensor.shape).astype("f4")
            zero, scale = (np.asarray(v).reshape(sizes) for v in (quantization.zeroPoint, quantization.scale))
            real = ((numbers - zero) * scale).astype("f4")
            model.buffers[tensor.buffer].data = np.frombuffer(real.tobytes(), np.uint8)
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
