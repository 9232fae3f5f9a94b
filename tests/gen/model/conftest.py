"""What the tests of the doors share."""

import pytest


@pytest.fixture
def same_numbers():
    """Let every test of TFLite models draw the same numbers, whichever run before it."""
    import numpy as np

    from tests.gen.model.tflite_models import RNG

    RNG.bit_generator.state = np.random.default_rng(7).bit_generator.state
