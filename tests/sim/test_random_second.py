"""What random networks of the second contract have, and that what they do reaches every corner."""

from collections import Counter

import numpy as np
import pytest

from gen.exit_rule import KINDS, LIMIT_MAX, SHARE_ONE
from gen.layers import INPUT, INVERSE_LEAKY
from gen.netfile import load_network, network_hash, save_network
from gen.window import ZEROS
from sim.golden import Golden
from tests.kit.random_networks import SECOND, random_images, random_network, random_staged_network


def features(network):
    """Yield the name of every feature that the network has."""
    rule = network.exit_rule
    yield from (rule.kind, network.source.kind, f"order {network.order}", f"{len(network.outputs)} outputs")
    yield "deciding map" if network.dense else "deciding point"
    yield "first decides" if rule.output in (None, network.outputs[0]) else "another decides"
    yield "any share" if 1 < rule.share < SHARE_ONE else f"share {rule.share}"
    if any(limit & (limit - 1) == 0 and 255 < limit < LIMIT_MAX for limit in rule.limits):
        yield "limit of a power of two"
    if any(not layer.emits for layer in network.layers[:-1]):
        yield "output before other layers"
    for layer in network.layers:
        for part in layer.inputs:
            window, kind = part.window, layer.role
            yield from (
                f"{kind} {word}" for word, true in (
                    ("padded alike", any(window.padding) and window.symmetric),
                    ("padded by side", not window.symmetric),
                    ("dilated", max(window.dilation) > 1), ("zeros", window.fill == ZEROS and max(window.upsample) > 1),
                    ("nearest", window.fill != ZEROS and max(window.upsample) > 1),
                    ("of nothing", any(window.places(axis, network.shapes[part.source][axis + 1],
                                                     network.shapes[layer.name][axis + 1]).max(axis=1).min() < 0
                                       for axis in (0, 1))),
                    ("of signed counts", part.source != INPUT and network.value_ranges[part.source][0] < 0),
                ) if true
            )
        if not layer.weighted:
            yield f"{layer.kind} pool"
        if layer.fires:
            yield "signed" if layer.signed else "unsigned"
            yield f"burst {layer.burst}"
            if layer.signed:
                yield "linear" if (layer.theta == layer.theta_low).all() else "leaky"
                yield "equal caps" if layer.burst == layer.burst_low else "two caps"
                yield "min_burst, signed" if layer.min_burst > 1 else "every count"


WANTED = [
    *KINDS, "direct", "frames", "order steps", "order tiles", "1 outputs", "2 outputs", "3 outputs", "deciding map",
    "deciding point", "first decides", "another decides", "any share", "share 1", f"share {SHARE_ONE}",
    "limit of a power of two", "output before other layers", "sum pool", "max pool", "signed", "unsigned", "linear",
    "leaky", "equal caps", "two caps", "min_burst, signed", *(f"burst {n}" for n in (1, 2, 3, 7, 15, 31, 63, 127, 255)),
    *(f"{role} {word}" for role in ("spiking", "pool", "readout") for word in (
        "padded alike", "padded by side", "dilated", "zeros", "nearest", "of nothing", "of signed counts",
    )),
]


def test_every_feature_occurs():
    found = Counter(
        feature for seed in range(200) for feature in set(features(random_network(seed, contract=SECOND)))
    )
    assert not {feature: found[feature] for feature in WANTED if found[feature] < 3}


def test_counts_reach_every_corner():
    seen = Counter()
    for seed in range(100):
        network = random_network(seed, contract=SECOND)
        images = random_images(network, seed, 12)
        golden = Golden(network)
        trace, result = golden.trace(images[0]), golden.run(images)
        seen.update(("exit", network.dense, int(t)) for t in set(result.exit_steps) if network.exit_rule.kind != "off")
        for layer in network.layers:
            if layer.fires and layer.signed:
                counts, state, limit = trace.counts[layer.name], trace.states[layer.name], 2 ** (layer.state_bits - 1)
                seen["high"] += bool((counts == layer.burst).any())
                seen["low"] += bool((counts == -layer.burst_low).any())
                seen["between"] += bool(((counts < 0) & (counts > -layer.burst_low)).any())
                seen["saturated"] += bool(((state == -limit) | (state == limit - 1)).any())
                seen["beyond a byte"] += bool((abs(counts) > 128).any())
    assert min(seen[corner] for corner in ("high", "low", "between", "saturated", "beyond a byte")) >= 5, seen
    assert all(seen["exit", dense, t] >= 2 for dense in (False, True) for t in (1, 2, 3, 4)), seen


def test_two_phase_networks_have_the_windows_and_outputs_as_well():
    networks = [random_network(seed, contract=SECOND, neuron=INVERSE_LEAKY) for seed in range(60)]
    assert all(network.two_phase for network in networks)
    found = Counter(feature for network in networks for feature in set(features(network)))
    wanted = ("spiking zeros", "pool nearest", "readout padded by side", "deciding map", "3 outputs")
    assert not {feature: found[feature] for feature in wanted if found[feature] < 3}


@pytest.mark.parametrize("seed", range(20))
def test_stages_look_at_one_input_and_give_the_same_outputs(seed):
    network = random_staged_network(seed)
    assert 2 <= len(network.stages) <= 3 and network_hash(network) == network_hash(random_staged_network(seed))
    first, *others = network.stages
    assert all(stage.shapes[name] == first.shapes[name] for stage in others for name in first.outputs)
    images = random_images(network, seed, 8)
    assert len(Golden(network).run(images).stages) == 8


def test_stages_differ_and_each_answers():
    stages = Counter()
    for seed in range(30):
        network = random_staged_network(seed)
        stages.update(Golden(network).run(random_images(network, seed, 8)).stages.tolist())
    assert min(stages[number] for number in (0, 1, 2)) >= 5, stages


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_a_file_holds_all_of_it(seed, tmp_path):
    for number, network in enumerate((random_network(seed, contract=SECOND), random_staged_network(seed))):
        path = tmp_path / f"{number}.safetensors"
        save_network(network, path)
        images = random_images(network, seed, 4)
        before, after = (Golden(each).run(images) for each in (network, load_network(path)))
        for name in network.outputs:
            np.testing.assert_array_equal(before.outputs[name], after.outputs[name])
        np.testing.assert_array_equal(before.exit_steps, after.exit_steps)
