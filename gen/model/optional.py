"""The library of one door: loaded with that door alone, and asked for in plain words where it is missing."""

from importlib import import_module
from typing import Any

from gen.errors import InputError

__all__ = ["need"]


def need(module: str) -> Any:
    """Return the imported ``module``; InputError with the pip line where its package is not installed."""
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"This needs the Python package {package!r}, which is not installed: pip install {package}."
        ) from error
