"""Generated folders without Verilog, for tests of what is written beside it: Yosys takes seconds."""

from gen.generated import VERILOG

__all__ = ["without_yosys"]


def without_yosys(monkeypatch):
    """Let `hw.emit.generate` write empty Verilog files."""
    monkeypatch.setattr("hw.verilog.core_files", lambda _plan: {VERILOG: ""})
    for name in ("uart", "axi", "wishbone"):
        monkeypatch.setattr(f"hw.verilog.{name}_verilog", lambda *_arguments: "")
