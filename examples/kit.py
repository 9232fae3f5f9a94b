"""What the examples that train share: where files go, the conversion, and the figures that are printed and kept."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gen.data.forms import Form, with_form
from gen.data.train import accuracy, save
from gen.errors import AdafireError
from gen.intnet import IntegerNetwork
from gen.method.convert import convert
from gen.netfile import save_network
from sim.golden import Golden
from sim.metrics import evaluate

__all__ = ["converted", "figures", "parser", "ready", "script", "shuffled", "told", "write"]


def script(main: Callable[[], Any]) -> None:
    """Run an example; what is wrong with its input is said in one paragraph, and ends it with the error's exit code."""
    try:
        main()
    except AdafireError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def parser(text: str | None, out: str) -> argparse.ArgumentParser:
    """Return a parser of the options that every example has; ``text`` is the script's docstring."""
    made = argparse.ArgumentParser(description=(text or "").partition("\n")[0])
    made.add_argument("data", type=Path, help="the data, an .npz file")
    made.add_argument("--out", type=Path, default=Path(out), help=f"folder to write, default {out}")
    made.add_argument("--epochs", type=int, help="default: enough for the figures in the docs")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--threads", type=int, default=2)
    return made


def ready(options: argparse.Namespace) -> None:
    """Make the folder, seed torch, set its threads."""
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)


def told(text: str, done: float) -> None:
    """Print a line of progress."""
    print(text, flush=True)


def shuffled(x: torch.Tensor, y: torch.Tensor, batch: int, steps: int, change: Callable, seed: int):
    """Return a function that gives ``steps`` batches (x, y) an epoch, in random order, changed at random by ``change``.

    ``change(x, generator)`` gets uint8 [batch, ...] and returns as much; every image comes once before any comes again.
    """
    generator, order = torch.Generator().manual_seed(seed), torch.zeros(0, dtype=torch.int64)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        nonlocal order
        for _ in range(steps):
            if len(order) < batch:
                order = torch.cat([order, torch.randperm(len(x), generator=generator)])
            chosen, order = order[:batch], order[batch:]
            yield change(x[chosen], generator), y[chosen]

    return batches


def converted(module: nn.Module, x: np.ndarray, labels: np.ndarray | None, path: Path, form: Form | None = None,
              **settings: Any) -> IntegerNetwork:
    """Save ``module`` as ``path``.pt2 and its integer network as ``path``.safetensors; return that.

    ``x`` are calibration images as the network takes them, ``form`` is how they came from raw data.
    """
    module = module.to(memory_format=torch.contiguous_format)
    save(module, x[:2] if x.ndim == 4 else x[:2].mean(axis=1).astype(np.uint8), path.with_suffix(".pt2"))
    network = with_form(convert(module, x, labels=labels, **settings), form)
    save_network(network, path.with_suffix(".safetensors"))
    return network


def figures(module: nn.Module, network: IntegerNetwork, x: np.ndarray, labels: np.ndarray) -> dict:
    """Return accuracy of the float ``module`` and what `sim.metrics.evaluate` says of the golden model."""
    measured = evaluate(Golden(network), x, labels)
    return {
        "weights": sum(parameter.numel() for parameter in module.parameters() if parameter.ndim > 1),
        "float_accuracy": accuracy(module, x, labels),
        **{name: measured[name] for name in (
            "images", "accuracy", "mean_timesteps", "events_per_image", "synaptic_ops_per_image", "exit_histogram")},
    }


def write(folder: Path, rows: dict) -> None:
    """Print ``rows`` and write them to figures.json in ``folder``."""
    for name, value in rows.items():
        print(f"{name}: {json.dumps(value)}")
    (folder / "figures.json").write_text(json.dumps(rows, indent=1) + "\n")
