// A RAM of the core: one write port; one read port, its word a cycle after the address, if that is enabled. A word that
// is read in the cycle in which it is written is undefined: no tool has to add logic that gives the old one.
//
// FILE holds the contents, a hexadecimal word a line. Without one, words are 0 in simulation and undefined in hardware.
// Yosys and Vivado look for FILE beside this source file. Simulators look in the folder that they run in, or, from any
// folder, where the macro ADAFIRE_FOLDER says. For Icarus and for Verilator, an option in a shell:
//   -DADAFIRE_FOLDER='"/path/of/the/folder"'
module adafire_ram #(
  parameter WIDTH = 1, DEPTH = 2, ADDRESS = 1, FILE = "", STYLE = "auto"
) (
  input clk, write_enable, read_enable,
  input [ADDRESS-1:0] write_address, address,
  input [WIDTH-1:0] write_data,
  output reg [WIDTH-1:0] data
);
  (* no_rw_check, ram_style = STYLE *) reg [WIDTH-1:0] words [0:DEPTH-1];
`ifdef ADAFIRE_FOLDER
  initial if (FILE != "") $readmemh({`ADAFIRE_FOLDER, "/", FILE}, words);
`else
  initial if (FILE != "") $readmemh(FILE, words);
`endif
`ifdef SYNTHESIS
  always @(posedge clk) begin
    if (write_enable) words[write_address] <= write_data;
    if (read_enable) data <= words[address];
  end
`else
  integer i;
  initial begin
    data = 0;
    if (FILE == "") for (i = 0; i < DEPTH; i = i + 1) words[i] = 0;
  end
  always @(posedge clk) begin
    if (write_enable) words[write_address] <= write_data;
    if (read_enable) data <= address < DEPTH ? words[address] : {WIDTH{1'b1}};  // a part reads something there, never X
  end
`endif
endmodule
