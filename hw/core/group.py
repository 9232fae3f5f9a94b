"""A group of lanes with its copies of the maps and of the input, its weights, and its neurons."""

from dataclasses import replace

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.memories import memory_table
from hw.core import payloads
from hw.core.fetch import Fetch
from hw.core.firing import STEPS, Firing
from hw.core.gather import Gather
from hw.core.halves import Halves
from hw.core.lanes import Lanes
from hw.core.memory import CoreMemory
from hw.core.word_queue import WordQueue

__all__ = ["Group"]

TAKEN = ("layer", "tile_valid", "tile")  # by the fetch and by the firing alike
GIVEN = ("idle", "counted", "probe_fired", "probe_counts", "probe_states")  # by the firing
PARKING = (*STEPS, "sent", "memory")  # by the firing, where states lie outside the chip
OUTPUTS = ("output_address", "output_write")  # by the firing of a group that has outputs


class Group(wiring.Component):
    """Gather the tiles that the walker announces, fire their neurons, hand out the words of the new map.

    ::

        request --> fetch --> word queue --> gather --> lanes --> firing --> write
                    | ^                        |          ^        ^  |
                maps, image                    +--> weights        |  +--> outputs (group 0, or all)
        tile ------------------------------------------------------+

    Parameters
    ----------
    params : CoreParams
    number : int
        Of the group, from 0.
    contents : dict
        Initial contents of the loadable memories, name to list of ints.

    Members
    -------
    begin, layer, slot : In
        A pass begins; its block (`payloads.pass_block`), from the next cycle on; which slot of the input is read.
    tile_valid, tile, request_valid, request : In
        From the walker.
    room : Out(1)
        The walker may go on.
    image_write, map_write : In
        Words for the copies of the input and of the maps.
    load : In(load_port)
    busy, active : Out
        The lanes are given an event; lanes that do work for it.
    write, idle, counted, probe_fired, probe_counts, probe_states : Out
        As of `hw.core.firing.Firing`; so are, of group 0 alone or with ``params.shared`` of all, output_address,
        output_write and output, and with ``params.parked`` first_step, last_step, stop, sent and memory.
    """

    def __init__(self, params, number, contents):
        self._params = p = params
        self._number, self._contents = number, contents
        self._firing = Firing(p, number, contents)
        members = self._firing.signature.members
        outputs = (*OUTPUTS, "output") if "output" in members else ()
        super().__init__({
            "begin": In(1), "layer": In(payloads.pass_block(p)), "slot": In(range(max(2, p.image_slots))),
            "tile_valid": In(1), "tile": In(payloads.tile(p)),
            "request_valid": In(1), "request": In(payloads.request(p)), "room": Out(1),
            "image_write": In(payloads.image_write(p)), "map_write": In(payloads.map_write(p)),
            "load": In(payloads.load_port(p)), "busy": Out(1), "active": Out(range(p.width + 1)),
            **{name: members[name] for name in ("write", *GIVEN, *outputs, *(PARKING if p.parked else ()))},
        })

    def elaborate(self, platform):
        m = Module()
        p, firing = self._params, self._firing
        m.submodules.fetch = fetch = Fetch(p, self._number)
        m.submodules.word_queue = queue = WordQueue(p)
        m.submodules.gather = gather = Gather(p)
        m.submodules.lanes = lanes = Lanes(p)
        m.submodules.firing = firing
        m.submodules.maps = maps = self._memory("maps")
        image_joints = self._add_images(m, fetch)
        m.submodules.weights = weights = self._memory("weights", **({"latency": 1} if p.narrow else {}))
        for name in TAKEN:
            m.d.comb += [getattr(part, name).eq(getattr(self, name)) for part in (fetch, firing)]
        wiring.connect(m, queue.o, gather.i)
        if p.wide:
            m.submodules.wide = wide = self._memory("wide")
            m.d.comb += [
                wide.address.eq(fetch.map_address), fetch.wide_word.as_value().eq(wide.data),
                wide.write.enable.eq(self.map_write.enable & (self.map_write.address < p.wide)),
                wide.write.address.eq(self.map_write.address),
                wide.write.data.eq(Cat(count[p.map_bits :] for count in self.map_write.word)),
            ]
        m.d.comb += [
            fetch.slot.eq(self.slot), fetch.request_valid.eq(self.request_valid), fetch.request.eq(self.request),
            maps.address.eq(fetch.map_address), fetch.map_word.as_value().eq(maps.data),
            maps.write.enable.eq(self.map_write.enable), maps.write.address.eq(self.map_write.address),
            maps.write.data.eq(Cat(count[: p.map_bits] for count in self.map_write.word)), *image_joints,
            queue.i_valid.eq(fetch.o_valid), queue.i.eq(fetch.o), self.room.eq(queue.room & firing.room),
            gather.layer.eq(self.layer), self.busy.eq(gather.busy), self.active.eq(gather.active),
            weights.load.eq(self.load), weights.address.eq(gather.weight_address),
            lanes.event.eq(gather.o), firing.sums.eq(lanes.sums), firing.done.eq(lanes.done),
            firing.begin.eq(self.begin), firing.load.eq(self.load),
            *(getattr(self, name).eq(getattr(firing, name)) for name in GIVEN),
        ]
        wiring.connect(m, firing.write, wiring.flipped(self.write))
        if "output" in self.signature.members:
            m.d.comb += [firing.output.eq(self.output), *(
                getattr(self, name).eq(getattr(firing, name)) for name in OUTPUTS
            )]
        if p.parked:
            wiring.connect(m, firing.memory, wiring.flipped(self.memory))
            m.d.comb += [
                gather.room.eq(firing.end_room), firing.sent.eq(self.sent),
                *(getattr(firing, name).eq(getattr(self, name)) for name in STEPS),
            ]
        if p.maximum:
            m.d.comb += lanes.maximum.eq(self.layer.maximum)
        if p.narrow:  # the choice of a half is the second cycle of the weight memory
            m.submodules.halves = halves = Halves(p)
            m.d.comb += [
                halves.word.eq(weights.data), halves.narrow.eq(self.layer.narrow), halves.upper.eq(gather.upper),
                lanes.weights.eq(halves.weights),
            ]
        else:
            m.d.comb += lanes.weights.as_value().eq(weights.data)
        return m

    def _add_images(self, m, fetch):
        """Add the memories of the input, of whole windows one for each row, and return what connects them."""
        p, write, bits = self._params, self.image_write, self._params.image_row_lanes * self._params.image_bits
        names = ["image"] if p.image_rows == 1 else [f"image_{row}" for row in range(p.image_rows)]
        images = [self._memory(name) for name in names]
        for name, image in zip(names, images):
            m.submodules[name] = image
        words = [write] if p.image_rows == 1 else [
            Cat(write.enable, write.address[row], write.word.as_value().word_select(row, bits))
            for row in range(p.image_rows)]
        return [
            *(image.address.eq(fetch.image_address) for image in images),
            fetch.image_word.as_value().eq(Cat(image.data for image in images)),
            *(image.write.eq(word) for image, word in zip(images, words)),
        ]

    def _memory(self, name, **changes):
        spec = replace(memory_table(self._params)[f"{name}_{self._number}"], **changes)
        return CoreMemory(spec, self._contents.get(spec.name, ()), params=self._params)
