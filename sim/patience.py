"""How many cycles to wait for a core before it is taken to hang."""

from gen.plan.blocks import stage_blocks, words_moved
from gen.plan.estimate import written_words

__all__ = ["cycle_limit"]

TILE = 320  # cycles of a tile beside the words it reads: its spacing, its neurons, what is in flight
FIXED = 20_000
WORD = 8  # of a 32-bit word from outside the chip, at most


def cycle_limit(plan, stalls=0.0):
    """Return cycles that no image needs, however dense it is; ``stalls`` is the chance of a pause on either side.

    Of a batch, that no run of all its images needs.
    """
    work = 0
    for stage in plan.stages:
        for p in stage.passes:
            taps = sum(s.weight[0].size * s.groups for s in p.synapses)
            work += stage.rounds * len(p.order(0)[0]) * (TILE + 2 * taps)
        moved = sum(words_moved(block, plan.params) for block in stage_blocks(stage.passes, plan.regions))
        moved += sum(written_words(plan, p) for p in stage.passes)
        work += stage.rounds * WORD * moved
    network = plan.network
    maps = plan.layout.images if network.source.kind == "direct" else network.frames
    channels, height, width = network.source.shape
    values = maps * channels * height * width + plan.params.outputs * len(plan.stages) * network.timesteps
    return int((FIXED + 2 * work + 8 * values) / (1 - stalls))
