"""Tables of figures in Markdown, as the docs carry them."""

__all__ = ["table"]


def table(first: str, columns: dict[str, str], rows: dict[str, dict]) -> str:
    """Return a table: a row for each of ``rows``, its name under ``first``, and the figures of ``columns``.

    columns : name to format; rows : name to figures by column, of which some may be missing
    """
    lines = [f"| {first} | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    for name, figures in rows.items():
        cells = (form.format(figures[key]) if figures.get(key) is not None else "" for key, form in columns.items())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines).replace("%", " %")
