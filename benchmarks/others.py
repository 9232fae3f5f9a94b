"""Models by others, converted as they are or refused with every reason.

    python -m benchmarks.others [--models DIR] [--limit SECONDS] [--json FILE] [--only TEXT]

Without options: all test models of ONNX's backend suite, which the installed package onnx carries or makes. Their
first input is the image; further inputs count as weights, with the values of the first test. Models older than opset
7 are brought to 13 before, as the refusal advises. What converts is compared with the outputs that the suite expects,
those of the folder light with onnxruntime. DIR may hold .onnx, .tflite, .nir and .pt2 files; those of ONNX are
compared with onnxruntime on random images.

A model either converts or is refused as InputError; anything else, or more than the limit, is a fault of adafire's.
Each model is loaded in a process of its own that can be ended.
"""

import argparse
import json
import multiprocessing
import re
import sys
import traceback
from collections import Counter, defaultdict
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter

from gen.errors import AdafireError, InputError, UnsupportedModel
from gen.model.load import SUFFIXES, load
from gen.model.onnx_file import OLDEST_OPSET

CONVERTS, REFUSED, FAULT = OUTCOMES = ("converts", "refused", "fault")
CLOSE = 1e-4  # relative error of the float network
SUITE = 1e-3  # what the backend suite allows: some of its results are rounded
PROBABILITIES = ("sigmoid", "softmax")  # their error is that of numbers of 0..1, which runtimes round as such
HALF = {"float16": 2**-10, "bfloat16": 2**-7}


@dataclass
class Case:
    """A model of ``group``: a ModelProto or a path, and pairs of images and expected outputs that came with it."""

    group: str
    name: str
    model: object
    tests: list = field(default_factory=list)
    close: float = CLOSE


@dataclass
class Found:
    """What became of a case: outcome, reasons, and the relative error where something was compared."""

    group: str
    name: str
    outcome: str
    reasons: list
    error: float | None = None


def suite():
    """Yield the cases of ONNX's backend suite."""
    from onnx.backend.test.case.model import collect_testcases as model_cases
    from onnx.backend.test.case.node import collect_testcases as node_cases
    from onnx.backend.test.loader import load_model_tests

    with redirect_stderr(StringIO()):
        made = [*(("node", case) for case in node_cases(None)), *(("model", case) for case in model_cases())]
    for group, case in made:
        if case.model is not None:
            yield _case(group, case.name, case.model, [tuple(map(_arrays, pair)) for pair in case.data_sets or []])
    for kind in ("simple", "pytorch-converted", "pytorch-operator"):
        for case in load_model_tests(kind=kind):
            folder = Path(case.model_dir or "")
            model, tests = onnx.load(folder / "model.onnx"), [_stored(p) for p in sorted(folder.glob("test_data*"))]
            if model.opset_import[0].version < OLDEST_OPSET:
                model = onnx.version_converter.convert_version(model, 13)
            yield _case(kind, case.name, model, tests)
    for path in sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx")):
        yield Case("light", path.stem, path, _answers(path))


def _arrays(values):
    """Return the values of a test as arrays where they are tensors, None elsewhere."""
    values = [onnx.numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in values]
    return [np.asarray(v) if isinstance(v, np.ndarray | np.generic) else None for v in values]


def _stored(folder):
    """Return (inputs, outputs) of a test kept as files, arrays where they are tensors."""
    def arrays(kind):
        files = sorted(folder.glob(f"{kind}_*.pb"), key=lambda file: int(re.findall(r"\d+", file.stem)[-1]))
        return [onnx.numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes())) for file in files]

    try:
        return arrays("input"), arrays("output")
    except (ValueError, KeyError, TypeError):  # sequences and optionals, which no image is
        return [], []


def _case(group, name, model, tests):
    """Return the case of ``model`` with its inputs after the first made weights, by the first test."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [info.name for info in model.graph.input if info.name not in weights]
    if len(inputs) > 1 and tests:
        frozen = onnx.ModelProto()
        frozen.CopyFrom(model)
        given = {name: value for name, value in zip(inputs[1:], tests[0][0][1:]) if value is not None}
        frozen.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in given.items())
        model, tests = frozen, tests[:1]
    return Case(group, name, model, [(test[0][0], test[1]) for test in tests if len(test[0]) and len(test[1])],
                SUITE)


def files(folder):
    """Yield a case for each model file under ``folder``."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            yield Case("files", str(path.relative_to(folder)), path, _answers(path) if path.suffix == ".onnx" else [])


def _answers(path):
    """Return a random image for the ONNX model ``path`` and what onnxruntime makes of it."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(path)
    (image,) = session.get_inputs()
    sizes = [size if isinstance(size, int) else 1 for size in image.shape]
    x = np.random.default_rng(0).uniform(-1, 1, sizes).astype(np.float32)
    return [(x, session.run(None, {image.name: x}))]


def judge(case):
    """Return what becomes of ``case``."""
    try:
        network = load(case.model)
    except UnsupportedModel as error:
        return Found(case.group, case.name, REFUSED, error.problems)
    except InputError as error:
        return Found(case.group, case.name, REFUSED, [str(error)])
    errors = [_error(network, x, wanted) for x, wanted in case.tests]
    worst = max(errors, default=None)
    kinds = [np.asarray(output).dtype.name for _, wanted in case.tests for output in wanted]
    wrong = worst is not None and not worst <= max([case.close, *(HALF.get(name, 0) for name in kinds)])
    reasons = [f"computes something else, by {worst}"] if wrong else []
    return Found(case.group, case.name, FAULT if wrong else CONVERTS, reasons, worst)


def _error(network, x, wanted):
    """Return the largest error of all outputs, relative to the largest magnitude of each."""
    import torch

    from gen.method.simulate import activations

    images = np.asarray(x, float)
    images = np.moveaxis(images, -1, 1) if network.channels_last else images
    images = images.reshape(-1, *network.shape)
    if network.mean is not None:
        images = (images - network.mean[:, None, None]) / network.std[:, None, None]
    maps = {name: map_.numpy() for name, map_ in activations(network, torch.tensor(images).float()).items()}
    return max(
        _distance(output.assemble(maps).astype(float), np.asarray(want, float), output.decode)
        for output, want in zip(network.returns, wanted)
    )


def _distance(found, wanted, decode):
    finite = np.abs(wanted) < 1e30  # some tests hold what their memory held
    scale = 1.0 if decode in PROBABILITIES else max(np.abs(wanted[finite]).max(initial=0), 1e-9)
    if found.shape != wanted.shape:
        return float("inf")
    if decode == "sigmoid":
        found = 1 / (1 + np.exp(-found))
    axes = range(1, found.ndim) if "softmax" in decode else ()
    candidates = [found] if not axes else [_softmax(found, axis, decode) for axis in axes]
    return float(min(np.abs(candidate - wanted)[finite].max(initial=0) / scale for candidate in candidates))


def _softmax(x, axis, decode):
    x = x - x.max(axis, keepdims=True)
    x = x - np.log(np.exp(x).sum(axis, keepdims=True))
    return x if decode == "log_softmax" else np.exp(x)


def _serve(pipe):
    """Judge what comes through ``pipe``; what is raised is a fault, and its traceback the answer."""
    while True:
        case = pipe.recv()
        try:
            pipe.send(judge(case))
        except BaseException as error:
            trace = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(trace.filename).name}:{trace.lineno}"
            pipe.send(Found(case.group, case.name, FAULT, [f"{type(error).__name__}: {error} ({place})"]))
            raise


class Judge:
    """A process that judges one case after another, and is ended and made anew where one takes too long."""

    def __init__(self, limit):
        self.limit, self.process = limit, None

    def __call__(self, case):
        if self.process is None:
            self.pipe, theirs = multiprocessing.Pipe()
            self.process = multiprocessing.get_context("fork").Process(target=_serve, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        try:
            self.pipe.send(case)
            if self.pipe.poll(self.limit):
                found = self.pipe.recv()
                if found.outcome == FAULT:
                    self.close()
                return found
            problem = f"takes longer than {self.limit:g} s"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.process.join()
            problem = f"ends the process, code {self.process.exitcode}"
        self.close()
        return Found(case.group, case.name, FAULT, [problem])

    def close(self):
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def kind(reason):
    """Return what a reason has in common with others of its kind: without site, numbers and names."""
    reason = re.sub(r"^.*?(?=\()", "", reason.partition("; nearest")[0].partition("; supported")[0], count=1)
    return re.sub(r"'[^']*'", "'...'", re.sub(r"[\[(][-\d, N?]*[\])]|-?\d[\d.e+]*", "#", reason))[:110]


def table(found):
    """Return the text that says how many of each group convert, and why others do not."""
    groups, lines = defaultdict(Counter), []
    for one in found:
        groups[one.group][one.outcome] += 1
        groups[one.group]["equal"] += one.error is not None and one.outcome == CONVERTS
    lines.append(f"{'group':20}{'models':>8}{'convert':>9}{'equal':>7}{'refused':>9}{'faults':>8}")
    for group, counts in groups.items():
        total = sum(counts[outcome] for outcome in OUTCOMES)
        lines.append(f"{group:20}{total:8}{counts[CONVERTS]:9}{counts['equal']:7}{counts[REFUSED]:9}{counts[FAULT]:8}")
    errors = [one.error for one in found if one.outcome == CONVERTS and one.error is not None]
    lines.append(f"largest relative error of those compared: {max(errors, default=0):.1e}")
    reasons = Counter(text for one in found if one.outcome == REFUSED for text in {kind(r) for r in one.reasons})
    lines += ["", "models  reason"] + [f"{count:6}  {reason}" for reason, count in reasons.most_common()]
    lines += [f"FAULT {one.group} {one.name}: {'; '.join(one.reasons)}" for one in found if one.outcome == FAULT]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, help="a folder of models, in place of ONNX's suite")
    parser.add_argument("--limit", type=float, default=60, help="seconds for one model")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--json", type=Path, help="file to write everything to")
    options = parser.parse_args()
    judging = Judge(options.limit)
    cases = (case for case in (files(options.models) if options.models else suite()) if options.only in case.name)
    found = [judging(case) for case in cases]
    judging.close()
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    print(table(found))
    return any(one.outcome == FAULT for one in found)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AdafireError as error:
        sys.exit(str(error))
