"""What a bench in Amaranth's simulator offers to a core's input port."""

import numpy as np

from gen.inputs import input_stream

__all__ = ["beats", "image_beats"]


def beats(params, values, first=True):
    """Return the words that carry ``values``, any array of them, as `ctx.set` takes them; ``first``: of an image."""
    rows = np.reshape(values, (-1, params.input_values)).tolist()
    return [
        ({"value": row[0]} if len(row) == 1 else {"values": row}) | {"first": int(first and n == 0)}
        for n, row in enumerate(rows)
    ]


def image_beats(params, network, image):
    """Return the words of one image: raster order, channels innermost, frame after frame."""
    return beats(params, input_stream(network, image[None])[0])
