"""Views pick the numbers that NumPy picks, and whatever reads them computes what PyTorch computes."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from gen.errors import InputError, NetworkError, UnsupportedModel
from gen.model import operations as ops
from gen.model.builder import Builder
from gen.model.operations import Refused
from tests.gen.model.reference import results

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


@st.composite
def moves(draw, shape):
    """Draw one operation on a value of ``shape``: (name, its arguments), as views and NumPy both take them."""
    axis = draw(st.integers(0, len(shape) - 1))
    kinds = ["transpose", "slice", "pad", "reshape", "concat", "select"] + ["upsample"] * (len(shape) == 3)
    kind = draw(st.sampled_from(kinds))
    if kind == "transpose":
        return kind, (tuple(draw(st.permutations(range(len(shape))))),)
    if kind == "slice":
        start = draw(st.integers(0, shape[axis] - 1))
        return kind, (axis, start, draw(st.integers(start + 1, shape[axis])), draw(st.integers(1, 2)))
    if kind == "pad":
        return kind, ([draw(st.tuples(st.integers(0, 2), st.integers(-1 if n > 2 else 0, 2))) for n in shape],)
    if kind == "reshape":
        first = draw(st.sampled_from(divisors(int(np.prod(shape)))))
        second = draw(st.sampled_from(divisors(int(np.prod(shape)) // first)))
        sizes = (first, second, int(np.prod(shape)) // first // second)
        return kind, (draw(st.sampled_from([sizes, (first, -1), (*shape[:-1], 1, shape[-1])])),)
    if kind == "concat":
        return kind, (axis,)
    if kind == "upsample":
        return kind, ((draw(st.integers(1, 3)), draw(st.integers(1, 2))),)
    return kind, (axis, draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=4)))


def moved(kind, arguments, x):
    """Do with an array [N, ...] what the operation does with a view."""
    if kind == "transpose":
        return x.transpose(0, *(axis + 1 for axis in arguments[0]))
    if kind == "slice":
        axis, *bounds = arguments
        return x[(slice(None),) * (axis + 1) + (slice(*bounds),)]
    if kind == "pad":
        cuts = tuple(slice(None, after or None) if after < 0 else slice(None) for _, after in arguments[0])
        widths = [(before, max(0, after)) for before, after in arguments[0]]
        return np.pad(x[(slice(None), *cuts)], [(0, 0), *widths])
    if kind == "reshape":
        return x.reshape(len(x), *arguments[0])
    if kind == "upsample":
        return x.repeat(arguments[0][0], -2).repeat(arguments[0][1], -1)
    if kind == "concat":
        return np.concatenate([x, x], arguments[0] + 1)
    return x.take(arguments[1], arguments[0] + 1)


OPERATIONS = {
    "transpose": ops.transpose, "slice": ops.slice_, "pad": ops.pad, "reshape": ops.reshape, "select": ops.select,
    "upsample": ops.upsample, "concat": lambda build, site, value, axis: ops.concat(build, site, [value, value], axis),
}


def apply(build, value, x, move):
    """Return value and array after one move."""
    kind, arguments = move
    return OPERATIONS[kind](build, kind, value, *arguments), moved(kind, arguments, x)


def weights(*shape):
    return np.random.default_rng(int(np.prod(shape))).normal(size=shape)


def start(fires):
    """Return builder, images, and a convolution of them as view and as array, its ReLU behind it or not."""
    build, images = Builder(), torch.as_tensor(weights(2, 2, 4, 6))
    value = build.image(("N", 2, 4, 6), "")
    kernel, bias = weights(4, 2, 3, 3), weights(4)
    value = ops.conv(build, "stem", value, kernel, bias, 1, 1)
    x = F.conv2d(images, torch.as_tensor(kernel), torch.as_tensor(bias), padding=1)
    return build, images, ops.fire(build, "relu", value) if fires else value, (x.relu() if fires else x).numpy()


def drawn(data, build, value, x, count):
    """Return value and array after up to ``count`` moves; drop what has grown too large, or is zeros alone."""
    for _ in range(data.draw(st.integers(1, count))):
        move = data.draw(moves(value.seen))
        try:
            value, x = apply(build, value, x, move)
        except Refused as refused:
            assert "nothing but zeros" in str(refused)
        if x[0].size > 600:
            break
    return value, x


@given(st.data(), st.booleans())
@QUICK
def test_an_output_that_was_moved_about_is_what_it_is_in_numpy(data, fires):
    build, images, value, x = start(fires)
    value, x = drawn(data, build, value, x, 5)
    assert value.seen == x.shape[1:]
    (found,) = results(build.finish([value]), images)
    np.testing.assert_allclose(found, x, atol=1e-12)


@given(st.data(), st.booleans())
@QUICK
def test_what_reads_a_view_computes_what_it_computes_in_pytorch_or_refuses(data, fires):
    build, images, value, x = start(fires)
    value, x = drawn(data, build, value, x, 3)
    reader = data.draw(st.sampled_from([linear, convolution, depthwise, pool, addition, scale]))
    if reader is not linear:
        shape = x.shape[1:] if len(x.shape) == 4 else (x.shape[1], -1, 1)
        value, x = ops.reshape(build, "shape", value, shape), x.reshape(len(x), *shape)
    try:
        value, x = reader(data, build, value, x)
    except Refused as refused:
        assert str(refused) and refused.form
        return
    (found,) = results(build.finish([value]), images)
    np.testing.assert_allclose(found, x, atol=1e-9)


def linear(data, build, value, x):
    weight, bias = weights(3, x[0].size), weights(3)
    value = ops.reshape(build, "flat", value, (-1,))
    return ops.linear(build, "fc", value, weight, bias), x.reshape(len(x), -1) @ weight.T + bias


def convolution(data, build, value, x):
    kernel, stride, padding = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2)), data.draw(st.integers(0, 1)))
    return _convolved(build, value, x, weights(3, x.shape[1], kernel, kernel), stride, padding, 1)


def depthwise(data, build, value, x):
    return _convolved(build, value, x, weights(2 * x.shape[1], 1, 2, 2), data.draw(st.integers(1, 2)), 1, x.shape[1])


def _convolved(build, value, x, weight, stride, padding, groups):
    bias = weights(len(weight))
    value = ops.conv(build, "conv", value, weight, bias, stride, padding, 1, groups)
    return value, F.conv2d(*map(torch.as_tensor, (x.copy(), weight, bias)), stride, padding, 1, groups).numpy()


def pool(data, build, value, x):
    stride, padding = data.draw(st.integers(1, 2)), data.draw(st.integers(0, 1))
    if data.draw(st.booleans()):
        value = ops.average(build, "pool", value, 2, stride, padding)
        return value, F.avg_pool2d(torch.as_tensor(x.copy()), 2, stride, padding).numpy()
    ceil = data.draw(st.booleans())
    value = ops.maximum(build, "pool", value, 2, stride, padding, 1, ceil)
    return value, F.max_pool2d(torch.as_tensor(x.copy()), 2, stride, padding, 1, ceil).numpy()


def addition(data, build, value, x):
    other = ops.fire(build, "again", value)
    return ops.add(build, "add", value, other, 0.5), x + 0.5 * np.maximum(x, 0)


def scale(data, build, value, x):
    """Scale and shift each channel, then convolve with padding."""
    factor, shift = weights(x.shape[1], 1, 1), weights(1, x.shape[1], 1, 1)
    value = ops.add(build, "shift", ops.multiply(build, "scale", value, factor), shift)
    return convolution(data, build, value, x * factor + shift)


def test_a_detour_that_leads_back_leaves_no_trace():
    build, _, value, _ = start(True)
    there = ops.reshape(build, "", ops.transpose(build, "", value, (1, 2, 0)), (6, 4, 4))
    back = ops.transpose(build, "", ops.reshape(build, "", there, (4, 6, 4)), (2, 0, 1))
    halves = [ops.slice_(build, "", back, 0, 0, 2), ops.slice_(build, "", back, 0, 2, 4)]
    assert back.index is None and ops.concat(build, "", halves, 0).index is None
    assert ops.conv(build, "", back, weights(2, 4, 1, 1), None).parts[0].synapses[0].source == "stem"


def test_halves_of_a_sum_are_computed_once_each():
    build, images, value, x = start(False)
    halves = [ops.slice_(build, "", value, 0, 0, 2), ops.slice_(build, "", value, 0, 2, 4)]
    fired = [ops.fire(build, "one", halves[0]), ops.fire(build, "other", halves[1], slope=0.5)]
    assert [layer.synapses[0].weight.shape for layer in build.layers] == [(2, 2, 3, 3)] * 2
    (found,) = results(build.finish([ops.concat(build, "", fired, 0)]), images)
    np.testing.assert_allclose(found, np.concatenate([np.maximum(x[:, :2], 0), np.where(x > 0, x, x / 2)[:, 2:]], 1))


def test_windows_take_over_padding_crops_steps_and_upsampling():
    build, _, value, _ = start(True)

    def synapse(view, kernel=3, **geometry):
        (part,) = ops.conv(build, "", view, weights(1, 4, kernel, kernel), None, **geometry).parts
        (found,) = part.synapses
        return found

    padded = synapse(ops.pad(build, "", value, [(0, 0), (1, 2), (0, 3)]), padding=1)
    assert padded.padding == (2, 1, 3, 4) and padded.kernel == (3, 3)
    every_other = synapse(ops.slice_(build, "", value, 2, 1, None, 2), kernel=1)
    assert every_other.stride == (1, 2) and every_other.kernel == (1, 2) and not every_other.weight[..., 0].any()
    large = synapse(ops.upsample(build, "", value, (2, 2)), padding=1)
    assert large.upsample == (2, 2) and large.padding == (1, 1, 1, 1) and large.fill == "nearest"


@pytest.mark.parametrize("operation, reason", [
    (lambda b, v: ops.reshape(b, "", v, (5, 5)), "across images"),
    (lambda b, v: ops.transpose(b, "", v, (0, 3, 1)), "names the axes"),
    (lambda b, v: ops.concat(b, "", [v, ops.slice_(b, "", v, 1, 0, 2)], 0), "joins maps of shapes"),
    (lambda b, v: ops.concat(b, "", [v, np.ones((4, 4, 6))], 0), "joins a constant that is not zero"),
    (lambda b, v: ops.upsample(b, "", v, (0, 1)), "enlarges a map"),
    (lambda b, v: ops.repeat(b, "", v, (3, 4, 6)), "stretches a map"),
    (lambda b, v: ops.slice_(b, "", ops.pad(b, "", v, [(2, 0), (0, 0), (0, 0)]), 0, 0, 2), "nothing but zeros"),
    (lambda b, v: ops.conv(b, "", ops.transpose(b, "", v, (1, 0, 2)), weights(1, 4, 1, 1), None), "channels and pos"),
])
def test_what_no_view_can_be_is_refused(operation, reason):
    build, _, value, _ = start(True)
    with pytest.raises(Refused, match=reason):
        operation(build, value)


def test_an_upsampling_beyond_the_contract_is_a_problem_of_its_layer():
    build = Builder()
    value = build.step("relu", "relu", ops.fire, build.image(("N", 1, 2, 2), ""))
    value = build.step("up", "upsample", ops.upsample, value, (65, 65))
    value = build.step("conv", "conv", ops.conv, value, weights(1, 1, 3, 3), None)
    with pytest.raises(UnsupportedModel, match=r"conv \(conv\): .*upsample must be two integers of 1..64"):
        build.finish([value])


def corner(build, value):
    """Return six numbers of a map of its own, which is as large as ``value``."""
    value = ops.fire(build, "", ops.conv(build, "", value, weights(1, 4, 1, 1), None, 1, 1))
    return ops.reshape(build, "", ops.slice_(build, "", ops.select(build, "", value, 1, 5), 1, 0, 6), (6,))


@pytest.mark.parametrize("operation", [
    lambda b, v: ops.repeat(b, "", v, (10**6, 4, 4, 6)),
    lambda b, v: ops.upsample(b, "", v, (10**4, 10**4)),
    lambda b, v: ops.pad(b, "", v, [(0, 10**9), (0, 0), (0, 0)]),
    lambda b, v: ops.conv(b, "", v, weights(1, 4, 1, 1), None, padding=4096 * 4),
    lambda b, v: ops.linear(b, "", corner(b, ops.pad(b, "", v, [(0, 0), (0, 2000), (0, 2000)])), weights(40, 6), None),
    lambda b, v: ops.concat(b, "", [ops.upsample(b, "", v, (64, 64))] * 256, 0),
])
def test_nothing_is_made_that_is_too_large(operation):
    build, _, value, _ = start(True)
    with pytest.raises((Refused, NetworkError), match="the most is|must be"):
        operation(build, value)


def test_an_image_that_is_too_large_is_refused():
    with pytest.raises(InputError, match="images of 10000000000 numbers; the most is"):
        Builder().image(("N", 1, 10**5, 10**5), "")
