"""The families of convolutional networks through every door: does it convert, is it the same network, does it agree.

    python -m benchmarks.models [--family NAME]... [--images 200] [--json FILE] [--markdown FILE]

Each network of `examples.families`, with random weights, is written in every format that can hold it and read back.

error : the largest difference between the float network and PyTorch, over the largest value of the result; 200 inputs
same : whether the float network is that of the PyTorch door, weight for weight
agreement : over all positions of all results, the share at which the integer network (T = 4, bursts to 63, weights of
    8 bits, calibrated; the golden model, 200 inputs) puts the same class first as PyTorch. Of a single class it is the
    sign; of results that are boxes, the numbers within 5 % of the largest
"""

import argparse
import io
import json
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.special import expit, log_softmax, logit, softmax

from benchmarks.nir_graphs import nir_graph
from examples.families import FAMILIES, family
from gen.errors import InputError
from gen.method.convert import convert
from gen.method.simulate import activations
from gen.model.load import load
from sim.golden import Golden

CALIBRATION, SEED = 256, 0
OPTIONS = {"timesteps": 4, "max_burst": 63, "exit": "off", "calibrate_weights": True}
RAW = {"channels_last"}  # networks that scale their pixels themselves, and take them with channels last
BOXES = {"yolo_tiny": {0, 1}, "ssd": {1, 2, 3}}  # results, by number, that are no scores of classes
NEAR = 0.05


def pictures(shape, count, seed):
    """Return random smooth pictures with some noise, uint8 [count, *shape]; the last two axes are the plane."""
    rng = np.random.default_rng(seed)
    coarse = torch.as_tensor(rng.random((count, shape[0], *(max(2, n // 4) for n in shape[1:]))))
    smooth = torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear").numpy()
    return (255 * (0.8 * smooth + 0.2 * rng.random(smooth.shape))).astype(np.uint8)


def as_list(results):
    """Return what a module returns as a list of tensors."""
    if isinstance(results, dict):
        results = list(results.values())
    return [results] if isinstance(results, torch.Tensor) else [t for part in results for t in as_list(part)]


def doors(module, example, folder):
    """Yield (door, model as `gen.model.load.load` takes it) of every format; an exporter's refusal as its text."""
    program = torch.export.export(module, (example,))
    yield "module", program
    path = Path(folder) / "model.pt2"
    torch.export.save(program, path)
    yield "pt2", path
    import onnx

    for door, options in (
        ("onnx", {"dynamo": True, "optimize": False}),
        ("onnx, older exporter", {"dynamo": False, "do_constant_folding": False,
                                  "training": torch.onnx.TrainingMode.PRESERVE}),
    ):
        content = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = torch.onnx.export(module, (example,), None if options["dynamo"] else content, verbose=False,
                                        **options)
        yield door, written.model_proto if options["dynamo"] else onnx.load_from_string(content.getvalue())
    try:
        yield "nir", nir_graph(load(program))
    except InputError:
        yield "nir", None


def seen(network, x):
    """Return what the layers of the float ``network`` see of its input ``x`` [N, C, H, W]."""
    if network.mean is None:
        return x
    mean, std = (torch.as_tensor(value).float()[:, None, None] for value in (network.mean, network.std))
    return (x - mean) / std


def results(network, x):
    """Return what the float ``network`` returns for ``x`` [N, C, H, W], arrays in the order of the model."""
    maps = {name: value.numpy() for name, value in activations(network, seen(network, x)).items()}
    return [DECODE[output.decode](output.assemble(maps)) for output in network.returns]


DECODE = {
    "": lambda x: x, "sigmoid": expit,
    "softmax": partial(softmax, axis=-1), "log_softmax": partial(log_softmax, axis=-1),
}
LOGITS = {"": lambda x: x, "sigmoid": logit, "softmax": np.log, "log_softmax": lambda x: x}


def relative_error(network, x, expected):
    """Return the largest difference from ``expected``, a list of arrays, over the largest value of each."""
    pairs = zip(results(network, x), expected, strict=True)
    return max(float(np.abs(found - right).max() / np.abs(right).max()) for found, right in pairs)


def agreement(integer, network, pixels, expected, boxes):
    """Return the share of positions of all results at which the ``integer`` network decides as ``expected``.

    ``network`` is the float one, whose results are the numbers of ``boxes`` where they are no scores.
    """
    sums, scales = Golden(integer).run(pixels).outputs, integer.provenance["output_scales"]
    alike = []
    for number, (output, right) in enumerate(zip(network.returns, expected)):
        found = output.assemble({name: sums[name] / (scales[name] * integer.timesteps) for name in output.readouts})
        right, axis = LOGITS[output.decode](right), -1 if right.ndim == 3 else 1
        if number in boxes:
            alike.append(np.abs(found - right) <= NEAR * np.abs(right).max())
        elif right.shape[axis] == 1:
            alike.append((found > 0) == (right > 0))
        else:
            alike.append(found.argmax(axis) == right.argmax(axis))
    return float(np.concatenate([part.ravel() for part in alike]).mean())


def measure(name, images):
    """Return one dict per door for the family ``name``."""
    module, shape = family(name)
    rows, first = [], None
    mean, std = (0.0, 1 / 255) if name in RAW else (0.0, 1.0)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        given = shape if len(shape) == 3 else (shape[0], 1, shape[1])
        plane = (given[2], *given[:2]) if name in RAW else given  # channels last
        pixels = pictures(plane, CALIBRATION + images, SEED)
        x = (torch.as_tensor(pixels[CALIBRATION:]).float() / 255 - mean) / std
        example = (x.permute(0, 2, 3, 1) if name in RAW else x).reshape(len(x), *shape)
        expected = [result.numpy() for result in as_list(module(example))]
        for door, model in doors(module, example[:2], folder):
            row = {"family": name, "door": door, "refused": None}
            rows.append(row)
            if model is None:
                row["refused"] = "the format cannot hold it"
                continue
            try:
                network = load(model, given)
            except InputError as error:
                row["refused"] = str(error)
                continue
            row["error"] = relative_error(network, x, expected)
            first = first or network
            row["same"] = network.digest == first.digest
            if door == "module":
                start = time.perf_counter()
                integer = convert(model, pixels[:CALIBRATION], mean=mean, std=std, **OPTIONS)
                row["agreement"] = agreement(integer, network, pixels[CALIBRATION:], expected, BOXES.get(name, ()))
                row["seconds"] = time.perf_counter() - start
    return rows


def table(rows):
    """Return the rows as lines of Markdown: a family each."""
    names = list(dict.fromkeys(row["door"] for row in rows))
    lines = ["| family | " + " | ".join(names) + " | agreement |", "|---|" + "---|" * (len(names) + 1)]
    for name in dict.fromkeys(row["family"] for row in rows):
        own = {row["door"]: row for row in rows if row["family"] == name}
        cells = [_cell(own[door]) for door in names]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {100 * own['module']['agreement']:.2f} % |")
    return lines


def _cell(row):
    if row["refused"]:
        return "cannot hold it" if row["refused"].startswith("the format") else "refused"
    return f"{row['error']:.0e}" + ("" if row["same"] else ", other digest")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--family", action="append", choices=FAMILIES, help="default: all")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    console, rows = Console(), []
    shown = Table("family", "door", "error", "same", "agreement", "seconds")
    for name in arguments.family or FAMILIES:
        for row in measure(name, arguments.images):
            rows.append(row)
            shown.add_row(
                name, row["door"], f"{row['error']:.1e}" if "error" in row else row["refused"],
                str(row.get("same", "")), f"{100 * row['agreement']:.2f} %" if "agreement" in row else "",
                f"{row['seconds']:.1f}" if "seconds" in row else "",
            )
        console.print(f"{name} done", style="dim")
    console.print(shown)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(table(rows)) + "\n")


if __name__ == "__main__":
    main()
