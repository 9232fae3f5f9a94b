"""Small pictures as PNG data URIs: images of a data set, and the burst counts of a layer."""

import base64
import struct
import zlib

import numpy as np

__all__ = ["counts_picture", "image_picture", "mosaic"]

LARGEST = 128          # pixels a side of an image that is kept whole
SPIKE = (194, 86, 26)  # one hue that stands on light and dark paper; a count is its opacity
SILENT = 18            # opacity of a neuron that does not fire, of 255: its place stays visible
WIDE = 2.4             # columns to rows of a mosaic, about


def image_picture(image, source):
    """Return a data URI of one image for a network with this ``source``; frames are added up.

    Grey or RGB from the lowest to the highest pixel, of a sum of frames to its largest; other numbers of channels
    than one and three are averaged.
    """
    frames = np.reshape(image, (-1, *source.shape)).astype(np.int64)
    image, low, high = frames[0], source.low, source.high
    if len(frames) > 1:
        image = frames.sum(axis=0)
        low, high = 0, max(1, int(image.max()))
    image = image[:, :: -(-image.shape[1] // LARGEST), :: -(-image.shape[2] // LARGEST)]
    pixels = np.clip((image - low) * 255 // (high - low), 0, 255).astype(np.uint8)
    if len(pixels) == 3:
        return _png(pixels.transpose(1, 2, 0), colour=2)
    return _png(pixels.mean(axis=0).astype(np.uint8)[:, :, None], colour=0)


def counts_picture(counts, burst):
    """Return (data URI, width, height) of the burst counts [C, H, W] of one timestep, channel beside channel."""
    plane = mosaic(counts)
    opacity = [SILENT + (255 - SILENT) * k // burst for k in range(burst + 1)] + [0]
    plane = np.where(plane < 0, burst + 1, plane).astype(np.uint8)
    palette = _chunk(b"PLTE", bytes(SPIKE) * len(opacity)) + _chunk(b"tRNS", bytes(opacity))
    return _png(plane[:, :, None], colour=3, before=palette), plane.shape[1], plane.shape[0]


def mosaic(counts):
    """Return the maps of all channels in one plane, in reading order, -1 between and behind them."""
    channels, height, width = counts.shape
    columns = int(np.clip(round((WIDE * channels * height / width) ** 0.5), 1, channels))
    rows = -(-channels // columns)
    columns = -(-channels // rows)
    gap = int(height * width > 1)
    plane = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), -1, np.int64)
    for channel, values in enumerate(counts):
        y, x = (channel // columns) * (height + gap), (channel % columns) * (width + gap)
        plane[y : y + height, x : x + width] = values
    return plane


def _png(pixels, colour, before=b""):
    """Return the data URI of uint8 [H, W, samples], PNG colour type 0 grey, 2 RGB, 3 palette (RFC 2083)."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    content = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    content += before + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
