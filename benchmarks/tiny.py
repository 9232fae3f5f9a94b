"""The networks of MLPerf Tiny by the TFLite door: equal to the interpreter in float, and as integers?

    python -m benchmarks.tiny --models DIR --cifar cifar10.npz --keywords kws01.npz [--timesteps 1] [--burst 63]

DIR holds the reference models pretrainedResnet.tflite, kws_ref_model_float32.tflite and vww_96_float.tflite. The images
of ResNet-8 are CIFAR-10 (benchmarks.published reads them), the features of the keywords those that the benchmark itself
uses, x int8 [N, 49, 10] and y. The person detector looks at pictures of CIFAR-10, each pixel nine times: there are no
labels, but the float network and the integer one must agree on any picture. Where there are no training data, the
first `CALIBRATION` inputs of those that are measured calibrate, without their labels.

The file of the keywords holds some weights as 8-bit integers. For those the interpreter rounds the maps as well, to 8
bits at run time, which the float network does not: there the two differ by that.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from scipy.special import softmax

from benchmarks.published import read_cifar
from benchmarks.tables import add_files, report
from gen.errors import InputError
from gen.intnet import IntegerNetwork
from gen.method.convert import convert
from gen.method.simulate import activations
from gen.model.load import load
from sim.golden import Golden

CALIBRATION = 200
COMPARED = 200  # inputs on which float network, interpreter and golden model are compared
FEATURE = 0.5847029089927673, 83  # scale and zero point of the benchmark's int8 features
COLUMNS = {
    "relative error of the float network": "{:.1e}", "agreement": "{:.1%}", "float": "{:.2%}", "integer": "{:.2%}",
    "events": "{:,.0f}", "synaptic operations": "{:,.0f}",
}


@dataclass(frozen=True, eq=False)
class Task:
    """A model file, and inputs as pixels: uint8 [N, C, H, W], of which it sees (x/255 - mean)/std.

    calibration : pixels, and their labels or None; measured : pixels, and their labels or None
    """

    file: str
    calibration: tuple[np.ndarray, np.ndarray | None]
    measured: tuple[np.ndarray, np.ndarray | None]
    mean: float
    std: float


def resnet(options: argparse.Namespace) -> Task:
    """ResNet-8, which sees pixels of 0..255."""
    x, y = read_cifar(options.cifar, "train")
    test = tuple(part[: options.images] for part in read_cifar(options.cifar, "test"))
    return Task("pretrainedResnet.tflite", (x[: 5 * CALIBRATION], y[: 5 * CALIBRATION]), test, 0.0, 1 / 255)


def keywords(options: argparse.Namespace) -> Task:
    """DS-CNN for keywords; an int8 feature is a pixel less 128."""
    with np.load(options.keywords) as file:
        x, labels = file["x"], file["y"].astype(np.int64)
    pixels, (scale, zero) = (x.astype(np.int16) + 128).astype(np.uint8)[:, None], FEATURE
    calibration = pixels[:CALIBRATION], None
    return Task("kws_ref_model_float32.tflite", calibration, (pixels, labels), (zero + 128) / 255, 1 / (255 * scale))


def persons(options: argparse.Namespace) -> Task:
    """MobileNet-v1 that looks for a person, on pixels scaled to 0..1."""
    x, others = (
        read_cifar(options.cifar, part)[0][:COMPARED].repeat(3, axis=2).repeat(3, axis=3) for part in ("test", "train")
    )
    return Task("vww_96_float.tflite", (others, None), (x, None), 0.0, 1.0)


TASKS: dict[str, Callable[[argparse.Namespace], Task]] = {
    "ResNet-8, CIFAR-10": resnet, "DS-CNN, keywords": keywords, "MobileNet-v1, persons": persons,
}


def seen(task: Task, x: np.ndarray) -> torch.Tensor:
    """Return what the model sees of pixels ``x``, float32 [N, C, H, W]."""
    return (torch.as_tensor(x).float() / 255 - task.mean) / task.std


def interpreted(path: Path, x: torch.Tensor) -> np.ndarray:
    """Return the probabilities [N, classes] that TFLite's own interpreter gives for ``x`` [N, C, H, W]."""
    interpreter = Interpreter(model_path=str(path))
    one, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.allocate_tensors()
    found = []
    for image in x.permute(0, 2, 3, 1).numpy():
        interpreter.set_tensor(one["index"], image.reshape(one["shape"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(answer["index"])[0].copy())
    return np.stack(found)


def converted(task: Task, options: argparse.Namespace) -> IntegerNetwork:
    """Return the integer network of a task."""
    return convert(
        options.models / task.file, task.calibration[0], labels=task.calibration[1], timesteps=options.timesteps,
        max_burst=options.burst, weight_bits=options.weight_bits, exit="off", mean=task.mean, std=task.std,
    )


def measure(task: Task, options: argparse.Namespace) -> dict:
    """Return the figures of a task."""
    path, (x, labels) = options.models / task.file, task.measured
    if not path.is_file():
        raise InputError(f"{path} is missing: name the folder of the reference models as --models.")
    network = load(path)
    with torch.no_grad():
        parts = [activations(network, seen(task, part))[network.outputs[0]].flatten(1) for part in np.split(
            x, range(250, len(x), 250))]
    logits = torch.cat(parts).double().numpy()
    wanted = interpreted(path, seen(task, x[:COMPARED]))
    result = Golden(converted(task, options)).run(x)
    classes = logits.argmax(axis=1)
    return {
        "relative error of the float network": float(
            np.abs(softmax(logits[:COMPARED], axis=1) - wanted).max() / np.abs(wanted).max()
        ),
        "agreement": float((result.classes == classes)[:COMPARED].mean()),
        "float": None if labels is None else float((classes == labels).mean()),
        "integer": None if labels is None else float((result.classes == labels).mean()),
        "events": float(result.events.mean()), "synaptic operations": float(result.synaptic_ops.mean()),
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the tasks and their conversion need."""
    parser.add_argument("--models", type=Path, required=True, help="folder of the reference models")
    parser.add_argument("--cifar", type=Path, required=True, help="CIFAR-10, as benchmarks.published reads it")
    parser.add_argument("--keywords", type=Path, required=True, help="features of keywords, x and y")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--images", type=int, default=2000, help="test images of CIFAR-10")
    parser.add_argument("--timesteps", type=int, default=1)
    parser.add_argument("--burst", type=int, default=63)
    parser.add_argument("--weight-bits", type=int, default=8)
    add_files(parser)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser)
    options = parser.parse_args()
    report(((name, measure(TASKS[name](options), options)) for name in options.tasks), COLUMNS, options)


if __name__ == "__main__":
    main()
