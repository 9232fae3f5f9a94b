"""The charts of a report, from its numbers to SVG."""

import math

from host.report.svg import drawing, element

__all__ = ["accuracy_chart", "block_map", "choice_chart", "core_name", "ticks"]

WIDTH, HEIGHT = 372, 196
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 40
MARK, LETTER = 6, 5.6  # of a point to its edge; of a letter, its width
STRIPS = {"rows": "input in strips", "windows": "input in whole windows"}  # `gen.plan.strips.FORMS` in words
STEPS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def accuracy_chart(accuracy):
    """Return accuracy after every number of timesteps, and the point where the exit rule stops on average."""
    values, point = accuracy["timesteps"], (accuracy["mean_timesteps"], accuracy["early_exit"])
    steps = len(values)
    low, high, marks = ticks(min(*values, point[1]), max(*values, point[1]))

    def across(t):
        return LEFT + 10 + (WIDTH - LEFT - RIGHT - 20) * ((t - 1) / (steps - 1) if steps > 1 else 0.5)

    def up(value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    drawn = []
    for mark, text in marks:
        drawn.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=up(mark), y2=up(mark)))
        drawn.append(element("text", text, class_="small", x=LEFT - 6, y=up(mark) + 3.5, text_anchor="end"))
    every = -(-steps // 8)
    for t in range(1, steps + 1):
        if (t - 1) % every == 0 or t == steps and (t - 1) % every > every / 2:
            drawn.append(element(
                "text", t, class_="small", x=across(t), y=HEIGHT - BOTTOM + 16, text_anchor="middle",
            ))
    drawn.append(element(
        "text", "timesteps", class_="small", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, text_anchor="middle",
    ))
    drawn.append(element("polyline", class_="line", points=" ".join(
        f"{across(t):.1f},{up(value):.1f}" for t, value in enumerate(values, 1)
    )))
    drawn += [
        element("circle", element("title", f"{t} timesteps: {100 * value:.2f} %"), class_="dot",
                cx=across(t), cy=up(value), r=3.2 if steps <= 16 else 1.8)
        for t, value in enumerate(values, 1)
    ]
    x, y = across(point[0]), up(point[1])
    drawn.append(element(
        "path", element("title", f"early exit: {100 * point[1]:.2f} % after {point[0]:.3f} timesteps on average"),
        class_="exit", d=f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z",
    ))
    title = (
        f"Accuracy after 1 to {steps} timesteps, {100 * values[0]:.2f} % to {100 * values[-1]:.2f} %; with early "
        f"exit {100 * point[1]:.2f} % after {point[0]:.3f} timesteps on average"
    )
    return drawing(WIDTH, HEIGHT, title, *drawn, class_="chart")


def choice_chart(choices, board):
    """Return images a second against the share of the part, a point for each core, both logarithmic.

    Those that none beats in both are joined; the one made is a diamond, what does not fit is grey.

    Parameters
    ----------
    choices : the rows of ``pareto.json`` (`gen.plan.choice.pareto_rows`)
    board : {lut, ff, bram, dsp: what the part has}
    """
    shares = [max(row[kind] / have for kind, have in board.items() if have) for row in choices]
    across = _Logarithmic(*_span([*shares, 1.0]), LEFT, WIDTH - RIGHT)
    up = _Logarithmic(*_span([row["fps"] for row in choices]), HEIGHT - BOTTOM, TOP)
    drawn = []
    for value in up.marks():
        drawn.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=up(value), y2=up(value)))
        drawn.append(element("text", f"{value:,.6g}", class_="small", x=LEFT - 6, y=up(value) + 3.5, text_anchor="end"))
    for value in across.marks():
        kind, text = "edge" if value == 1.0 else "grid", f"{100 * value:.3g} %"
        drawn.append(element("line", class_=kind, x1=across(value), x2=across(value), y1=TOP, y2=HEIGHT - BOTTOM))
        drawn.append(element(
            "text", text, class_="small", x=across(value), y=HEIGHT - BOTTOM + 16, text_anchor="middle",
        ))
    drawn.append(element(
        "text", "share of the part, the scarcest of LUT, FF, block RAM, DSP", class_="small",
        x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, text_anchor="middle",
    ))
    front = sorted((share, row["fps"]) for share, row in zip(shares, choices) if row["pareto"])
    drawn.append(element("polyline", class_="line", points=" ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in front)))
    points = [(across(share), up(row["fps"])) for share, row in zip(shares, choices)]
    for (x, y), share, row in zip(points, shares, choices):
        name = core_name(row)
        text = f"{name}: {row['fps']:,.0f} images a second, {100 * share:.0f} % of the part"
        title = element("title", text if row["fits"] else f"{text}: it does not fit")
        drawn.append(
            element("path", title, class_="exit", d=f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z") if row["chosen"] else
            element("circle", title, class_="dot" if row["fits"] else "dot unfit", cx=x, cy=y, r=4)
        )
    drawn += _labels([(*point, _short_name(row)) for point, row in zip(points, choices)], first=[
        row["chosen"] for row in choices
    ])
    title = f"Images a second against the share of the part, for {', '.join(map(core_name, choices))}"
    return drawing(WIDTH, HEIGHT, title, *drawn, class_="chart")


def _labels(points, first):
    """Return a text beside each point (x, y, text) that has room for one; those that are ``first`` choose first."""
    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y, _ in points]
    drawn = []
    for (x, y, text), _ in sorted(zip(points, first), key=lambda pair: not pair[1]):
        wide = LETTER * len(text)
        places = [  # left edge and base line of the text, right of the point, left of it, above, below
            (x + 9, y + 4), (x - 9 - wide, y + 4), (x - wide / 2, y - 10), (x - wide / 2, y + 17),
        ]
        for left, base in places:
            box = left, base - 9, left + wide, base + 2
            if left >= LEFT and left + wide <= WIDTH and not any(_meet(box, other) for other in taken):
                taken.append(box)
                drawn.append(element("text", text, class_="small", x=round(left, 1), y=round(base, 1)))
                break
    return drawn


def _meet(a, b):
    """Return whether two boxes (left, top, right, bottom) overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _short_name(row):
    """Return ``core_name`` as it stands in the chart: lanes, neurons of a group if several, the rest as letters."""
    parts = [f"{row['lanes']}", f"× {row['neurons']}" if row["neurons"] > 1 else "",
             row["strips"][0] if row.get("strips") else "", "p" * row.get("pools_apart", False)]
    return " ".join(part for part in parts if part)


def core_name(row):
    """Return what tells a core from the others of one network and board."""
    parts = [f"{row['lanes']} lanes", f"{row['neurons']} neurons" if row["neurons"] > 1 else "",
             STRIPS.get(row.get("strips"), ""), "pools by themselves" * row.get("pools_apart", False)]
    return ", ".join(part for part in parts if part)


class _Logarithmic:
    """A logarithmic scale: ``low`` lies at ``start``, ``high`` at ``end``."""

    def __init__(self, low, high, start, end):
        self._low, self._high, self._start, self._end = low, high, start, end

    def __call__(self, value):
        share = math.log(value / self._low) / math.log(self._high / self._low)
        return self._start + (self._end - self._start) * share

    def marks(self):
        """Return the round values in the range: 1, 2 and 5 times powers of ten."""
        powers = range(math.floor(math.log10(self._low)), math.ceil(math.log10(self._high)) + 1)
        values = (round(digit * 10.0**power, 9) for power in powers for digit in (1, 2, 5))
        return [value for value in values if self._low <= value <= self._high]


def _span(values):
    """Return a range with room around the values."""
    return min(values) / 1.6, max(values) * 1.6  # 2.5 times at least, so that one round value lies in it


def ticks(least, most):
    """Return (low, high, [(value, text)]): a range of fractions around ``least``..``most`` with round marks."""
    span = max(most - least, 0.001)
    step = next(step for step in STEPS if span / step <= 4)
    last = max(1, math.ceil(most / step - 1e-9))
    first = min(math.floor(least / step + 1e-9), last - 1)
    digits = 2 if step < 0.001 else 1 if step < 0.01 else 0
    marks = [(i * step, f"{100 * i * step:.{digits}f} %") for i in range(first, last + 1)]
    return first * step, last * step, marks


def block_map(memories, have):
    """Return the board's block RAMs as squares, those of each memory in its colour, ``have`` in all."""
    taken = [memory for memory in memories for _ in range(memory["blocks"])]
    count = max(have, len(taken))
    across = max(13, math.ceil((2.6 * count) ** 0.5))
    size = WIDTH / across
    squares = []
    for i in range(count):
        name = taken[i]["name"] if i < len(taken) else None
        title = element("title", taken[i]["title"]) if name else ""
        squares.append(element(
            "rect", title, class_=f"m-{name or 'free'}{' over' if i >= have else ''}", x=i % across * size + 0.7,
            y=i // across * size + 0.7, width=size - 1.4, height=size - 1.4,
        ))
    text = ", ".join(f"{memory['title']} {memory['blocks']}" for memory in memories if memory["blocks"])
    high, title = round(math.ceil(count / across) * size, 1), f"{len(taken)} of {have} blocks: {text}"
    return drawing(WIDTH, high, title, *squares, class_="chart")
