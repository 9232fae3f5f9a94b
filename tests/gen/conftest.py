"""What the tests of the conversion share."""

import pytest


@pytest.fixture
def one_thread():
    """Seed torch and keep it to one thread: small tensors only lose time to more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
