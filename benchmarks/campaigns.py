"""What a simulated board goes through: equal results on every device, noise, faults, other networks."""

import time
from collections import Counter

import numpy as np

from benchmarks.compiled import differences
from gen.generated import GeneratedFolder
from gen.result import form_words, result_words, results_in
from host.board import Board
from host.device import opened
from host.errors import LinkError
from hw.regmap import PIECE, REPLY, Command
from sim.board import FAULTS, SimulatedBoard
from sim.golden import Golden
from tests.kit.fuzz import Fuzzer, assail, image_bytes

__all__ = ["attack", "compare_devices", "disturb", "swap"]

PACE = 100           # the simulated board may be so much slower than the clock it claims
TIMEOUT_S = 2.0      # of a disturbed line: what is lost is noticed soon
LATE_MS = 3000       # a delay beyond it
FUZZ_ROUND = 8192    # bytes between two checks that the board still works
RUN_IMAGES = 6
PLANS = [(kind, direction) for kind in FAULTS for direction in ("rx", "tx") if (kind, direction) != ("stop", "tx")]
REPLY_HEADER = 8 + 2  # header, CRC and flags


def compare_devices(network, x, folder):
    """Run ``x`` by the same call on golden model, compiled core and simulated board.

    Returns
    -------
    dict : images, and for each device its images per second and its differences from the golden model.
    """
    places = {
        "golden": ("golden", {}), "compiled core": (folder, {}), "simulated board": ("sim", {"folder": folder}),
    }
    figures, expected = {"images": len(x)}, Golden(network).run(x)
    for name, (where, options) in places.items():
        with opened(where, network, **options) as device:
            device.run(x[:1])
            begin = time.perf_counter()
            result = device.run(x)
        figures[f"images per second, {name}"] = len(x) / (time.perf_counter() - begin)
        figures[f"differences, {name}"] = differences(result, expected)
    return figures | {"cycles per image": float(result.cycles.mean())}


def attack(folder, network, x, size, seed=0):
    """Send ``size`` bytes of a `Fuzzer` to a simulated board; in between the host opens it and runs images.

    A result of the network must be one piece.

    Returns
    -------
    dict : bytes by kind, replies by kind, right results amid the noise, a sentence for every wrong one.

    Raises
    ------
    AdafireError : the board hangs.
    """
    opened_folder = GeneratedFolder.open(folder)
    manifest = opened_folder.manifest
    golden, images = Golden(network).run(x), image_bytes(network, x)
    sent, answers, right, wrong = Counter(), Counter(), 0, []
    begin = time.perf_counter()
    with SimulatedBoard(folder) as board:
        with Board(board.port, folder, pace=PACE) as device:
            longest = device.identity["MAX_PAYLOAD"]
        fuzzer = Fuzzer(seed, opened_folder.plan, manifest["network_id"], images, longest)
        while sent.total() < size:
            more, replies = assail(board.port, fuzzer, min(FUZZ_ROUND, size - sent.total()))
            sent += more
            where = f"before byte {sent.total()} of seed {seed}"
            for command, sequence, payload in replies:
                answers[f"0x{command:02x}"] += 1
                image = fuzzer.image_of(sequence, len(images))
                if command == Command.RESULT | REPLY and image is not None:
                    number, words = PIECE.unpack_from(payload)[0], np.frombuffer(payload, "<i4", offset=PIECE.size)
                    if number == manifest["network_id"]:
                        good = _is_right(manifest["outputs"], words, golden, image)
                        right += good
                        wrong += [] if good else [f"{where}: image {image} gave {words.tolist()}"]
            with Board(board.port, folder, pace=PACE) as device:
                if differences(device.run(x[:RUN_IMAGES]), golden, slice(RUN_IMAGES)):
                    wrong.append(f"the run {where}")
        cycles = board.cycles
    return {
        "bytes": sent.total(), "bytes by kind": dict(sorted(sent.items())),
        "replies": dict(sorted(answers.items())), "right results amid the noise": right, "wrong results": wrong,
        "cycles": cycles, "seed": seed, "seconds": time.perf_counter() - begin,
    }


def _is_right(form, words, golden, image):
    """Return whether a result's words are what the golden model says; ``form``: `gen.result.result_form`."""
    return len(words) == form_words(form) and not differences(results_in(form, words[None]), golden, [image])


def disturb(folder, network, x, count, seed=0):
    """Run images on a simulated board while cable and board suffer ``count`` faults.

    Returns
    -------
    dict : faults by kind, a sentence for every wrong result, the errors of runs that were given up, recoveries.
    """
    rng = np.random.default_rng([seed, 0xFA17])
    golden, size = Golden(network).run(x), len(image_bytes(network, x[:1])[0])
    sizes = {"rx": RUN_IMAGES * (REPLY_HEADER + 4 + size),
             "tx": RUN_IMAGES * (REPLY_HEADER + PIECE.size + 4 * result_words(network))}
    planned, wrong, errors, recoveries, runs = Counter(), [], [], 0, 0
    begin = time.perf_counter()
    with SimulatedBoard(folder) as board:
        while board.faults < count:
            board.plug()
            try:
                with Board(board.port, folder, timeout=TIMEOUT_S) as device:
                    while board.faults < count:
                        if planned.total() < count:
                            planned[_plan(rng, board, sizes)] += 1
                        chosen, runs = rng.permutation(len(x))[:RUN_IMAGES], runs + 1
                        before = device.statistics.retries
                        try:
                            if differences(device.run(x[chosen]), golden, chosen):
                                wrong.append(f"run {runs} of seed {seed}: images {chosen.tolist()}")
                        finally:
                            recoveries += device.statistics.retries - before
            except LinkError as error:
                errors.append(str(error))
    return {
        "faults": planned.total(), "faults by kind": dict(sorted(planned.items())), "runs": runs,
        "wrong results": wrong, "runs given up": errors, "recoveries": recoveries,
        "seed": seed, "seconds": time.perf_counter() - begin,
    }


def _plan(rng, board, sizes):
    """Plan a fault somewhere in the bytes of the next run; return what it is."""
    kind, direction = PLANS[rng.integers(len(PLANS))]
    argument = {
        "flip": 1 << int(rng.integers(8)), "unplug": int(rng.integers(20, 300)),
        "delay": int(rng.choice([rng.integers(1, 300), LATE_MS])),
    }.get(kind, 0)
    board.fault(direction, kind, int(rng.integers(sizes[direction])), argument)
    return f"{'late' if argument == LATE_MS else kind} {direction}"


def swap(folder, network, x, other, x_other):
    """Load another network into a running design, and back; then switch it off and on in between.

    Returns
    -------
    dict : images run, differences from each network's golden model.
    """
    golden, golden_other = Golden(network).run(x), Golden(other).run(x_other)
    with SimulatedBoard(folder) as board, Board(board.port, folder, pace=PACE) as device:
        found = differences(device.run(x), golden)
        device.load(other)
        found += differences(device.run(x_other), golden_other)
        board.reset()  # the bitstream's network is there again: the host notices
        found += differences(device.run(x_other), golden_other)
        device.load(network)
        found += differences(device.run(x), golden)
    return {"images": 2 * (len(x) + len(x_other)), "differences": found}
