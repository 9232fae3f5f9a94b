"""Tables of figures in Markdown, as the docs carry them, printed row by row and kept in files."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from gen.errors import AdafireError

__all__ = ["add_files", "markdown", "report"]


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options of `report`."""
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")


def report(rows: Iterable[tuple[str, dict]], columns: dict[str, str], options: argparse.Namespace) -> None:
    """Print every row as it is measured, then all as a table, and write what ``options`` ask for.

    An `AdafireError` on the way ends the program with its text.
    """
    results = {}
    try:
        for name, figures in rows:
            results[name] = figures
            print(f"{name}: {json.dumps(figures)}", file=sys.stderr, flush=True)
    except AdafireError as error:
        sys.exit(f"error: {error}")
    text = markdown(columns, results)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(text + "\n")


def markdown(columns: dict[str, str], rows: dict[str, dict]) -> str:
    """Return a table: ``columns`` is name to format, ``rows`` name to figures, of which some may be missing."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    for name, figures in rows.items():
        cells = (form.format(figures[key]) if figures.get(key) is not None else "" for key, form in columns.items())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines).replace("%", " %")
