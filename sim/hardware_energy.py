"""What an image costs in the machine, by its own counters: memory words moved, and integer operations.

Nothing here is measured: words and operations are counted exactly, then each is taken to cost what published figures
for a 45 nm process say (docs/energy.md).
"""

import numpy as np

from sim.traffic import memory_traffic, neurons_fired, rounds_of_stages

__all__ = ["ESTIMATE", "estimated"]

SRAM_PJ_PER_BIT = 10 / 64      # an 8 KB SRAM, 64 bits an access: 10 pJ
DRAM_PJ_PER_BIT = 1300 / 64    # 64 bits of a DRAM: 1.3 to 2.6 nJ
MULTIPLY_PJ_PER_BIT2 = 0.2 / 64  # 8 x 8 bits: 0.2 pJ; an array multiplier grows with the product of its widths
ADD_PJ_PER_BIT = 0.1 / 32      # 32 bits: 0.1 pJ
ESTIMATE = (
    "integers in 45 nm: 10 pJ for 64 bits of an 8 KB SRAM, 1.3 nJ for 64 bits of a DRAM, 0.2 pJ a multiplication of 8 "
    "bits, 0.1 pJ an addition of 32 bits, scaled by width (Horowitz, ISSCC 2014)"
)


def estimated(plan, result):
    """Return the energy of every image by what the machine counts: `memory_traffic` and integer operations.

    Parameters
    ----------
    plan : gen.plan.plan.Plan
    result : gen.result.Result of a device that counts cycles, N images

    Returns
    -------
    dict
        memory_words : {memory: (words read, words written, bits of a word)} as `memory_traffic` has them
        multiplications : int64 [N], synaptic operations, ``weight_bits`` times ``operand_bits``, each with an addition
        additions : [N], of ``acc_bits``: those, and those of the neurons, a comparison being one
        memory_estimated_uJ, arithmetic_estimated_uJ, hardware_estimated_uJ : float [N], the last their sum
    """
    params, moved = plan.params, memory_traffic(plan, result)
    costs = {"outside": DRAM_PJ_PER_BIT}
    memory = sum(
        (read + written) * width * costs.get(name, SRAM_PJ_PER_BIT) for name, (read, written, width) in moved.items()
    ) / 1e6
    additions = result.synaptic_ops + _neuron_additions(plan, result)
    product = params.weight_bits * params.operand_bits * MULTIPLY_PJ_PER_BIT2
    arithmetic = (result.synaptic_ops * product + additions * params.acc_bits * ADD_PJ_PER_BIT) / 1e6
    return {
        "memory_words": moved, "multiplications": result.synaptic_ops, "additions": additions,
        "memory_estimated_uJ": memory, "arithmetic_estimated_uJ": arithmetic,
        "hardware_estimated_uJ": memory + arithmetic,
    }


def _neuron_additions(plan, result):
    """Return the additions and comparisons of the neurons [N]: bias, membrane, one for each bit of a burst.

    A neuron that keeps its current adds the bias once. Of a batch they are shared out, as of `rounds_of_stages`.
    """
    total, bits = 0, plan.params.burst_bits
    for stage, rounds in zip(plan.stages, rounds_of_stages(plan, result)):
        for p in stage.passes:
            if p.layer.weighted:
                fired = neurons_fired(plan, p)
                kept = fired * rounds - fired // p.steps * np.minimum(rounds, 1) if p.keep else 0
                total = total + fired * rounds * (2 + (bits if p.layer.fires else 0)) - kept
    return total
