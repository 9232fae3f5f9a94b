"""What of the integer network the core of today runs; everything else of the contract is refused by name."""

from gen.errors import UnsupportedNetwork
from gen.intnet import STEPS
from gen.layout.program import CORE_TIMESTEPS

__all__ = ["check_core"]

MAX_BURST = 15


def check_core(network):
    """Raise `UnsupportedNetwork` with all that the core lacks for ``network``, an integer network or one of stages."""
    problems = [problem for stage in network.stages for problem in _problems(stage)]
    if len(network.stages) > 1:
        problems.insert(0, f"the network has {len(network.stages)} stages; the core runs one")
    if problems:
        raise UnsupportedNetwork(list(dict.fromkeys(problems)))


def _problems(network):
    if network.timesteps > CORE_TIMESTEPS:
        yield f"{network.timesteps} timesteps; the core runs at most {CORE_TIMESTEPS}"
    if len(network.outputs) > 1:
        yield f"the outputs {', '.join(network.outputs)}; the core has one"
    elif network.layers[-1].emits:
        yield f"the layers after the output {network.outputs[0]!r}; the output comes last"
    if network.dense:
        yield f"the output {network.readout.name!r} of several positions; the core's has one"
    if network.order != STEPS:
        yield f"the order {network.order!r}; the core runs {STEPS!r}"
    for layer in network.layers:
        if layer.fires and layer.signed:
            yield f"layer {layer.name!r}: counts below zero"
        if layer.fires and layer.burst > MAX_BURST:
            yield f"layer {layer.name!r}: a burst of {layer.burst}; the core's are at most {MAX_BURST}"
        for part in layer.inputs:
            yield from (f"layer {layer.name!r}: {problem}" for problem in _window_problems(part))


def _window_problems(part):
    window = part.window
    if window.upsample != (1, 1):
        yield f"an upsampled map of {part.source!r}"
    if not window.symmetric:
        yield f"padding {window.padding} of {part.source!r} that differs between the sides"
    if part.weight is not None:
        return
    if window.dilation != (1, 1):
        yield f"a dilated pool of {part.source!r}"
    if any(2 * pad > kernel for pad, kernel in zip(window.padding, window.kernel)):
        yield f"a pool whose padding {window.padding} is over half of its kernel {window.kernel}"
