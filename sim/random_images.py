from tests.kit.random_images import *  # noqa: F403 - moved; goes with the first machine
