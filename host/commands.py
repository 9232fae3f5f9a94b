"""What each verb does, from arguments to a payload of plain values; `host.cli` parses, `host.tables` draws.

Everything slow or optional is imported inside the verb that needs it.
"""

import json
import time
from collections import Counter
from pathlib import Path

from gen.data.labels import read_labels
from gen.errors import InputError
from gen.folders import check_output_file

__all__ = [
    "boards", "build", "cascade", "convert", "converted", "datasets", "evaluate", "export", "generate", "info",
    "predict", "report", "run", "verify",
]


def convert(
    model, calibration, calibration_images, out, mean, std, progress, class_names=None, decode_options=(), form=None,
    **settings,
):
    """Convert ``model``, write the network to ``out`` and the fronts of searches beside it.

    ``class_names`` is a file of them, ``form`` the text of a `gen.data.forms.Form`. Returns what `info` says, plus
    files and seconds.
    """
    start = time.perf_counter()
    check_output_file(out)
    settings |= {"mean": _per_channel("--mean", mean), "std": _per_channel("--std", std)}
    settings |= {"decode_options": _named_values("--decode-option", decode_options)}
    if class_names is not None:
        settings |= {"class_names": read_labels(class_names)}
    from gen.method.front import save_front
    from gen.netfile import save_network

    network = converted(model, calibration, calibration_images, form, progress, **settings)
    save_network(network, out)
    fronts = [str(path) for name, front in network.provenance.get("searches", {}).items()
              for path in save_front(front, out.with_suffix(f".{name}"))]
    return {"network": str(out), "fronts": fronts, **_described(network), "seconds": time.perf_counter() - start}


def converted(model, calibration, calibration_images, form=None, progress=None, **options):
    """Return the network of ``model``, converted with the first ``calibration_images`` of ``calibration``.

    ``form`` is the text of a `gen.data.forms.Form`, ``options`` are those of `gen.method.convert.convert`.
    """
    from gen.data.datasets import open_dataset
    from gen.data.forms import check_form, parse_form, with_form
    from gen.method.convert import convert as convert_model

    form = parse_form(form) if form else None
    images = open_dataset(calibration, "train", progress=progress, form=form, frames=options.get("timesteps"))
    x, labels = images.load(calibration_images)
    check_form(form, x.shape)
    return with_form(convert_model(model, x, labels=labels, progress=progress, **options), form)


def cascade(small, large, calibration, calibration_images, out, exit_loss, exit, progress):
    """Make one network of the network files ``small`` and ``large`` and write it to ``out``.

    Returns what `info` says, plus ``fit``, what the calibration images did, and seconds.
    """
    start = time.perf_counter()
    check_output_file(out)
    from gen.data.datasets import open_for
    from gen.method.cascade import cascade as join
    from gen.netfile import load_network, save_network

    first, second = map(load_network, (small, large))
    x, labels = open_for(first, calibration, "train", progress).load(calibration_images)
    network = join(first, second, x, labels, exit_loss=exit_loss, exit=exit, progress=progress)
    save_network(network, out)
    fit = network.provenance["cascade"]
    return {"network": str(out), "fit": fit, **_described(network), "seconds": time.perf_counter() - start}


def info(network, boards=()):
    """Describe the network in the file ``network``, and what bounds its layers on each of ``boards``."""
    from gen.netfile import load_network
    from host.bounds import on_board

    loaded = load_network(network)
    bounds = {"boards": [on_board(loaded, board) for board in boards]} if boards else {}
    return {"network": str(network), **_described(loaded), **bounds}


def export(network, out):
    """Write the network in the file ``network`` as a NIR graph to ``out``; return how large it is."""
    check_output_file(out)
    if Path(out).suffix.lower() != ".nir":
        raise InputError(f"{out} must end in .nir, the format that networks are exported to.")
    from gen.model.nir_export import save_nir
    from gen.netfile import load_network

    held = load_network(network)
    graph = save_nir(held, out)
    kinds = sorted(type(node).__name__ for node in graph.nodes.values())
    return {
        "network": str(network), "out": str(out), "nodes": dict(Counter(kinds)), "edges": len(graph.edges),
        "metadata": sorted(graph.metadata), "left_out": [] if held.stages[0].exit_rule.kind == "off" else ["exit rule"],
    }


def evaluate(network, data, split, device, folder, limit, batch, page, decode, progress):
    """Run the images of ``data`` on ``device``, write ``page``; return accuracy (None without labels) and costs."""
    from gen.data.datasets import open_for
    from gen.inputs import input_values
    from gen.netfile import load_network
    from host.device import opened
    from host.judge import judge_of

    if page:
        from host.report.exits import Examples, check_page, write_page

        check_page(page)
    file, network = network, load_network(network)
    images = open_for(network, data, split, progress)
    input_values(network, images.first(batch, limit))  # others are refused before anything is compiled or opened
    watch, judge = [Examples(network)] if page else [], judge_of(network, images, decode)
    with opened(device, network, folder=folder, progress=progress) as what:
        measured = _measured(what, network, images, judge, watch, limit=limit, batch=batch, progress=progress)
    if page:
        write_page(page, network, Path(file).name, images.name, str(device), measured, *watch)
    return {"device": str(device), **measured, **({"page": str(page)} if page else {})}


def run(folder, port, data, split, limit, network, baud, decode, stream, progress):
    """Run the images of ``data`` on the board at ``port``; return what `evaluate` does, and how the link fared."""
    from gen.data.datasets import open_for
    from host.content import read_content, read_manifest
    from host.device import SIMULATED, open_board
    from host.judge import judge_of
    from host.streaming import Reckoning, Streamed, check_recordings

    content = read_content(folder, network)
    images = open_for(content.network, data, split, progress)
    content.encode(images.first(limit=limit))  # images of another shape or range are refused before anything is opened
    judge = judge_of(content.network, images, decode)
    recordings = check_recordings(content.network, images) if stream else None
    reckoning = Reckoning.of(read_manifest(folder)[0], content) if port == SIMULATED else None
    with open_board(port, folder, content, baud=baud, progress=progress) as board:
        device = Streamed(board, recordings, reckoning) if recordings else board
        measured = _measured(device, content.network, images, judge, limit=limit, progress=progress)
        return {
            "port": port, **measured, **({"latency_ms": device.latency()} if isinstance(device, Streamed) else {}),
            "images_per_second": measured["images"] / measured["seconds"], "retries": board.statistics.retries,
        }


def predict(network, inputs, out, device, decode, limit, every, progress):
    """Run the pictures of ``inputs`` through ``network``, write drawings and JSON to ``out``; return what they say."""
    from host.predict.run import predict as run_pictures

    return run_pictures(
        network, inputs, out, device=device, decode=decode, limit=limit, every=every, progress=progress
    )


def _measured(device, network, images, judge=None, watch=(), **options):
    """Return the figures of ``device`` on ``images``, those of the network's task, and what they cost in energy."""
    from sim.energy import EnergyMeter
    from sim.metrics import evaluate as evaluate_device

    meter = EnergyMeter(device, network)
    judges = [] if judge is None else [judge]
    figures = evaluate_device(device, images, watch=[meter, *judges, *watch], **options)
    judged = {} if judge is None else judge.as_dict()
    return {"task": network.task.kind, **figures, **judged, "energy": meter.as_dict()}


def generate(network, board, lanes, target_fps, neurons, batch, strips, out, force, also, baud, progress):
    """Write Verilog, memory image and manifest for ``board`` into the folder ``out``; return the manifest."""
    from gen.netfile import load_network
    from gen.plan.lanes import shape_of_lanes
    from gen.plan.target import find_target
    from hw.emit import generate as emit

    target = find_target(board)
    if lanes is not None:
        shape_of_lanes(lanes)
    manifest = emit(
        load_network(network), board=target.name, lanes=lanes, target_fps=target_fps, neurons=neurons, batch=batch,
        strips=strips, out=Path(out), force=force, also=[load_network(other) for other in also], baud=baud,
        progress=progress,
    )
    return {"out": str(out), **manifest}


def verify(folder, data, split, images, simulator, seed, waves, image, step, once, progress):
    """Simulate the Verilog in ``folder`` beside the golden model; return what was compared."""
    from gen.data.datasets import open_for
    from gen.generated import GeneratedFolder
    from sim.verify import verify as verify_folder

    network = GeneratedFolder.open(folder).network
    x, _ = open_for(network, data, split, progress).load(max(images, 1 + (image or 0)))
    return verify_folder(
        folder, x, images=images, simulator=simulator, seed=seed, waves=waves, wave_image=image, wave_step=step,
        once=once, progress=progress,
    )


def build(folder, clock, core_only, seed, progress):
    """Build the bitstream of the design in ``folder``; return the report."""
    from hw.board.build import build as build_folder

    return build_folder(folder, clock_mhz=clock, core_only=core_only, seed=seed, progress=progress)


def report(folder, data, split, limit, image, out, force, decode, progress):
    """Write the report of the core in ``folder``; return where it is and its main figures."""
    from host.report.make import make_report

    return make_report(
        folder, data, split=split, limit=limit, image=image, out=out, force=force, decode=decode, progress=progress,
    )


def datasets():
    """List the data sets known by name, and where they are."""
    from gen.data.datasets import datasets as known

    return known()


def boards():
    """List what every board's part offers."""
    from gen.plan.target import TARGETS

    return {
        "boards": [
            {
                "board": target.name, "title": target.title, "family": target.family, "device": target.device,
                **target.budget, "bram_bits": target.bram_bits, "spram_bits": target.spram_bits,
                "lut_inputs": target.lut_inputs, "clock_mhz": target.clock_mhz, "flow": target.flow.name,
                "dram_mb": target.dram.megabytes if target.dram else 0,
                "flash_mb": target.flash.megabytes if target.flash else 0,
                "open_flow": target.flow.open,
            }
            for target in TARGETS.values()
        ]
    }


def _per_channel(option, text):
    """Read one number, or one for each channel with commas between: ``0.5`` or ``0.49,0.48,0.45``."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"{option} must be one number, or one for each channel with commas between, not {text!r}."
        ) from None
    return values[0] if len(values) == 1 else values


def _named_values(option, words):
    """Read ``NAME=VALUE`` as often as given: name to what VALUE is in JSON, or else the text that it is."""
    values = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not name or not equals:
            raise InputError(f"{option} must be NAME=VALUE, not {word!r}.")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def _described(network):
    from host.describe import describe

    return describe(network)
