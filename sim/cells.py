"""Models of the vendor's cells that a core may hold, for the simulators."""

__all__ = ["with_cells"]

SPRAM = """
module SB_SPRAM256KA (
  input [13:0] ADDRESS, input [15:0] DATAIN, input [3:0] MASKWREN,
  input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF, output reg [15:0] DATAOUT
);
  reg [15:0] words [0:16383];
  wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};
  integer i;
  initial for (i = 0; i < 16384; i = i + 1) words[i] = 16'hdead;  // what is left of another network
  always @(posedge CLOCK)
    if (CHIPSELECT && POWEROFF && !STANDBY && !SLEEP) begin
      if (WREN) words[ADDRESS] <= (words[ADDRESS] & ~mask) | (DATAIN & mask);
      else DATAOUT <= words[ADDRESS];
    end
endmodule
"""
CELLS = {"SB_SPRAM256KA": SPRAM}


def with_cells(sources):
    """Return Verilog texts and, behind them, the models of the cells that they instantiate."""
    return [*sources, *(text for cell, text in CELLS.items() if any(f"{cell} " in source for source in sources))]
