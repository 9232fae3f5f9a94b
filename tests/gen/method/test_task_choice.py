"""`convert` with a task: the model's outputs are found for it, and what does not suit the model is refused at once."""

import numpy as np
import pytest
import torch
from torch import nn

from gen.errors import InputError
from gen.method.convert import convert
from gen.method.task_choice import TaskChoice, tells_classes_apart
from gen.model.load import load
from gen.task import DETECT, SEGMENT, STRETCH, VALUES, Decoder, Task

SIZES = {"sizes": [[4, [6, 8]], [12]]}


class Detector(nn.Module):
    """Two levels, two and one anchors, a class and the background; ``odd`` puts the numbers in an order of its own."""

    def __init__(self, odd=False, sigmoid=False):
        super().__init__()
        self.odd, self.last = odd, nn.Sigmoid() if sigmoid else nn.Softmax(-1)
        self.body, self.deep = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.boxes = nn.ModuleList([nn.Conv2d(4, 8, 1), nn.Conv2d(4, 4, 1)])
        self.scores = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)])

    def forward(self, x):
        first = torch.relu(self.body(x))
        maps = [first, torch.relu(self.deep(first))]

        def joined(heads, each):
            order = (0, 3, 2, 1) if self.odd else (0, 2, 3, 1)
            found = [head(m).permute(order).reshape(len(x), -1, each) for head, m in zip(heads, maps)]
            return torch.cat(found, 1)

        return self.last(joined(self.scores, 2)), joined(self.boxes, 4)


class Gridded(nn.Module):
    def __init__(self):
        super().__init__()
        self.grid = nn.Conv2d(1, 14, 4, 4)

    def forward(self, x):
        return self.grid(x).reshape(len(x), 2, 7, 2, 2).permute(0, 1, 3, 4, 2)


class Mapped(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        self.out = nn.Conv2d(1, channels, 3, padding=1)

    def forward(self, x):
        return self.out(x)


@pytest.fixture(scope="module", autouse=True)
def seed():
    torch.manual_seed(0)


def of(choice, module):
    network = load(module.eval(), (1, 8, 8))
    return choice.of(network, network.outputs[0]), network


def names(network):
    return dict(zip(("scores", "boxes"), (output.readouts for output in network.returns)))


def test_outputs_are_found_by_name():
    network = load(Detector().eval(), (1, 8, 8))
    given = {"boxes": network.returns[1].name, "scores": network.returns[0].name}
    task = TaskChoice(None, ("face",), "ssd", SIZES | given).of(network, network.outputs[0])
    assert task.kind == DETECT and task.decoder.outputs == names(network)
    assert task.decoder.options == SIZES | {"activation": "softmax"}


def test_a_sigmoid_of_the_model_is_the_decoders():
    network = load(Detector(sigmoid=True).eval(), (1, 8, 8))
    given = {"boxes": network.returns[1].name, "scores": network.returns[0].name}
    task = TaskChoice(None, ("nose", "face"), "ssd", SIZES | given).of(network, network.outputs[0])
    assert task.decoder.options["activation"] == "sigmoid"


def test_a_grid_by_anchors():
    task, network = of(TaskChoice(None, ("a", "b"), "yolo", {"anchors": [[3, 5]]}), Gridded())
    assert task.decoder.outputs == {"grid": network.outputs}
    with pytest.raises(InputError, match="order of its own"):
        of(TaskChoice(None, (), "yolo", {"anchors": [[3]]}), Gridded())


def test_nothing_asked_is_nothing_stated():
    assert of(TaskChoice(), Mapped())[0] is None and of(TaskChoice(VALUES), Mapped())[0] is None
    assert of(TaskChoice(SEGMENT, ("a", "b", "c"), fit=STRETCH), Mapped())[0] == Task(
        SEGMENT, ("a", "b", "c"), fit=STRETCH
    )


@pytest.mark.parametrize(("choice", "module", "words"), [
    (TaskChoice(SEGMENT, ("a",)), Mapped(), "1 labels, the network has 3 classes"),
    (TaskChoice("classify"), Mapped(), "8 x 8 positions"),
    (TaskChoice(DETECT), Mapped(), "needs a decoder"),
    (TaskChoice("guess"), Mapped(), "must be one of classify, segment, detect, values"),
    (TaskChoice(fit="squash"), Mapped(), "letterbox, stretch, crop"),
    (TaskChoice(colors="hsv"), Mapped(), "rgb, bgr"),
    (TaskChoice(decode="yolo"), Mapped(7), "needs the option anchors"),
    (TaskChoice(options={"score": 1}), Mapped(), "no decoder: name it"),
    (TaskChoice(SEGMENT, decode="yolo", options={"anchors": [[1]]}), Mapped(7), "has none of"),
    (TaskChoice(decode="frcnn"), Mapped(), "must be one of ssd, yunet, yolo, or a file"),
    (TaskChoice(decode="ssd", options=SIZES), Mapped(8), "is called after boxes: name them with --decode-option"),
    (TaskChoice(decode="ssd", options=SIZES | {"boxes": "there"}), Mapped(8), "must name outputs of the model"),
    (TaskChoice(decode="yolo", options={"anchors": [[1], [2]]}), Mapped(7), "given for 2 levels"),
    (TaskChoice(decode="nowhere.py"), Mapped(), "nowhere.py cannot be read"),
])
def test_what_does_not_suit_the_model(choice, module, words):
    with pytest.raises(InputError, match=words):
        of(choice, module)


def test_an_order_of_the_models_own_is_refused():
    network = load(Detector(odd=True).eval(), (1, 8, 12))
    given = {"boxes": network.returns[1].name, "scores": network.returns[0].name}
    with pytest.raises(InputError, match="order of its own.*--decode FILE.py"):
        TaskChoice(None, (), "ssd", SIZES | given).of(network, network.outputs[0])


def test_a_conversion_carries_the_task():
    x = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    module, options = Mapped(7).eval(), {"anchors": [[3, [4, 5]]]}
    with pytest.raises(InputError, match="each of which needs 5"):
        convert(module, x, decode="yolo", decode_options=options)
    network = convert(
        module, x, timesteps=1, decode="yolo", decode_options={"anchors": [[3]]}, class_names=["a", "b"]
    )
    plain = convert(module, x, timesteps=1, exit="off")
    assert plain.exit_rule.kind == "off" and network.exit_rule.kind == "off"
    assert network.task.decoder.name == "yolo" and network.task.labels == ("a", "b") and plain.stated_task is None
    assert (network.layers[0].synapses[0].weight == plain.layers[0].synapses[0].weight).all()


def test_a_rule_can_be_sure_of_one_anchors_softmax_only():
    def task(name, outputs, **options):
        return Task(DETECT, decoder=Decoder(name, outputs, options))

    roles = {"boxes": ("b", "c"), "scores": ("s", "t")}
    ssd = task("ssd", roles, sizes=[[3], [4, 5]])
    assert tells_classes_apart(ssd, "s") and not tells_classes_apart(ssd, "t") and not tells_classes_apart(ssd, "b")
    assert not tells_classes_apart(task("ssd", roles, sizes=[[3], [4]], activation="sigmoid"), "s")
    assert tells_classes_apart(task("yunet", roles, activation="softmax"), "t")
    assert not tells_classes_apart(task("yunet", roles), "t")
    assert not tells_classes_apart(task("yolo", {"grid": ("s",)}, anchors=[[3]]), "s")
    assert tells_classes_apart(task("mine.py", {}), "s") and tells_classes_apart(None, "s")
    assert tells_classes_apart(Task(SEGMENT), "s")
