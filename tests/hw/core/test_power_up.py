"""The core's Verilog on Icarus, which knows undefined bits: the first image after power-up has none in its result."""

import subprocess

import pytest

from gen.inputs import input_beats, input_stream
from gen.plan.plan import make_plan
from gen.result import HEADER_WORDS
from hw.verilog import TOP, core_files
from sim.golden import Golden
from sim.toolchain import tool_environment
from tests.kit.random_networks import random_images, random_network

LIMIT = 20_000  # cycles
SIZE = dict(max_neurons=60, max_weights=300, max_size=4, max_channels=4, max_timesteps=3, max_classes=5, max_layers=2)
BENCH = """
module bench;
  reg clk = 0, rst = 1, valid = 0;
  reg [{top}:0] value, values [0:{count} - 1];
  wire ready, sends;
  wire [32:0] word;
  integer at = 0, cycle;
  {core} core(.clk(clk), .rst(rst), .abort(1'b0), .load__valid(1'b0), .load__payload(32'd0), .i__valid(valid),
    .i__payload(value), .i__ready(ready), .o__valid(sends), .o__payload(word), .o__ready(1'b1));
  initial begin
    $readmemb("values", values);
    for (cycle = 0; cycle < {limit}; cycle = cycle + 1) begin
      rst = cycle < 4;
      valid = !rst && at < {count};
      value = values[at];  // undefined behind the last one
      #1 if (sends) $display("%b", word[31:0]);
      if (sends && word[32]) $finish;
      if (valid && ready) at = at + 1;
      clk = 1;
      #1 clk = 0;
    end
  end
endmodule
"""


@pytest.mark.parametrize("seed", range(4))
def test_first_result_after_power_up(seed, tmp_path):
    network = random_network(seed, sources=("direct",), **SIZE)
    plan = make_plan(network, 4)
    top = plan.params.value_bits * plan.params.input_values
    images = random_images(network, seed, 1)
    words = input_beats(input_stream(network, images)[0], plan.params)
    files = {
        **core_files(plan), "values": "".join(f"{word:b}\n" for word in words),
        "bench.v": BENCH.format(top=top, count=len(words), core=TOP, limit=LIMIT),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    verilog = [name for name in files if name.endswith(".v")]
    run_in = dict(cwd=tmp_path, env=tool_environment(), check=True)
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "sim", *verilog], **run_in)
    run = subprocess.run(["vvp", "-n", "sim"], capture_output=True, text=True, **run_in)
    result = [line for line in run.stdout.split() if not line.strip("01xzXZ")]
    golden = Golden(network).run(images)
    logits = golden.logits[0].tolist()
    assert len(result) == HEADER_WORDS + len(logits), f"seed {seed}: {run.stdout[-500:]}"
    assert not any(set(word) - set("01") for word in result), f"seed {seed}: undefined bits in {result}"
    expected = [value & 0xFFFFFFFF for value in (
        *map(int, (golden.classes[0], golden.exit_steps[0], golden.events[0], golden.synaptic_ops[0])), *logits)]
    got = [int(word, 2) for word in result]
    assert [*got[:2], *got[4:]] == expected, f"seed {seed}"
