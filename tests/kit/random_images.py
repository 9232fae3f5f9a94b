"""Random images for a network: noise, dots, blobs and the extremes."""

import numpy as np

__all__ = ["random_images"]


def random_images(network, seed, n):
    """Return ``n`` random images for ``network``, uint8 [n, C, H, W] ([n, T, C, H, W] for frames).

    They are noise, sparse dots, a blob, all values zero (pixels equal to the offset), noise, sparse dots, a
    blob, all pixels at one end of the range, and so on.
    """
    rng = np.random.default_rng([seed, 0x1A6E])
    shape = network.source.shape
    if network.source.kind == "frames":
        shape = (network.stages[0].timesteps, *shape)
    images = np.zeros((n, *shape), np.uint8)
    for number in range(n):
        images[number] = _image(rng, network.source, shape, number)
    return images


def _image(rng, source, shape, number):
    low, high = max(source.low, 0), min(source.high, 255)
    zero = np.broadcast_to(source.offset[:, None, None], shape)
    noise = rng.integers(low, high, shape, endpoint=True)
    match number % 8:
        case 0 | 4:
            image = noise
        case 1 | 5:
            image = np.where(rng.random(shape) < rng.uniform(0.05, 0.4), noise, zero)
        case 2 | 6:
            y, x = np.indices(shape[-2:])
            centre, width = rng.uniform(0, shape[-2:]), rng.uniform(1, 4)
            blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / width**2)
            image = np.rint(low + (high - low) * blob * rng.random(shape[:-2] + (1, 1)))
        case 3:
            image = zero
        case 7:
            image = np.full(shape, rng.choice([low, high]))
    return np.clip(image, low, high)
