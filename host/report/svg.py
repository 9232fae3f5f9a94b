"""SVG by function: elements with escaped text, and the small graphics that stand in table cells."""

from markupsafe import Markup, escape

__all__ = ["bar", "columns", "drawing", "element", "stack"]

UNITS = 1000  # user units across a bar, whatever its width on the page


def element(name, /, *children, **attributes):
    """Return one element; ``class_`` means class, ``_`` in a name ``-``, numbers have two decimals at most."""
    given = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _plain(value))
        for key, value in attributes.items() if value is not None
    )
    inside = Markup("").join(map(escape, children))
    return Markup("<{}{}>{}</{}>").format(Markup(name), given, inside, Markup(name))


def _plain(value):
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def drawing(width, height, title, /, *children, **attributes):
    """Return a whole SVG of ``width`` x ``height`` user units, with a title for those who do not see it."""
    box = f"0 0 {width} {height}"
    return element("svg", element("title", title), *children, viewBox=box, role="img", **attributes)


def stack(title, parts, total, thick=14):
    """Return a bar of parts laid end to end, stretched to its place.

    parts : list of (class, amount, text); ``total`` is the amount that fills the width
    """
    x, drawn = 0.0, []
    for kind, amount, text in parts:
        width = UNITS * amount / total if total else 0.0
        if width:
            drawn.append(element(
                "rect", element("title", text), class_=f"k-{kind}", x=x, y=0, width=width, height=thick,
            ))
        x += width
    return drawing(UNITS, thick, title, *drawn, class_="bar", preserveAspectRatio="none")


def bar(title, share, kind="plain", mark=None):
    """Return a bar of ``share`` (0..1) of its place, with a tick at ``mark`` if there is one."""
    full = UNITS * min(1.0, float(share))
    drawn = [
        element("rect", class_="k-ground", x=0, y=0, width=UNITS, height=14),
        element("rect", class_=f"k-{kind}", x=0, y=0, width=full, height=14),
    ]
    if mark is not None:
        at = UNITS * min(1.0, float(mark))
        drawn.append(element("line", class_="k-mark", x1=at, x2=at, y1=0, y2=14))
    return drawing(UNITS, 14, title, *drawn, class_="bar", preserveAspectRatio="none")


def columns(title, values, high, kind="plain"):
    """Return thin columns side by side, one per value; None leaves its place empty."""
    width, drawn = (6 if len(values) <= 8 else 2), []
    for i, value in enumerate(values):
        x = i * (width + 2)
        drawn.append(element("rect", class_="k-ground", x=x, y=19, width=width, height=1))
        if value:
            tall = max(0.5, 20.0 * min(1.0, value / high))
            drawn.append(element("rect", class_=f"k-{kind}", x=x, y=20 - tall, width=width, height=tall))
    across = len(values) * (width + 2) - 2
    return drawing(across, 20, title, *drawn, class_="spark", width=across, height=20)
