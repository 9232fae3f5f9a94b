"""Why an operation has no counterpart, and the nearest form that has one, however a format spells its name."""

from __future__ import annotations

__all__ = ["EVAL", "LINEAR_PIECES", "OUTSIDE", "Refused", "refusal"]

EVAL = "model.eval() before the export"
OUTSIDE = "is outside the contract"
LINEAR_PIECES = "is not made of straight lines, and a burst counts along one on each side of zero"
RELU = "ReLU, ReLU6 or LeakyReLU"
NORM = "BatchNorm2d"

_CURVES = (
    "elu", "gelu", "celu", "selu", "silu", "swish", "hardswish", "mish", "tanh", "softplus", "softsign", "logsigmoid",
    "erf", "exp", "log", "sqrt", "rsqrt", "pow", "sin", "cos", "square", "reciprocal",
)
_GATES = ("hardsigmoid", "sigmoid", "softmax", "logsoftmax")
_RECURRENT = ("lstm", "gru", "rnn", "rnntanh", "rnnrelu", "quantizedlstm", "unidirectionalsequencelstm", "scan", "loop")
_ATTENTION = ("scaleddotproductattention", "multiheadattention", "attention", "einsum", "bmm", "batchmatmul")
_NORMS = (
    "layernorm", "layernormalization", "nativelayernorm", "groupnorm", "groupnormalization", "nativegroupnorm",
    "instancenorm", "instancenormalization", "lrn", "localresponsenormalization", "l2normalization", "rmsnorm",
)
_RESIZES = (
    "upsamplebilinear2d", "upsamplebicubic2d", "upsamplelinear1d", "upsampletrilinear3d", "resizebilinear",
    "gridsampler", "gridsample",
)

_REFUSALS = {
    **dict.fromkeys(_CURVES, (LINEAR_PIECES, RELU)),
    **dict.fromkeys(_GATES, ("multiplies or normalizes inside the network, where only its last step may",
                             "ReLU (drop it where it is the last operation)")),
    **dict.fromkeys(_RECURRENT, ("feeds its result back, and a layer reads earlier layers alone",
                                 "1-D convolutions over time")),
    **dict.fromkeys(_ATTENTION, ("multiplies two maps, and a synapse multiplies a map with a constant",
                                 "convolutions or linear layers with constant weights")),
    **dict.fromkeys(_NORMS, ("takes its statistics from the very image that it normalizes", NORM)),
    **dict.fromkeys(_RESIZES, ("weighs neighbours by their distance",
                               "nearest Upsample by an integer, or ConvTranspose2d")),
    **dict.fromkeys(("conv3d", "maxpool3d", "avgpool3d"), ("works in three dimensions", "Conv2d")),
    **dict.fromkeys(("nativebatchnormlegitfunctional", "nativedropout", "bernoulli"), ("is in training mode", EVAL)),
    **dict.fromkeys(("lif", "cubalif", "threshold"), (OUTSIDE, "IF")),
    **dict.fromkeys(("li", "cubali"), (OUTSIDE, "Affine or Linear before the Output")),
    **dict.fromkeys(("quantizelinear", "dequantizelinear", "qlinearconv"), (OUTSIDE, "the float model")),
    **dict.fromkeys(("argmax", "topk", "sort", "nonmaxsuppression"),
                    ("picks by value", "the scores themselves as the output: the host picks")),
}


class Refused(Exception):
    """An operation without counterpart: why, and the nearest supported form if there is one."""

    def __init__(self, reason: str, form: str | None = None):
        super().__init__(reason)
        self.reason, self.form = reason, form


def refusal(op: str) -> tuple[str, str | None]:
    """Return reason and nearest form for the operation ``op``, which no table of a door knows."""
    return _REFUSALS.get(op.rpartition(".")[2].replace("_", "").lower(), (OUTSIDE, None))
