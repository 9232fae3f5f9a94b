"""What a conversion may be asked for."""

import pytest

from gen.errors import InputError
from gen.method.settings import Settings


@pytest.mark.parametrize("options, text", [
    ({"neuron": "leaky"}, "neuron must be one of adafire, inverse_leaky, not 'leaky'"),
    ({"exit": "never"}, "exit must be one of off, entropy, confidence, margin, not 'never'"),
    ({"exit_fit": "guess"}, "exit_fit must be one of loss, paper, not 'guess'"),
    ({"exit_loss": -1}, "exit_loss is in accuracy points, 0 to 100, not -1"),
    ({"compress": float("nan")}, "compress is in accuracy points, 0 to 100, not nan"),
    ({"compress": True}, "compress is in accuracy points, 0 to 100, not True"),
    ({"search_burst": 0}, "search_burst is a fraction of the uniform network's cost, 0.01 to 10, not 0"),
    ({"weight_memory": 0}, "weight_memory must be a positive integer, not 0"),
    ({"search_lanes": 2.5}, r"search_lanes must be one of 4, 8, 16, 32, 64, not 2\.5"),
    ({"search_lanes": 3}, "search_lanes must be one of 4, 8, 16, 32, 64, not 3"),
    ({"search_lanes": 16}, "searches .* none was asked for: give search_burst, compress or weight_memory"),
    ({"mean": float("nan")}, r"mean must lie in 0..1, since images are scaled to 0..1; it is \[nan\]"),
    ({"std": [1, 1e-300]}, r"std must lie in 1e-06..1e\+06; it is \[1.0, 1e-300\]"),
    ({"weight_memory": 99, "weight_bits": 4}, "weight_memory chooses .*: give either it or weight_bits"),
    ({"weight_memory": 99, "weight_bits": {}}, "weight_memory chooses .*: give either it or weight_bits"),
    ({"max_burst": 256}, "max_burst must be an integer from 1 to 255, not 256"),
    ({"exit_share": 0}, "exit_share is a share of an output's positions, 1.52588e-05 to 1, not 0"),
    ({"exit_share": 1.5}, "exit_share is a share of an output's positions, .* to 1, not 1.5"),
    ({"order": "rows"}, "order must be one of steps, tiles, not 'rows'"),
    ({"order": "tiles", "exit": "margin"}, "in tile order has no early exit: set exit to off, .* not 'margin'"),
    ({"neuron": "inverse_leaky", "compress": 1.0}, "compress is about bursts, inverse-leaky neurons have none"),
    ({"neuron": "inverse_leaky", "search_burst": 0.5}, "search_burst is about bursts.* or convert with neuron adafire"),
    ({"neuron": "inverse_leaky", "exit": "margin"}, "has no early exit: set exit to off, .* not 'margin'"),
    ({"neuron": "inverse_leaky", "timesteps": 9}, "Inverse-leaky neurons take 1 to 8 timesteps, .* not 9"),
])
def test_impossible_options(options, text):
    with pytest.raises(InputError, match=text):
        Settings(**options)


def test_what_is_left_out_follows_from_the_rest():
    assert Settings().exit_rule == "entropy" and not Settings().two_phase and not Settings().searches
    assert Settings(order="tiles").exit_rule == "off" and Settings(order="tiles", timesteps=1).exit_rule == "entropy"
    two_phase = Settings(neuron="inverse_leaky")
    assert two_phase.exit_rule == "off" and two_phase.two_phase
    assert Settings(compress=0.0).searches and Settings(weight_memory=1).searches and Settings(search_burst=1).searches
