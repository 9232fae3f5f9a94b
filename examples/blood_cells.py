"""Find blood cells and tell them apart, by a detector of 91,000 weights: from training to the integer network.

    python examples/blood_cells.py bccd_160x120.npz [--out blood_cells]

The data are the 364 pictures of BCCD (github.com/Shenggan/BCCD_Dataset, MIT) at a quarter of their size, in an .npz
file: x uint8 [N, 3, 120, 160], or x_filtered (`pictures.py`); boxes, a row (picture, class, left, top, right, bottom)
for each cell in pixels of the original 640x480; split [N], 0 for training, 1 for validation, 2 for the test. Training
sees the first two.

The detector is a single-shot one (Liu et al., SSD, ECCV 2016) with one anchor, a square of 26 pixels, at each of 15x20
positions: `scores` has nothing, red cell, white cell and platelet, `boxes` what is added to center and size, over SSD's
variances. A position learns the smallest box whose middle it lies in; scores by a focal loss (Lin et al., ICCV 2017),
boxes by generalised IoU (Rezatofighi et al., CVPR 2019).

The folder gets the model; two networks, blood_cells.safetensors of one timestep and blood_cells_t4.safetensors of four,
whose burst caps are searched and which stops when enough positions are sure; the test pictures for `adafire evaluate
--data`, some as pictures for `adafire predict`; figures.json.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from judged import judged  # beside this script, as the next two
from kit import converted, parser, ready, script, told, write
from PIL import Image
from pictures import stored_pictures
from torch import Tensor, nn
from torch.nn import functional as F

from gen.data.train import descend
from gen.errors import InputError

CLASSES = ("RBC", "WBC", "platelet")
SIZE = WIDTH, HEIGHT = 160, 120
SHRUNK = 4  # the boxes are those of pictures so many times as large
STRIDE = 8
ANCHOR = 26.0  # pixels, width and height: a red cell
CENTER_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
MIDDLE = 0.2  # a cell learns a box if it is no further from its center than this share of the box's size
BATCH, EPOCHS, RATE, DECAY = 16, 30, 8e-3, 0.05
HEAD = {"decode": "ssd", "decode_options": {"sizes": [[ANCHOR]], "score": 0.4}, "class_names": CLASSES}
BURST = 63  # at one timestep
STEPWISE = {"timesteps": 4, "max_burst": 15, "search_burst": 0.9, "exit": "confidence", "exit_share": 0.97,
            "exit_loss": 0.2}
SHOWN = 6  # test pictures, as files
ZOOM, SHIFT, LIGHT = 0.2, 0.1, 0.15  # of augmentation: log size, share of the picture, share of contrast and brightness


def conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution, batch norm and ReLU."""
    layer = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class Detector(nn.Module):
    """Pictures [N, 3, 120, 160], 0..1, to boxes [N, 4, 15, 20] and scores [N, 4, 15, 20]."""

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 48)):
        super().__init__()
        first, second, third = widths
        self.body = nn.Sequential(
            nn.BatchNorm2d(3, affine=False), conv(3, first, 2), conv(first, second, 2), conv(second, second),
            conv(second, third, 2), conv(third, third), conv(third, third, dilation=2), conv(third, third),
        )
        self.boxes = nn.Conv2d(third, 4, 1)
        self.scores = nn.Conv2d(third, 1 + len(CLASSES), 1)
        nn.init.constant_(self.scores.bias[:1], 3.0)  # most cells hold nothing

    def forward(self, x):
        y = self.body(x)
        return {"scores": self.scores(y), "boxes": self.boxes(y)}


def read_cells(path: Path) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Return pictures uint8 [N, 3, 120, 160], of each its cells (class, left, top, right, bottom), and split [N].

    The cells of a picture are float32 [n, 5]. Raises InputError for a file without them.
    """
    held = stored_pictures(path, "", ("boxes", "split"))
    x, boxes, split = held["x"], held["boxes"].astype(np.float32), held["split"]
    if x.shape[1:] != (3, HEIGHT, WIDTH) or boxes.ndim != 2 or boxes.shape[1] != 6 or split.shape != x.shape[:1]:
        raise InputError(
            f"{path}: x must be [N, 3, {HEIGHT}, {WIDTH}], boxes [cells, 6] and split [N], not {list(x.shape)}, "
            f"{list(boxes.shape)} and {list(split.shape)}."
        )
    boxes[:, 2:] /= SHRUNK
    return x, [boxes[boxes[:, 0] == number, 1:] for number in range(len(x))], split


def centers() -> Tensor:
    """Return the centers of the grid's cells, [2, 15, 20]: x and y in pixels."""
    y, x = ((torch.arange(side // STRIDE) + 0.5) * STRIDE for side in (HEIGHT, WIDTH))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))


def decoded(output: Tensor) -> Tensor:
    """Return boxes [N, 4, 15, 20] (left, top, right, bottom) of what the network says of them, of the same shape."""
    middle = centers() + output[:, :2] * (CENTER_VARIANCE * ANCHOR)
    half = ANCHOR / 2 * torch.exp((output[:, 2:] * SIZE_VARIANCE).clamp(max=3))
    return torch.cat([middle - half, middle + half], 1)


def targets(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the grid learns of the cells [n, 5] of a picture: classes int64 [15, 20], 0 for none, and boxes."""
    classes, corners = cells[:, 0], cells[:, 1:, None, None]
    size, middle = corners[:, 2:] - corners[:, :2], (corners[:, 2:] + corners[:, :2]) / 2
    near = ((centers() - middle).abs() <= (MIDDLE * size).clamp(min=STRIDE / 2)).all(1)
    area = torch.where(near, size.prod(1), torch.inf)
    area = torch.cat([torch.full_like(centers()[:1], 1e9), area])  # of nothing
    chosen = area.argmin(0)
    return torch.cat([classes.new_zeros(1), classes + 1]).long()[chosen], F.pad(corners[..., 0, 0], (0, 0, 1, 0))[
        chosen].permute(2, 0, 1)


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the generalised IoU of boxes [4, n], from -1 to 1."""
    inner = (torch.minimum(one[2:], other[2:]) - torch.maximum(one[:2], other[:2])).clamp(min=0).prod(0)
    outer = (torch.maximum(one[2:], other[2:]) - torch.minimum(one[:2], other[:2])).prod(0)
    union = (one[2:] - one[:2]).prod(0) + (other[2:] - other[:2]).prod(0) - inner
    return inner / union - (outer - union) / outer


def detector_loss(found: dict[str, Tensor], classes: Tensor, boxes: Tensor) -> Tensor:
    """Return the loss of a batch: of the scores, each cell's weighed by the square of its doubt, and of the boxes."""
    logarithm = F.log_softmax(found["scores"], 1).gather(1, classes[:, None])[:, 0]
    held = classes > 0
    of_scores = -((1 - logarithm.exp()) ** 2 * logarithm).sum() / held.sum().clamp(min=1)
    said, meant = (each.transpose(0, 1)[:, held] for each in (decoded(found["boxes"]), boxes))
    return of_scores + (1 - generalised_iou(said, meant)).mean()


def augmented(x: Tensor, cells: list[Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return pictures of ``x``, mirrored, moved, zoomed and lit at random, with what the grid learns of each."""
    def drawn(*shape):
        return 2 * torch.rand(shape, generator=generator) - 1

    count = len(x)
    scale = torch.exp(ZOOM * drawn(count, 1)) * drawn(count, 2).sign()
    moved = 2 * SHIFT * drawn(count, 2)  # in halves of the picture, as affine_grid counts
    back = torch.cat([torch.diag_embed(1 / scale), (-moved / scale)[..., None]], 2)
    pictures = F.grid_sample(
        x.float(), F.affine_grid(back, list(x.shape), align_corners=False), padding_mode="border",
        align_corners=False,
    )
    contrast, light = 1 + LIGHT * drawn(count, 1, 1, 1), 255 * LIGHT / 2 * drawn(count, 3, 1, 1)
    pictures = ((pictures - 128) * contrast + 128 + light).clamp(0, 255)
    learned = [targets(_moved(*each)) for each in zip(cells, scale, moved)]
    return pictures, torch.stack([classes for classes, _ in learned]), torch.stack([boxes for _, boxes in learned])


def _moved(cells, scale, moved):
    """Return the cells of a picture after it was scaled about its middle and moved, those that are still in it."""
    half = torch.tensor(SIZE) / 2
    corners = ((cells[:, 1:].view(-1, 2, 2) - half) * scale + (1 + moved) * half)
    corners = torch.stack([corners.amin(1), corners.amax(1)], 1)
    inside = torch.minimum(corners.clamp(min=0), torch.tensor(SIZE, dtype=torch.float32))
    kept = (inside[:, 1] - inside[:, 0]).prod(1) > 0.3 * (corners[:, 1] - corners[:, 0]).prod(1)
    return torch.cat([cells[kept, :1], inside[kept].flatten(1)], 1)


def train(x: np.ndarray, cells: list[np.ndarray], epochs: int, seed: int) -> nn.Module:
    """Return the detector trained on pictures uint8 [N, 3, 120, 160] and the cells of each, float32 [cells, 5]."""
    generator = torch.Generator().manual_seed(seed)
    pictures, known = torch.as_tensor(x), [torch.as_tensor(each) for each in cells]
    steps = len(x) // BATCH

    def batches() -> Iterator[tuple]:
        for chosen in torch.randperm(len(x), generator=generator)[: steps * BATCH].split(BATCH):
            yield augmented(pictures[chosen], [known[number] for number in chosen.tolist()], generator)

    module = Detector().to(memory_format=torch.channels_last)
    return descend(module, batches, detector_loss, epochs=epochs, steps=steps, rate=RATE, decay=DECAY, progress=told)


def boxed(cells: list[np.ndarray]) -> np.ndarray:
    """Return rows (picture, class, left, top, right, bottom) of the cells of each picture, as data files have boxes."""
    return np.concatenate([np.insert(each, 0, number, axis=1) for number, each in enumerate(cells)])


def main():
    options = parser(__doc__, "blood_cells").parse_args()
    x, cells, split = read_cells(options.data)
    ready(options)
    seen, kept = np.flatnonzero(split < 2), np.flatnonzero(split == 2)
    module = train(x[seen], [cells[number] for number in seen], options.epochs or EPOCHS, options.seed)
    np.savez_compressed(
        options.out / "data.npz", x_train=x[seen], x_test=x[kept], boxes_train=boxed([cells[n] for n in seen]),
        boxes_test=boxed([cells[n] for n in kept]),
    )
    (options.out / "pictures").mkdir(exist_ok=True)
    for number in kept[:SHOWN]:
        Image.fromarray(x[number].transpose(1, 2, 0)).save(options.out / "pictures" / f"{number}.png")
    rows = {}
    for name, row, settings in (
        ("blood_cells", f"T = 1, bursts to {BURST}", {"timesteps": 1, "max_burst": BURST, "exit": "off"}),
        ("blood_cells_t4", "T = 4, bursts to 15, searched, exit", STEPWISE),
    ):
        network = converted(module, x[seen], None, options.out / name, **settings, **HEAD)
        rows[row] = judged((options.out / name).with_suffix(".pt2"), network, options.out / "data.npz")
    write(options.out, rows)


if __name__ == "__main__":
    script(main)
