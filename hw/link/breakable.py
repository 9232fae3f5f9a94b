"""States that an outer event ends at once."""

from contextlib import contextmanager

__all__ = ["breakable"]


@contextmanager
def breakable(m, name, event, target):
    """A state of the FSM around it, like ``m.State(name)``, that with ``event`` only goes to ``target``."""
    with m.State(name):
        with m.If(event):
            m.next = target
        with m.Else():
            yield
