"""What the tests of boards share: folders, networks, images, and what must come out."""

from dataclasses import replace

import numpy as np

from gen.inputs import input_stream
from gen.netfile import save_network
from gen.plan.plan import covering, make_plan
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network
from tests.host.fake_board import FakeBoard, fake_cycles, make_folder
from tests.host.fake_line import MemoryTransport

FIRST, OTHER, WIDE, FRAMES = 11, 5, 15, 19  # 48 pixels; 72; 36 of 9 bits; frames of counts
TWIN = -11                                   # looks like FIRST from outside and gives other logits
BYTE_S, COMPUTE_S = 1e-5, 1e-3


class World:
    """Two folders for one core, networks by seed, and every load stream there is to its network."""

    def __init__(self, path):
        self.path, self.library, self.seeds = path, {}, (FIRST, OTHER)
        self.networks = {seed: random_network(seed) for seed in (FIRST, OTHER, WIDE, FRAMES)}
        readout = self.networks[FIRST].readout
        twin = replace(readout, bias=readout.bias[::-1])
        self.networks[TWIN] = replace(
            self.networks[FIRST], layers=[*self.networks[FIRST].layers[:-1], twin]
        )
        self.params = covering([make_plan(self.networks[seed], 4) for seed in self.seeds])
        self.folder, self.other = (self.make(seed, self.params) for seed in self.seeds)
        self.images = {seed: random_images(network, abs(seed), 60) for seed, network in self.networks.items()}
        self.golden = {seed: Golden(network).run(self.images[seed]) for seed, network in self.networks.items()}
        save_network(self.networks[OTHER], path / "other.safetensors")

    def make(self, seed, params=None, name=None, **changes):
        place = self.path / str(name or seed)
        folder, _, stream = make_folder(place, self.networks[seed], params=params, **changes)
        self.library[stream] = self.networks[seed]
        return folder

    def fake(self, folder=None, **options):
        return FakeBoard(folder or self.folder, self.library, byte_s=BYTE_S, compute_s=COMPUTE_S, **options)

    def line(self, faults=None, folder=None, **options):
        return MemoryTransport(self.fake(folder, **options), faults)

    def check(self, result, seed=FIRST, number=60):
        for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
            expected = getattr(self.golden[seed], name)[:number]
            np.testing.assert_array_equal(getattr(result, name), expected, err_msg=name)
        network = self.networks[seed]
        lowest, wide = network.source.range[0], np.ptp(network.source.range) > 255
        sent = (input_stream(network, self.images[seed][:number]) - lowest).astype("<u2" if wide else np.uint8)
        assert result.cycles.tolist() == [fake_cycles(image.tobytes()) for image in sent]
