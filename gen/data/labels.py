"""Names of classes in a text file, one a line."""

from pathlib import Path

from gen.errors import InputError

__all__ = ["read_labels"]


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Return the names of the classes in ``path``, class 0 first: text in UTF-8, one name a line.

    Spaces around a name and empty lines at the end do not count.

    Raises
    ------
    InputError : there is no such text, it is empty, or a line before the last is.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The labels {path} cannot be read ({reason}): give a text file, one name a line.") from error
    if not all(lines) or not lines:
        where = f"line {lines.index('') + 1} is empty" if lines else "it is empty"
        raise InputError(f"The labels {path} must be one name a line for every class; {where}.")
    return tuple(lines)
