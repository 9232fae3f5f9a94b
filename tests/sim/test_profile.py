"""Every clock cycle told apart, and the parts added up: random networks on one core with a look into it."""

import numpy as np
import pytest

from gen.errors import AdafireError
from gen.layers import INVERSE_LEAKY
from gen.layout.schedule import schedule_on
from hw.emit import generate
from sim.golden import Golden
from sim.profile import KINDS, MACHINE_KINDS, PASS_KINDS, SIGNALS, ProfiledCore, opened
from tests.kit.random_networks import random_images, random_network

SEEDS = (0, 8, 9, 11, 14, 21)
SEPARATED = (1, 5)
LANES = 4
IMAGES = 8


def separated(seed):
    return random_network(seed, neuron=INVERSE_LEAKY)


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile") / "core"
    first, *others = [*map(random_network, SEEDS), *map(separated, SEPARATED)]
    generate(first, board="ulx3s_85f", lanes=LANES, out=folder, also=others)
    return ProfiledCore.from_folder(folder)


@pytest.fixture(params=[*((random_network, seed) for seed in SEEDS), *((separated, seed) for seed in SEPARATED)],
                ids=lambda param: f"{param[0].__name__}-{param[1]}")
def profiled(request, core):
    draw, seed = request.param
    network = draw(seed)
    core.load(schedule_on(network, core.schedule.params))
    x = random_images(network, seed, IMAGES)
    return network, core.schedule, x, core.profile(x)


def test_the_networks_are_of_both_kinds_and_stop_early():
    networks = [random_network(seed) for seed in SEEDS]
    assert {network.source.kind for network in networks} == {"direct", "frames"}
    assert any(Golden(n).run(random_images(n, s, IMAGES)).exit_steps.min() < n.timesteps
               for n, s in zip(networks, SEEDS))


def test_every_cycle_is_of_one_kind(profiled, core):
    network, _, x, profile = profiled
    result = profile.result
    assert (sum(profile.cycles.values()).sum(axis=(1, 2)) == result.cycles).all()
    assert (profile.cycles["busy"].sum(axis=(1, 2)) == result.busy_cycles).all()
    assert (profile.lane_cycles.sum(axis=(1, 2)) == result.synaptic_ops).all()
    assert (profile.lane_cycles <= LANES * profile.cycles["busy"][:, :, :-1]).all()
    plain, golden = core.run(x), Golden(network).run(x)
    for name in ("classes", "exit_steps", "logits", "cycles", "busy_cycles", "events", "synaptic_ops"):
        assert (getattr(result, name) == getattr(plain, name)).all(), name
    for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
        assert (getattr(result, name) == getattr(golden, name)).all(), name


def test_kinds_belong_to_passes_or_to_the_machine(profiled):
    network, schedule, _, profile = profiled
    assert set(profile.cycles) == set(KINDS)
    assert not any(profile.cycles[kind][:, :, -1].any() for kind in PASS_KINDS)
    assert not any(profile.cycles[kind][:, :, :-1].any() for kind in MACHINE_KINDS)
    taken = profile.cycles["input"].sum(axis=(1, 2))
    ran = profile.result.exit_steps if network.source.kind == "frames" else 1
    assert (taken >= np.prod(network.source.shape) * ran).all()
    assert all(cycles.shape[1] == schedule.rounds for cycles in profile.cycles.values())
    for n, steps in enumerate(schedule.rounds_run(profile.result.exit_steps)):
        assert not any(cycles[n, steps:].any() for cycles in profile.cycles.values())


def test_events_of_every_pass_are_those_of_the_golden_model(profiled):
    network, schedule, x, profile = profiled
    for n, image in enumerate(x):
        trace = Golden(network).trace(image)
        rounds = schedule.rounds_run(trace.exit_step)
        for i, p in enumerate(schedule.passes):
            stored = trace.counts[p.stored] if p.stored else np.zeros((rounds, 1, 1, 1))
            if p.stores_at:
                stored = stored[[p.stores_at - 1]]
            expected = np.count_nonzero(stored, axis=(1, 2, 3))
            assert (profile.events[n, :rounds, i] == expected).all(), (n, p.title)


def test_a_core_of_another_version_is_refused(tmp_path):
    with pytest.raises(AdafireError, match="The Verilog of the core has no signal gather.full, .* generate it again."):
        opened("\nmodule \\adafire_core.gather$7 (a);\n  wire fuller ;\nendmodule\n", SIGNALS)
