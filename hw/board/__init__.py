"""From a generated folder to a bitstream: boards, clocks, tools."""
