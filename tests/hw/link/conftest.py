"""Sizes of a small core for the tests of what stands around it."""

from tests.hw.core.conftest import sizes

__all__ = ["sizes"]
