"""The core: the machine that computes an integer network, part by part."""
