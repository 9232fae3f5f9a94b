from tests.kit.proof import *  # noqa: F403 - moved; goes with the first machine
