"""An answer drawn on its picture: boxes, a mask with its legend, classes with bars, maps of numbers. Pillow alone."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gen.task import CLASSIFY, DETECT, SEGMENT, Task
from host.predict.answers import Answer
from host.predict.fit import UNSEEN, Placement

__all__ = ["color", "overlay"]

# Seven hues that people who see colors otherwise tell apart (Okabe, Ito, 2008, without black); more follow by the
# golden angle.
HUES = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
PLAIN = {"background", "none", "nothing", "void", "unlabelled", "unlabeled"}  # names of a class that stays as it is
LEAST, MOST = 320, 1600  # pixels of a drawn picture's longer side
PANEL = 260              # width of what stands beside it
MASK = 0.55              # of a mask's color over the picture
INK, FAINT, PAPER = (24, 24, 27), (113, 113, 122), (255, 255, 255)
LEGEND = 18              # entries at most
MAPS = 4                 # channels of an output that are drawn


def color(number: int) -> tuple[int, int, int]:
    """Return the color of a class."""
    if number < len(HUES):
        return HUES[number]
    red, green, blue = colorsys.hsv_to_rgb(0.61803399 * number % 1, 0.65, 0.9)
    return int(255 * red), int(255 * green), int(255 * blue)


def overlay(pixels: np.ndarray, answer: Answer, task: Task, placement: Placement, caption: str) -> Image.Image:
    """Return the picture with what was found in it.

    Parameters
    ----------
    pixels : uint8 [H, W, 3] or [H, W], the picture
    caption : one line under it
    """
    picture = Image.fromarray(pixels).convert("RGB")
    longest = max(picture.size)
    scale = max(LEAST / longest, 1.0) if longest < LEAST else min(MOST / longest, 1.0)
    how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BICUBIC
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    drawn = picture.resize(size, how)
    draw = {CLASSIFY: _classes, SEGMENT: _segments, DETECT: _boxes}.get(task.kind, _maps)
    return _captioned(draw(drawn, answer, task, placement), caption)


def _classes(drawn, answer, task, placement):
    rows = [
        (task.label(number), None if share is None else f"{100 * share:.1f} %", share or 0.0, color(number))
        for number, share in answer.classes
    ]
    return _beside(drawn, lambda draw, left: _bars(draw, left, rows))


def _segments(drawn, answer, task, placement):
    mask = np.asarray(Image.fromarray(answer.mask).resize(drawn.size, Image.Resampling.NEAREST))
    told = [number for number, _ in answer.classes]
    plain = {number for number in told if task.label(number).lower() in PLAIN}
    if not plain and (len(task.labels) == 2 or max(told, default=0) < 2):
        plain = {0}  # of two classes one is enough to see the other
    paint = np.array([color(number) for number in range(UNSEEN + 1)], float)
    strength = np.array([0.0 if number in plain else MASK for number in range(UNSEEN + 1)])
    strength[UNSEEN] = 0.0
    pixels = np.asarray(drawn, float)
    blended = pixels + strength[mask][..., None] * (paint[mask] - pixels)
    blended[mask == UNSEEN] = pixels[mask == UNSEEN] * 0.5 + 127
    rows = [
        (task.label(number), f"{100 * share:.1f} %", share, (212, 212, 216) if number in plain else color(number))
        for number, share in answer.classes[:LEGEND]
    ]
    return _beside(Image.fromarray(blended.astype(np.uint8)), lambda draw, left: _bars(draw, left, rows))


def _boxes(drawn, answer, task, placement):
    draw, boxes = ImageDraw.Draw(drawn), answer.boxes
    scale = drawn.width / placement.picture[0]
    line = max(2, round(max(drawn.size) / 250))
    font = _font(max(12, round(max(drawn.size) / 42)))
    for i in reversed(range(len(boxes))):  # the surest on top
        hue = color(int(boxes.classes[i]))
        corners = (boxes.corners[i] * scale).tolist()
        draw.rectangle(corners, outline=hue, width=line)
        text = f"{task.label(int(boxes.classes[i]))} {100 * boxes.scores[i]:.0f} %"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        wide, tall = right - left + 8, bottom - top + 6
        x = min(max(corners[0], 0), max(drawn.width - wide, 0))
        y = corners[1] - tall if corners[1] >= tall else min(corners[3], drawn.height - tall)
        draw.rectangle((x, y, x + wide, y + tall), fill=hue)
        draw.text((x + 4 - left, y + 3 - top), text, fill=_ink_on(hue), font=font)
        for px, py in () if boxes.points is None else boxes.points[i] * scale:
            draw.ellipse((px - line, py - line, px + line, py + line), fill=hue, outline=INK)
    return drawn


def _maps(drawn, answer, task, placement):
    name, values = next(iter(answer.values.items()))
    if values.shape[1:] == (1, 1):
        rows = [(task.label(c), f"{value:.4g}", 0.0, FAINT) for c, value in enumerate(values[:LEGEND, 0, 0])]
        return _beside(drawn, lambda draw, left: _bars(draw, left, rows))
    panels = [drawn]
    for c, plane in enumerate(values[:MAPS]):
        low, high = float(plane.min()), float(plane.max())
        shown = placement.plane((plane - low) / max(high - low, 1e-12))
        shown = np.asarray(Image.fromarray(np.nan_to_num(shown)).resize(drawn.size, Image.Resampling.BILINEAR))
        panel = Image.fromarray((255 * np.clip(shown, 0, 1)).astype(np.uint8)).convert("RGB")
        _tag(panel, f"{name} {task.label(c)}: {low:.3g} to {high:.3g}")
        panels.append(panel)
    whole = Image.new("RGB", (sum(panel.width for panel in panels), drawn.height), PAPER)
    for i, panel in enumerate(panels):
        whole.paste(panel, (i * drawn.width, 0))
    return whole


def _bars(draw, left, rows):
    """Draw a bar for each (name, number in words, share 0..1, color); return how low that goes."""
    font, top, wide = _font(15), 12, PANEL - 32
    for name, number, share, hue in rows:
        right = draw.textlength(number, font=font) if number else 0
        draw.text((left + 16, top), _short(draw, name, font, wide - right - 12), fill=INK, font=font)
        if number:
            draw.text((left + 16 + wide - right, top), number, fill=INK, font=font)
        draw.rectangle((left + 16, top + 22, left + 16 + wide, top + 29), fill=(238, 238, 240))
        if share > 0:
            draw.rectangle((left + 16, top + 22, left + 16 + max(2.0, wide * share), top + 29), fill=hue)
        top += 42
    return top


def _beside(drawn: Image.Image, paint: Callable[[ImageDraw.ImageDraw, int], int]) -> Image.Image:
    """Return a picture with a panel to its right, high enough for what ``paint`` draws there."""
    height = max(drawn.height, paint(ImageDraw.Draw(Image.new("RGB", (1, 1))), 0))
    whole = Image.new("RGB", (drawn.width + PANEL, height), PAPER)
    whole.paste(drawn, (0, 0))
    paint(ImageDraw.Draw(whole), drawn.width)
    return whole


def _captioned(drawn, caption):
    font, tall = _font(13), 26
    whole = Image.new("RGB", (drawn.width, drawn.height + tall), PAPER)
    whole.paste(drawn, (0, 0))
    draw = ImageDraw.Draw(whole)
    draw.text((8, drawn.height + 5), _short(draw, caption, font, drawn.width - 16), fill=FAINT, font=font)
    return whole


def _tag(panel, text):
    draw, font = ImageDraw.Draw(panel), _font(13)
    text = _short(draw, text, font, panel.width - 12)
    draw.rectangle((0, 0, draw.textlength(text, font=font) + 12, 22), fill=PAPER)
    draw.text((6, 3), text, fill=INK, font=font)


def _short(draw, text, font, width):
    """Return ``text``, its end left out where it is wider than ``width`` pixels."""
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text + "..."


def _font(size):
    return ImageFont.load_default(size)


def _ink_on(hue):
    red, green, blue = hue
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else PAPER
