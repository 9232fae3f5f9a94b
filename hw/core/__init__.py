"""The core: one machine for every network of the contract."""
