from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import INPUT, INVERSE_LEAKY, NetworkError, Pool, Readout, Source, Spiking, Synapse, signed_bits
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network

WEIGHT = np.arange(-9, 9).reshape(2, 1, 3, 3)


def spiking(name="a", source=INPUT, weight=WEIGHT, **changes):
    channels = len(weight)
    keywords = {
        "synapses": [Synapse(source, weight, padding=(1, 1))], "bias": np.zeros(channels, int), "burst": 3,
        "theta": np.full(channels, 8), "v_init": np.full(channels, 4), "state_bits": 8,
        "weight_bits": np.full(channels, 8),
    }
    return Spiking(name, **keywords | changes)


def readout(source="a", shape=(2, 4, 4), **changes):
    keywords = {
        "synapses": [Synapse(source, np.ones((3, *shape), int))], "bias": np.zeros(3, int),
        "weight_bits": np.full(3, 2),
    }
    return Readout("fc", **keywords | changes)


def network(*layers, timesteps=2, **keywords):
    return IntegerNetwork(Source((1, 4, 4)), layers or (spiking(), readout()), timesteps, **keywords)


def refuses(text):
    return pytest.raises(NetworkError, match=f"^{text}$")


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_signed_bits_is_the_least_width(low, extent):
    bits, high = signed_bits(low, low + extent), low + extent
    assert -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)
    assert bits == 1 or not (-(2 ** (bits - 2)) <= low and high < 2 ** (bits - 2))


@pytest.mark.parametrize(
    ("keywords", "text"),
    [
        ({"shape": (1, 4)}, r"the input shape must be \(channels, height, width\), each 1\.\.65536, not \(1, 4\)"),
        ({"shape": (1, 0, 4)}, r"the input shape must be .*, not \(1, 0, 4\)"),
        ({"kind": "video"}, "the input kind must be 'direct' or 'frames', not 'video'"),
        ({"low": 5, "high": 5}, r"the input range must be a part of 16 bits, not 5\.\.5"),
        ({"high": 2**15}, r"the input range must be a part of 16 bits, not 0\.\.32768"),
        ({"offset": np.zeros(2, int)}, r"the input offset must have shape \(1,\), not \(2,\)"),
        ({"offset": np.zeros(1)}, "the input offset must hold integers, not float64"),
    ],
)
def test_bad_sources(keywords, text):
    with refuses(text):
        Source(**{"shape": (1, 4, 4)} | keywords)


def test_the_input_range_holds_the_padding():
    assert Source((1, 4, 4)).range == (0, 255)
    assert Source((2, 4, 4), offset=np.array([3, 200])).range == (-200, 252)
    assert Source((1, 4, 4), low=10, offset=np.array([5])).range == (0, 250)


@pytest.mark.parametrize(
    ("weight", "keywords", "text"),
    [
        (np.ones((2, 1, 3)), {}, "the weight read from 'input' must hold integers, not float64"),
        (np.ones((2, 1, 3), int), {}, r"the weight read from 'input' must be \[out, .*width\], not \(2, 1, 3\)"),
        (np.ones((2, 0, 3, 3), int), {}, r"the weight read from 'input' must be .*, not \(2, 0, 3, 3\)"),
        (WEIGHT, {"groups": 3}, "3 groups do not divide 2 output channels"),
        (WEIGHT, {"groups": 0}, r"groups must be 1\.\.65536, not 0"),
        (WEIGHT, {"stride": (0, 1)}, r".* reads 'input': stride must be two integers of 1\.\.4096, not \(0, 1\)"),
        (WEIGHT, {"padding": (1, -1)}, r".*: padding must be two or four integers of 0\.\.4096, not \(1, -1\)"),
        (WEIGHT, {"dilation": (1, 1, 1)}, r".*: dilation must be two integers of 1\.\.4096, not \(1, 1, 1\)"),
    ],
)
def test_bad_synapses(weight, keywords, text):
    with refuses(text):
        Synapse(INPUT, weight, **keywords)


def test_output_shape():
    synapse = Synapse(INPUT, np.ones((6, 2, 3, 1), int), (2, 3), (1, 0), (2, 1), groups=3)
    assert synapse.output_shape((6, 9, 10)) == (6, 4, 4) and synapse.kernel == (3, 1)
    with refuses("the weight read from 'input' takes 6 channels, the map has 5"):
        synapse.output_shape((5, 9, 10))
    with refuses(r"a window of \(3, 1\) is larger than the padded map 'input' of \(2, 10\)"):
        synapse.output_shape((6, 2, 10))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"theta": np.array([[8]])}, "layer 'a': theta must be one value per output channel"),
        ({"theta": np.array([8, 0])}, "layer 'a': theta must be positive, channel 1 has 0"),
        ({"bias": np.zeros(3, int)}, r"layer 'a': bias must have shape \(2,\), not \(3,\)"),
        ({"v_init": np.array([0.5, 1])}, "layer 'a': v_init must hold integers, not float64"),
        ({"v_init": np.array([0, 128])}, "layer 'a': v_init does not fit a state of 8 bits"),
        ({"v_init": np.array([-129, 0])}, "layer 'a': v_init does not fit a state of 8 bits"),
        ({"burst": 0}, r"layer 'a': the burst cap must be 1\.\.255, not 0"),
        ({"burst": 256}, r"layer 'a': the burst cap must be 1\.\.255, not 256"),
        ({"state_bits": 3}, r"layer 'a': state_bits must be 4\.\.32, not 3"),
        ({"state_bits": 33}, r"layer 'a': state_bits must be 4\.\.32, not 33"),
        ({"weight_bits": np.array([8, 9])}, r"layer 'a': weight_bits must be 2\.\.8, not 8\.\.9"),
        ({"weight_bits": np.array([8, 4])}, "layer 'a': channel 1 holds a weight of magnitude 8, its 4 bits allow 7"),
        ({"synapses": []}, r"layer 'a' has 0 synapses, not 1\.\.256"),
        ({"theta": np.array([8, 2**30 + 1])}, "layer 'a': theta must be at most 1073741824, channel 1 has 1073741825"),
        ({"bias": np.array([0, 2**31])}, "layer 'a': the bias must be within 2147483647 of 0"),
        ({"theta_low": np.array([8, 0]), "burst_low": 1}, "layer 'a': theta_low must be positive, channel 1 has 0"),
        ({"theta_low": np.array([8, 8])}, r"layer 'a': burst_low must be 1\.\.255, not 0"),
        ({"burst_low": 1}, r"layer 'a': burst_low, without theta_low, must be 0\.\.0, not 1"),
        ({"min_burst": 3}, "layer 'a': min_burst must be one of 1, 2, 4, 8 and at most the cap of 3, not 3"),
        ({"synapses": [Synapse(INPUT, WEIGHT[:1])]}, "layer 'a': the weight read from 'input' has 1 output channels, "
                                                     "the layer has 2"),
    ],
)
def test_bad_spiking_layers(changes, text):
    with refuses(text):
        spiking(**changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bias": np.zeros((3, 1), int)}, "layer 'fc': bias must be one value per class"),
        ({"bias": np.zeros(0, int)}, "layer 'fc': bias must be one value per class"),
        ({"bias": np.zeros(3)}, "layer 'fc': bias must hold integers, not float64"),
        ({"weight_bits": np.full(3, 1)}, r"layer 'fc': weight_bits must be 2\.\.8, not 1\.\.1"),
        ({"synapses": []}, r"layer 'fc' has 0 synapses, not 1\.\.256"),
    ],
)
def test_bad_readouts(changes, text):
    with refuses(text):
        readout(**changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "mean"}, "layer 'p': a pool is 'sum' or 'max', not 'mean'"),
        ({"kernel": (0, 2)}, r"layer 'p': the .* reads 'a': kernel must be two integers of 1\.\.65536, not .*"),
        ({"stride": (2,)}, r"layer 'p': the window that reads 'a': stride must be two integers .*, not \(2,\)"),
        ({"fill": "linear"}, "layer 'p': .*: fill must be one of nearest, zeros, not 'linear'"),
    ],
)
def test_bad_pools(changes, text):
    with refuses(text):
        Pool("p", "a", **{"kind": "sum", "kernel": (3, 3), "stride": (2, 2)} | changes)


POOL = Pool("p", "a", "sum", (3, 3), (3, 3))
LIMITS = ExitRule("margin", limits=(1, 2, 3))
WIDE = Synapse(INPUT, np.full((1, 1, 1, 1), 127))


@pytest.mark.parametrize(
    ("layers", "keywords", "text"),
    [
        ((), {"timesteps": 0}, r"timesteps must be 1\.\.512, not 0"),
        ((), {"timesteps": 513}, r"timesteps must be 1\.\.512, not 513"),
        ((spiking(),), {}, "a network must have a readout"),
        ((readout(INPUT, (1, 4, 4)), spiking("b", synapses=[Synapse("fc", WEIGHT)])), {},
         "layer 'b' reads 'fc', a readout, which sends no map"),
        ((), {"exit_rule": ExitRule("margin", limits=(1, 2), output="b")},
         "the exit rule looks at 'b', the outputs are fc"),
        ((), {"order": "rows"}, "the order must be one of steps, tiles, not 'rows'"),
        ((), {"order": "tiles", "exit_rule": ExitRule("margin", limits=(1, 2))},
         "a network in tile order knows no early exit: its rule must be 'off'"),
        ((), {"exit_rule": LIMITS}, "the exit rule has 3 limits for 2 timesteps"),
        ((spiking(), spiking(), readout()), {}, "two maps are called 'a'"),
        ((spiking(INPUT), readout(INPUT)), {}, "two maps are called 'input'"),
        ((spiking(), readout("b")), {}, "layer 'fc' reads 'b', which no earlier layer makes"),
        ((spiking(source="a"), readout()), {}, "layer 'a' reads 'a', which no earlier layer makes"),
        ((spiking(), readout(shape=(3, 4, 4))), {}, "the weight read from 'a' takes 3 channels, the map has 2"),
        ((spiking(), readout(shape=(2, 5, 4))), {}, r"a window of \(5, 4\) is larger than the padded map 'a' .*"),
        ((spiking(synapses=[Synapse(INPUT, WEIGHT), Synapse(INPUT, WEIGHT, padding=(1, 1))]), readout()), {},
         r"the synapses of layer 'a' give different shapes: \[\(2, 2, 2\), \(2, 4, 4\)\]"),
        ((Pool("p", INPUT, "max", (2, 2), (2, 2)), readout("p", (1, 2, 2))), {},
         "layer 'p' pools the input; only counts can be pooled"),
        ((spiking(bias=np.array([0, 2**31 - 1])), readout()), {}, "layer 'a' needs an accumulator of over 32 bits"),
        ((spiking(state_bits=32), readout()), {}, "layer 'a' needs an accumulator of over 32 bits"),
        ((spiking(), readout(bias=np.array([0, 2**30, 0]))), {}, "layer 'fc' needs an accumulator of over 32 bits"),
    ],
)
def test_bad_networks(layers, keywords, text):
    with refuses(text):
        network(*layers, **keywords)


def test_arrays_are_copied_and_cannot_be_written():
    theta = np.full(2, 8)
    layer = spiking(theta=theta)
    theta[0] = 1
    assert layer.theta.tolist() == [8, 8] and layer.theta.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        layer.theta[0] = 1


def test_names_and_readers():
    net = network(spiking(), POOL, readout("p", (2, 1, 1)))
    assert net.layer("p") is POOL and net.readout.name == "fc" and net.classes == 3
    assert {name: [layer.name for layer in layers] for name, layers in net.readers.items()} == {
        INPUT: ["a"], "a": ["p"], "p": ["fc"], "fc": [],
    }


@pytest.mark.parametrize(
    ("pools", "shape"),
    [
        ([POOL], (2, 3, 3)),
        ([replace(POOL, kernel=(2, 3), stride=(2, 3))], (2, 4, 3)),
        ([replace(POOL, kernel=(1, 1))], (2, 4, 4)),
        ([replace(POOL, kernel=(1, 1), stride=(4, 2))], (2, 1, 3)),
        ([replace(POOL, padding=(1, 0))], (2, 4, 3)),
        ([POOL, Pool("q", "a", "max", (2, 2), (2, 2))], (2, 4, 4)),
    ],
)
def test_a_map_that_only_pools_read_is_cut_to_what_they_read(pools, shape):
    sizes = [pool.output_shape((2, 4, 4)) for pool in pools]
    synapses = [Synapse(pool.name, np.ones((3, *size), int)) for pool, size in zip(pools, sizes)]
    net = network(spiking(), *pools, readout(synapses=synapses))
    assert net.shapes["a"] == shape
    assert [net.shapes[pool.name] for pool in pools] == sizes


def test_a_map_that_a_synapse_reads_is_whole():
    synapses = [Synapse("p", np.ones((3, 2, 1, 1), int)), Synapse("a", np.ones((3, 2, 4, 4), int))]
    assert network(spiking(), POOL, readout(synapses=synapses)).shapes["a"] == (2, 4, 4)


def test_ranges_by_hand():
    net = network(spiking(bias=np.array([10, -10])), POOL, readout("p", (2, 1, 1), bias=np.array([1, -1, 0])))
    assert net.value_ranges == {INPUT: (0, 255), "a": (0, 3), "p": (0, 27)}
    low, high = net.current_range(net.layer("a"))
    assert low.tolist() == [10 - 45 * 255, -10] and high.tolist() == [10, 36 * 255 - 10]
    low, high = net.membrane_range(net.layer("a"))
    assert low.tolist() == [10 - 45 * 255 - 128, -138] and high.tolist() == [137, 36 * 255 + 117]
    low, high = net.membrane_range(net.readout)
    assert low.tolist() == [1, -2, 0] and high.tolist() == [110, 106, 108]


def leaky(name="a", **changes):
    return spiking(name, **{"burst": 1, "v_init": np.zeros(2, int), "neuron": INVERSE_LEAKY} | changes)


@pytest.mark.parametrize(
    ("layers", "keywords", "text"),
    [
        ((leaky(), spiking("b", synapses=[Synapse("a", np.ones((2, 2, 1, 1), int))]),
          readout("b")), {}, "the spiking layers must all be of one kind of neuron"),
        ((leaky(), readout()), {"exit_rule": ExitRule("margin", limits=(1, 2))},
         "a network of inverse-leaky neurons knows no early exit: its rule must be 'off'"),
        ((leaky(), Pool("p", "a", "max", (4, 4), (4, 4)), readout("p", (2, 1, 1))), {},
         "layer 'p': the maximum of inverse-leaky spikes is not that of their codes; pool by sums"),
        ((leaky(), readout()), {"timesteps": 30},
         r"layer 'a': theta 8 times 2\*\*29, the weight of the first of 30 timesteps, is over 31 bits"),
        ((leaky(), readout()), {"timesteps": 28}, "layer 'fc' needs an accumulator of over 32 bits"),
    ],
)
def test_bad_two_phase_networks(layers, keywords, text):
    with refuses(text):
        network(*layers, **keywords)


def test_bad_inverse_leaky_layers():
    low = {"theta_low": np.full(2, 8), "burst_low": 1}
    for changes in ({"burst": 2}, {"v_init": np.ones(2, int)}, low):
        with refuses("layer 'a': an inverse-leaky neuron has one threshold, a burst of 1 and starts at 0"):
            leaky(**changes)
    with refuses("layer 'a': the neuron must be one of adafire, inverse_leaky, not 'lif'"):
        spiking(neuron="lif")
    with refuses("a network of inverse-leaky neurons looks at one direct input, not at frames"):
        IntegerNetwork(Source((1, 4, 4), "frames", 0, 3), (leaky(), readout()), 2)


def test_ranges_of_a_two_phase_network_by_hand():
    """Bias and direct input arrive at the last timestep alone: a sum without them lies in the range too."""
    identity = Synapse("a", np.array([2, -3]).reshape(2, 1, 1, 1), groups=2)
    from_input = Synapse(INPUT, np.array([1, -1]).reshape(2, 1, 1, 1))
    second = leaky("b", synapses=[identity, from_input], bias=np.array([-100, 500]))
    net = network(leaky(bias=np.array([10, -10])), second, readout("b", bias=np.array([1, -1, 0])), timesteps=3)
    low, high = net.current_range(net.layer("a"))
    assert low.tolist() == [10 - 45 * 255, -10] and high.tolist() == [10, 36 * 255 - 10]
    low, high = net.current_range(second)
    assert low.tolist() == [-100, -3] and high.tolist() == [2 + 255 - 100, 500]
    low, high = net.membrane_range(second)
    assert low.tolist() == [-100 - 256, -3 - 256] and high.tolist() == [157 + 254, 500 + 254]
    low, high = net.membrane_range(net.readout)
    assert low.tolist() == [0, -1, 0] and high.tolist() == [32 * 7 + 1, 32 * 7, 32 * 7]


def test_signed_ranges_by_hand():
    """Counts of -2..3 widen what reads them to both sides; u holds half a threshold more on either side."""
    signed = spiking(theta_low=np.array([6, 7]), burst_low=2)
    second = spiking("b", synapses=[Synapse("a", np.array([[[[2]], [[-1]]]] * 2))], bias=np.array([1, 0]))
    net = network(signed, second, readout("b"))
    assert net.value_ranges["a"] == (-2, 3)
    low, high = net.current_range(second)
    assert low.tolist() == [1 - 2 * 2 - 3, -7] and high.tolist() == [1 + 6 + 2, 8]
    low, high = net.membrane_range(signed)
    assert low.tolist() == [-45 * 255 - 128 - 3, -128 - 3] and high.tolist() == [127 + 4, 36 * 255 + 127 + 4]


def test_several_outputs_of_any_size():
    read = Synapse("a", np.ones((5, 2, 1, 1), int))
    small, dense = readout(), Readout("map", [read], np.zeros(5, int), np.full(5, 8))
    net = network(spiking(), dense, small, exit_rule=ExitRule("margin", limits=(1, 2), output="fc", share=100))
    assert net.outputs == ("map", "fc") and net.readout is small and net.classes == 3 and not net.dense
    assert replace(net, exit_rule=ExitRule()).readout is dense and replace(net, exit_rule=ExitRule()).dense
    assert net.shapes["map"] == (5, 4, 4)


@pytest.mark.parametrize(("layers", "text"), [
    ((spiking(synapses=[Synapse(INPUT, WEIGHT, padding=(4096, 4096))]), readout()),
     "layer 'a' reads or makes a map of 134283272 values, padding included; the most is 67108864"),
    ((spiking(synapses=[Synapse(INPUT, WEIGHT, upsample=(64, 64))]),) + (readout(shape=(2, 254, 254)),), None),
])
def test_the_size_of_a_network_is_bounded(layers, text):
    if text is None:
        network(*layers)
    else:
        with refuses(text):
            network(*layers)


def test_stages_share_their_source_and_outputs():
    first = network(spiking(), readout(), exit_rule=ExitRule("margin", limits=(1, 2)))
    both = StagedNetwork([first, network(spiking(), readout())])
    assert both.timesteps == 4 and both.classes == 3 and both.outputs == ("fc",) and both.source is first.source
    for stages, text in (
        ([first], r"a network of stages has 2\.\.8, not 1"),
        ([network(), network()], "stage 1 has the exit rule 'off': it would never be believed"),
        ([first, network(spiking(), readout(bias=np.zeros(4, int), weight_bits=np.full(4, 8), synapses=[
            Synapse("a", np.ones((4, 2, 4, 4), int))]))], "stage 2 has other outputs than stage 1: .*"),
        ([first, IntegerNetwork(Source((1, 4, 4), high=7), (spiking(), readout()), 2)],
         "stage 2 looks at another input than stage 1"),
    ):
        with refuses(text):
            StagedNetwork(stages)


@pytest.mark.parametrize("seed", range(60))
def test_what_a_network_does_lies_in_its_ranges(seed):
    net = random_network(seed)
    trace = Golden(net).trace(random_images(net, seed, 1)[0])
    for name, counts in trace.counts.items():
        assert net.value_ranges[name][0] <= counts.min() and counts.max() <= net.value_ranges[name][1]
    low, high = net.membrane_range(net.readout)
    assert (low <= trace.logits).all() and (trace.logits <= high).all()
