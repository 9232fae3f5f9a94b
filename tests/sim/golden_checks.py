"""What the tests of the golden models share: the fast one against the plain one, value for value."""

import numpy as np

from sim.golden import Golden
from sim.golden.plain import plain_traces

__all__ = ["assert_equal_models", "assert_same"]


def assert_same(fast, plain):
    """Assert that two traces are equal in everything."""
    for kind in ("counts", "states", "outputs"):
        a, b = getattr(fast, kind), getattr(plain, kind)
        assert list(a) == list(b)
        for name in a:
            assert a[name].dtype == np.int64
            np.testing.assert_array_equal(a[name], b[name], err_msg=f"{kind} {name}")
    np.testing.assert_array_equal(fast.logits, plain.logits)
    np.testing.assert_array_equal(fast.class_, plain.class_)
    for name in ("exit_step", "events", "synaptic_ops", "passed"):
        assert getattr(fast, name) == getattr(plain, name), name


def assert_equal_models(network, images):
    """Assert that the fast model equals the plain one on ``images``, in its traces and its results; return its result.
    """
    golden = Golden(network)
    result = golden.run(images)
    for i, image in enumerate(images):
        traces = plain_traces(network, image)
        for fast, plain in zip(golden.traces(image), traces, strict=True):
            assert_same(fast, plain)
        last = traces[-1]
        np.testing.assert_array_equal(result.logits[i], last.logits[-1])
        np.testing.assert_array_equal(result.classes[i], last.class_)
        assert list(result.outputs) == list(last.outputs)
        for name, z in last.outputs.items():
            np.testing.assert_array_equal(result.outputs[name][i], z[-1], err_msg=name)
        steps, events, ops = (
            sum(getattr(trace, name) for trace in traces) for name in ("exit_step", "events", "synaptic_ops")
        )
        assert (result.exit_steps[i], result.events[i], result.synaptic_ops[i]) == (steps, events, ops)
        assert result.stages is None or result.stages[i] == len(traces) - 1
    return result
