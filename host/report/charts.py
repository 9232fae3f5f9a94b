"""The charts of a report, from its numbers to SVG."""

import math

from host.report.svg import drawing, element

__all__ = ["accuracy_chart", "block_map", "ticks"]

WIDTH, HEIGHT = 372, 196
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 40
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
