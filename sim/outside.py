"""The memory outside the chip in simulation: what a harness in C++ must know of it (`outside.hpp`)."""

__all__ = ["outside_defines"]


def outside_defines(params):
    """Return the options that tell ``outside.hpp`` the size of the memory outside a core; none where there is none."""
    if not params.outside:
        return []
    return [f"-DOUTSIDE={params.outside}", f"-DOUTSIDE_BITS={params.outside_bits}"]
