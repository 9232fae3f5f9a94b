"""What tables are made of: pairs, columns, and numbers as a person reads them."""

from rich.markup import escape
from rich.table import Table

__all__ = ["columns", "kilobits", "number", "pairs", "percent", "span", "times"]


def pairs(title, rows):
    """Return a table of names and values; rows whose value is None are left out."""
    table = Table(title=title, title_justify="left", show_header=False, min_width=50)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            table.add_row(name, escape(str(value)))
    return table


def columns(title, left, right, rows):
    """Return a table whose ``left`` columns hold words and whose ``right`` columns hold numbers."""
    table = Table(title=title, title_justify="left")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    return table


def percent(fraction):
    return None if fraction is None else f"{100 * fraction:.2f} %"


def number(value, digits=0):
    return None if value is None else f"{value:,.{digits}f}"


def times(pair):
    return " x ".join(str(value) for value in pair)


def span(pair):
    low, high = pair
    return str(low) if low == high else f"{low}..{high}"


def kilobits(bits):
    return f"{bits / 1024:,.1f} Kibit"
