from tests.kit.streams import *  # noqa: F403 - moved; goes with the first machine
