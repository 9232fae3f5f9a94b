"""Train a small network on uint8 images, for the demo and the examples. Conversion needs none of it."""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gen.folders import work_beside

__all__ = ["accuracy", "augment", "descend", "fit", "save"]

Trained = TypeVar("Trained", bound=nn.Module)


def augment(x, shift, flip, generator):
    """Return ``x`` [N, C, H, W], moved by up to ``shift`` pixels and, if ``flip``, half of it mirrored."""
    count, _, height, width = x.shape
    dy, dx = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
    rows, columns = torch.arange(height) + dy, torch.arange(width) + dx
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = F.pad(x, (shift,) * 4)
    index = torch.arange(count)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def fit(module, x, y, *, epochs, batch=256, rate=5e-3, decay=0.01, shift=1, flip=False, smoothing=0.0, seed=0,
        progress=None):
    """Train the classifier ``module`` in place on ``x`` uint8 [N, C, H, W], seen as x/255; return it in eval mode.

    `descend` says how; ``shift`` and ``flip`` are those of `augment`, ``smoothing`` is that of the labels.
    """
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.as_tensor(x), torch.as_tensor(y).long()
    steps = len(x) // batch

    def batches():
        for chosen in torch.randperm(len(x), generator=generator)[: steps * batch].split(batch):
            yield augment(x[chosen], shift, flip, generator), y[chosen]

    loss = partial(F.cross_entropy, label_smoothing=smoothing)
    return descend(module, batches, loss, epochs=epochs, steps=steps, rate=rate, decay=decay, progress=progress)


def descend(module: Trained, batches: Callable[[], Iterable[tuple]], loss: Callable[..., torch.Tensor], *,
            epochs: int, steps: int, rate: float, decay: float = 0.01,
            progress: Callable[[str, float], Any] | None = None) -> Trained:
    """Train any ``module`` in place and return it in eval mode.

    AdamW under a one-cycle rate; the result is the exponential moving average of the weights, over two epochs.

    Parameters
    ----------
    batches : called once an epoch; gives ``steps`` tuples, images uint8 [B, C, H, W], seen as x/255, and what the loss
        compares with
    loss : called with what the module returns and the rest of the tuple
    progress : called with (text, fraction done) after each epoch
    """
    averaged = torch.optim.swa_utils.AveragedModel(
        module, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(1 - 1 / (2 * steps)), use_buffers=True
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * steps)
    for epoch in range(epochs):
        module.train()
        total = 0.0
        for x, *truth in batches():
            found = module(x.float().div(255).contiguous(memory_format=torch.channels_last))
            value = loss(found, *truth)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            averaged.update_parameters(module)
            total += value.item()
        if progress:
            progress(f"epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}", (epoch + 1) / epochs)
    module.load_state_dict(averaged.module.state_dict())
    return module.eval()


def accuracy(module, x, y):
    """Return the fraction of ``x`` uint8 [N, C, H, W] that ``module`` puts in class ``y``."""
    with torch.no_grad():
        found = [module(part.float() / 255).argmax(1) for part in torch.as_tensor(x).split(500)]
    return float((torch.cat(found).numpy() == np.asarray(y)).mean())


def save(module: nn.Module, example, path):
    """Export ``module`` for a free batch size to ``path`` (.pt2); ``example`` is uint8 [N >= 2, C, H, W]."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    batch = {0: torch.export.Dim("batch", min=1)}
    images = torch.as_tensor(np.asarray(example[:2])).float() / 255
    program = torch.export.export(module.eval(), (images,), dynamic_shapes=(batch,))
    with work_beside(path) as beside:
        torch.export.save(program, beside / path.name)
        os.replace(beside / path.name, path)
