"""The float network computes what the PyTorch model computes, and every refusal says what is wrong."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.errors import InputError, UnsupportedModel
from gen.model.load import load
from tests.gen.model.reference import results

pytestmark = pytest.mark.usefixtures("one_thread")


def settled(module):
    """Give every batch norm statistics and weights that matter."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return module.eval()


class Plain(nn.Module):
    """Layers in a row, with the spellings a user may choose."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 16, 3, stride=2, padding=(2, 1), dilation=(2, 1), groups=4, bias=False)
        self.drop = nn.Dropout(0.4)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu_(self.norm(self.stem(x)))
        x = F.relu(F.max_pool2d(self.deep(x), 2))
        x = nn.Identity()(self.drop(x)).mean((-1, -2))
        return F.log_softmax(self.head(x.view(x.size(0), -1)), 1)


class Residual(nn.Module):
    """Identity, downsample in both orders, and a chain of two adds."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.a = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.b = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.down = nn.Sequential(nn.Conv2d(4, 8, 1, stride=2), nn.BatchNorm2d(8))
        self.c = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8 * 2 * 2, 3)

    def forward(self, x):
        x = self.stem(x).relu()
        x = (self.a(x) + x).relu()
        x = F.relu(self.down(x) + self.b(x))
        y = F.avg_pool2d(x, 3, 1, 1)
        x = F.relu(x + y + self.c(y))
        return self.head(nn.AdaptiveAvgPool2d(2)(x).flatten(1))


MODELS = {
    "plain": (Plain, (3, 16, 16)),
    "residual": (Residual, (1, 8, 8)),
    "perceptron": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 4)), (3, 2, 2)),
    "single": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), (3, 2, 2)),
    "max pool": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Flatten(),
                                       nn.Linear(36, 2)), (1, 8, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_float_network_is_the_model(name):
    make, shape = MODELS[name]
    module = settled(make())
    network = load(module, shape)
    x = torch.rand(5, *shape) - 0.3
    (found,) = results(network, x)
    with torch.no_grad():
        expected = module(x)
    if name == "plain":
        assert network.decode == {network.layers[-1].name: "log_softmax"}
        found = torch.as_tensor(found).log_softmax(1)
    torch.testing.assert_close(torch.as_tensor(found).float(), expected, rtol=1e-4, atol=1e-5)
    assert network.shape == shape and network.outputs == (network.layers[-1].name,)


def test_module_program_and_file_are_one_network(tmp_path):
    module = settled(Residual())
    dynamic = {"x": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(module, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=dynamic)
    torch.export.save(program, tmp_path / "model.pt2")
    digests = {load(source, (1, 8, 8)).digest for source in (module, program, tmp_path / "model.pt2")}
    assert len(digests) == 1
    nn.init.zeros_(module.head.bias)
    assert load(module, (1, 8, 8)).digest not in digests


def test_layers_are_named_by_kind_and_keep_the_names_of_the_modules():
    network = load(settled(Residual()), (1, 8, 8))
    assert network.origins == {"conv1": "stem", "conv2": "a.0", "conv3": "down.0", "pool1": "avg_pool2d", "conv4": "c",
                               "pool2": "adaptive_avg_pool2d", "fc1": "head"}
    assert network.layers[1].sources == ("conv1", "conv1")
    assert network.layers[4].sources == ("pool1", "pool1", "conv3")  # the deepest first, the largest first
    assert network.channels["conv4"] == 8 and network.shapes["pool2"] == (8, 2, 2)


def test_the_module_stays_as_it_was():
    module = Plain().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    load(module, (3, 16, 16))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_module_called_twice_makes_two_layers_and_an_unused_branch_none():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head, self.aside = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(16, 2), nn.Conv2d(1, 9, 1)

        def forward(self, x):
            x = self.conv(x).relu()
            self.aside(x).relu()
            return self.head(self.conv(x).relu().flatten(1))

    network = load(Twice(), (1, 4, 4))
    assert network.origins == {"conv1": "conv", "conv2": "conv.2", "fc1": "head"}


def test_average_pools_keep_their_divisor():
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.AvgPool2d(3, 2, 1), nn.Flatten(), nn.Linear(32, 2))
    pool = load(module, (1, 8, 8)).layers[1]
    assert not pool.weighted and (pool.kind, pool.divisor, pool.padding) == ("sum", 9.0, (1, 1, 1, 1))


class Strange(nn.Module):
    """A block that runs twice, two outputs, each with problems of its own and some in common."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 2, padding="same")
        self.gelu, self.pool, self.head = nn.GELU(), nn.AdaptiveAvgPool2d(3), nn.Linear(36, 2)

    def forward(self, x):
        x = F.hardtanh(self.first(x))
        x = self.gelu(self.gelu(self.second(x)))
        y = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return self.head(self.pool(y).flatten(1)), (x * x.mean((2, 3), keepdim=True)).std()


def test_every_problem_of_every_output_is_listed_once():
    with pytest.raises(UnsupportedModel) as caught:
        load(Strange(), (1, 8, 8))
    assert caught.value.problems == [
        "hardtanh (hardtanh): clips at -1 from below; nearest supported form: a lower bound of 0",
        "gelu (gelu): is not made of straight lines, and a burst counts along one on each side of zero; nearest "
        "supported form: ReLU, ReLU6 or LeakyReLU",
        "avg_pool2d (avg_pool2d): divides by another number at the border; nearest supported form: "
        "count_include_pad=True, or no padding",
        "pool (adaptive_avg_pool2d): an output of (3, 3) does not divide the map of (8, 8); nearest supported form: "
        "an output size that divides",
        "mul (mul): multiplies two maps, and a synapse multiplies a map with a constant; nearest supported form: "
        "constants, or a network without gates and squeeze-and-excitation",
        "std (std): is outside the contract; supported are convolutions, linear layers, BatchNorm, ReLU and its kin, "
        "pools, adds and whatever reshapes",
    ]
    assert str(caught.value).startswith("The model has 6 problems that cannot be converted:\n  - hardtanh")


def test_a_program_exported_in_training_mode_is_refused():
    layers = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(32, 2)
    module = nn.Sequential(*layers)
    program = torch.export.export(module.train(), (torch.zeros(2, 1, 4, 4),))
    with pytest.raises(UnsupportedModel, match=r"model\.eval\(\) before the export") as caught:
        load(program)
    assert [problem.split()[0] for problem in caught.value.problems] == ["1", "3"]


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("module, text", [
    (Branching(), r"cannot be traced .* with images of shape \(2, 1, 4, 4\): .*not branch on values"),
    (nn.Linear(16, 2), r"cannot be traced .* nn\.Flatten\(\)"),
    (nn.Conv2d(3, 2, 1), r"cannot be traced .*3 channels"),
])
def test_models_of_another_kind(module, text):
    with pytest.raises(InputError, match=text):
        load(module, (1, 4, 4))


class Two(nn.Module):
    def forward(self, x, y):
        return (x + y).flatten(1)


def test_programs_of_another_kind():
    x = torch.zeros(2, 1, 4, 4)
    cube = torch.export.export(nn.Conv3d(1, 2, 1), (torch.zeros(2, 1, 4, 4, 4),))
    with pytest.raises(InputError, match=r"an input of shape \[N, 1, 4, 4, 4\]; it must take images \[N, C, H, W\]"):
        load(cube)
    with pytest.raises(InputError, match="takes 2 inputs; it must take one, the images"):
        load(torch.export.export(Two(), (x, x)))
    sized = torch.export.export(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                              nn.Linear(2, 2)), (x,), dynamic_shapes=({2: torch.export.Dim("h")},))
    with pytest.raises(InputError, match="a size that is not fixed, .*without dynamic shapes"):
        load(sized)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(value):
    module = settled(Residual())
    with torch.no_grad():
        module.b.weight[3, 1, 0, 0] = value
        module.head.bias[1] = value
    with pytest.raises(InputError, match="NaN or infinite weights .* in down.0, head. Training probably diverged"):
        load(module, (1, 8, 8))


def test_files_and_things_that_are_no_model(tmp_path, caplog):
    with pytest.raises(InputError, match="There is no model file .*absent.pt2"):
        load(tmp_path / "absent.pt2")
    (tmp_path / "text.pt2").write_text("not a program")
    with pytest.raises(InputError, match=r"text.pt2 is not an exported PyTorch program \(.*torch\.export\.save"):
        load(str(tmp_path / "text.pt2"))
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pt2")
    with pytest.raises(InputError, match="weights.pt2 is not an exported PyTorch program"):
        load(tmp_path / "weights.pt2")
    assert not caplog.records
    with pytest.raises(InputError, match="A model is a torch.nn.Module, .*, not ndarray"):
        load(np.zeros(3))
    with pytest.raises(InputError, match=r"give the shape of an image, \(channels, height, width\)"):
        load(Plain())
