"""Random images of a network on a compiled core, compared value by value."""

import numpy as np

from sim.compare import compare_image
from sim.golden import Golden
from tests.kit.random_images import random_images

__all__ = ["differences"]


def differences(core, network, seed, images):
    """Run images back to back with every probe value compared, after one given up; return the differences found."""
    rng = np.random.default_rng(seed)
    x, golden = random_images(network, seed, images), Golden(network)
    alone = core.run(x[:1])
    core.abort(x[:2], int(rng.integers(0, 2 * alone.cycles[0] + 100)))
    result, probe = core.probe(lambda: core.run(x))
    found = (compare_image(core.plan, golden.traces(image), probe.of_image(n), result, n) for n, image in enumerate(x))
    return [f"image {n}: {difference}" for n, difference in enumerate(found) if difference]
