from tests.kit.random_networks import *  # noqa: F403 - moved; goes with the first machine
