"""The memory outside the FPGA: one bus, and the controllers that answer it."""
