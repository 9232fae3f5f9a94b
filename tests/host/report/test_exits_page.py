"""`adafire evaluate --page`: the examples it takes, the page it makes of them, and where it refuses to write."""

import base64
import zlib
from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.netfile import save_network
from gen.result import Result
from host.report.exits import MARKER, Examples, check_page, write_page
from sim.golden import Golden
from sim.metrics import evaluate
from tests.kit.random_networks import random_images, random_network
from tests.host.report.test_report_page import ADDRESS, CHROMIUM, Page, check_in_browser

SEED = 31  # colour, 13 classes, four timesteps
NASTY = '<b>&"x"\'</b>'


@pytest.fixture(scope="module")
def network():
    """A network whose images stop after the first, the second and the fourth timestep."""
    network = random_network(SEED)
    z = Golden(network).all_logits(random_images(network, SEED, 40))
    ahead = np.sort(z, axis=2)[..., -1] - np.sort(z, axis=2)[..., -2]
    limits = (int(np.median(ahead[:, 0])), int(np.quantile(ahead[:, 1], 0.8)), 2**31 - 1, 0)
    return replace(network, exit_rule=ExitRule("margin", limits=limits), provenance={
        "logit_scale": 300.0, "settings": {"exit_loss": 0.2, "exit_fit": "loss"}, "calibration": {"exit_images": 2000},
    })


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exits")
    x = random_images(network, SEED, 40)
    y = Golden(network).run(x).classes
    y[::3] = (y[::3] + 1) % network.classes
    save_network(network, folder / "net.safetensors")
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "unlabelled.npz", x=x)
    return folder


@pytest.fixture
def page(adafire, files, tmp_path):
    """Return what the command wrote, after --data NAME.npz and other words, and its payload."""

    def made(data="data", *words, net="net"):
        out = tmp_path / "exits.html"
        payload = adafire("evaluate", files / f"{net}.safetensors", "--data", files / f"{data}.npz", "--page", out,
                          *words, "--json").json
        assert payload["page"] == str(out) and list(tmp_path.iterdir()) == [out]
        return out.read_text(), payload

    return made


def words(text):
    """The text of a page, its style left out."""
    return " ".join(" ".join(Page(text.partition("</style>\n</head>")[2].removesuffix("</html>")).text).split())


def pixels(uri):
    """Return the grey or RGB pixels [H, W, samples] of a PNG that filters no line."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    at = data.index(b"IDAT")
    lines = zlib.decompress(data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")])
    return np.frombuffer(lines, np.uint8).reshape(height, -1)[:, 1:].reshape(height, width, -1)


def test_the_first_of_each_step_are_kept_right_and_wrong_whatever_the_batch(network):
    x, steps = random_images(network, SEED, 60), np.tile([1, 3, 1], 20)
    labels, classes = np.zeros(60, int), np.arange(60) % 4 // 3  # every fourth is wrong
    z = np.zeros((60, network.classes), np.int64)
    z[:, 0] = 300
    found = []
    for size in (60, 7):
        examples = Examples(network)
        for start in range(0, 60, size):
            s = slice(start, start + size)
            examples(x[s], labels[s], Result(classes[s], steps[s], z[s], steps[s], steps[s]))
        found.append([examples.of(step) for step in (1, 2, 3)])
    assert found[0] == found[1] and found[0][1] == ([], [])
    right, wrong = found[0][0]
    assert [example["image"] for example in right] == [0, 2, 5, 6, 8, 9, 12, 14]
    assert [example["image"] for example in wrong] == [3, 11, 15, 23]
    assert wrong[0] | {"picture": ""} == {
        "image": 3, "class": 1, "label": 0, "picture": "",
        "confidence": pytest.approx(np.e / (np.e + network.classes - 1)),
    }


@pytest.mark.parametrize("kind, scale, expected", [("entropy", 2**16, 0.8), ("off", 1, None)])
def test_the_confidence_is_that_of_the_rule_or_unknown(network, kind, scale, expected):
    known = replace(network, provenance={}, exit_rule=ExitRule(kind, 0, scale, (0,) * 4))
    examples, z = Examples(known), np.full((1, network.classes), -100)
    z[0, :2] = 0, -2  # two octaves
    examples(random_images(network, SEED, 1), None, Result(*np.zeros((2, 1), int), z, *np.zeros((2, 1), int)))
    assert examples.of(0)[0][0]["confidence"] == (None if expected is None else pytest.approx(expected))


def test_the_page_shows_what_was_measured(page, files, network):
    text, payload = page()
    document = Page(text)
    assert text.startswith("<!DOCTYPE html>") and MARKER in text[:4096] and not document.all("script")
    for _, attributes in document.tags:
        assert all(attributes.get(name, "data:").startswith("data:") for name in ADDRESS)
    assert "40 images of data.npz, computed by the golden model" in words(text)
    assert "fitted on 2,000 images, to lose at most 0.2 points" in words(text)
    stopped = [(t, count) for t, count in enumerate(payload["exit_histogram"], 1) if count]
    assert len(stopped) == 3 and sum(count for _, count in stopped) == 40
    for t, count in stopped:
        share, right = 100 * count / 40, 100 * payload["exit_accuracy"][t - 1]
        assert f"{count} images, {share:.1f} %; {right:.1f} % of them right" in words(text)
        assert f'id="step-{t}"' in text
    for limit in (f"over {network.exit_rule.limits[0]:,}", "never", "always"):
        assert limit in words(text)


def test_its_pictures_are_the_images_pixel_by_pixel(page, files, network):
    text, _ = page()
    with np.load(files / "data.npz") as data:
        x, y = data["x"], data["y"]
    result, shown = Golden(network).run(x), [image for image in Page(text).all("img")]
    assert len(shown) >= 12
    for image in shown:
        n = int(image["alt"].removeprefix("Image "))
        low, high = network.source.low, network.source.high
        expected = np.clip((x[n].astype(int) - low) * 255 // (high - low), 0, 255)
        grey = expected.mean(axis=0).astype(np.uint8)[:, :, None]
        assert (pixels(image["src"]) == (expected.transpose(1, 2, 0) if len(expected) == 3 else grey)).all()
        assert image["title"] == f"Image {n}: class {result.classes[n]}, label {y[n]}"
        height, width = x.shape[-2:]
        assert int(image["width"]) % width == 0 and int(image["width"]) * height == int(image["height"]) * width
    wrong = text.count("≠") - 1  # once in words(text)
    assert wrong == sum(y[int(i["alt"].removeprefix("Image "))] != result.classes[int(i["alt"].removeprefix("Image "))]
                        for i in shown) > 0


def test_without_labels(page):
    text, payload = page("unlabelled", "--limit", "20")
    assert payload["exit_accuracy"] is None and "right" not in words(text) and "≠" not in text


@pytest.mark.parametrize("rule, says", [
    (ExitRule(), "every one runs all timesteps"),
    (ExitRule("entropy", 0, 64, (512, 0, 300, 0)), "under 2.000 bits"),
    (ExitRule("confidence", 0, 64, (2**17, 2**16, 2**18, 0)), "over 50.0 %"),
])
def test_every_rule_says_when_it_stops(page, files, network, rule, says):
    save_network(replace(network, exit_rule=rule, provenance={}), files / "other.safetensors")
    text, _ = page("data", net="other")
    assert says in words(text) and "always" in words(text)
    assert "never" in words(text)


def test_many_timesteps_and_nasty_names(network, tmp_path):
    long = replace(network, timesteps=40, exit_rule=ExitRule("margin", limits=(2**31 - 1,) * 40),
                   provenance={"settings": {"exit_loss": 0.2, "exit_fit": "paper"}})
    x, examples = random_images(network, SEED, 5), Examples(long)
    figures = evaluate(Golden(long), x, watch=[examples])
    write_page(tmp_path / "p.html", long, NASTY, NASTY, NASTY, figures, examples)
    text = (tmp_path / "p.html").read_text()
    assert NASTY not in text and "".join(Page(text).text).count(NASTY) == 4
    assert "The limits follow the paper's formula." in words(text)


@pytest.mark.parametrize("name, text", [
    ("page.txt", "The page is HTML: name it .*page.html, not"),
    ("missing/page.html", "The folder .*missing does not exist: make it, or write page.html elsewhere."),
    ("folder.html", "folder.html is a folder: name the file to write."),
    ("mine.html", "mine.html is no earlier page of exits: choose another name, or move it away."),
])
def test_where_no_page_can_be_is_said_first(tmp_path, name, text):
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "mine.html").write_text("<p>mine")
    with pytest.raises(InputError, match=text):
        check_page(tmp_path / name)
    assert (tmp_path / "mine.html").read_text() == "<p>mine"


def test_an_earlier_page_is_replaced_and_kept_where_the_images_are_wrong(page, adafire, files, tmp_path):
    first, _ = page("unlabelled", "--limit", "9")
    second, _ = page()
    assert first != second
    out = tmp_path / "exits.html"
    np.savez(files / "wrong.npz", x=np.zeros((3, 1, 1, 1), np.uint8))
    outcome = adafire("evaluate", files / "net.safetensors", "--data", files / "wrong.npz", "--page", out)
    assert outcome.code == 2 and out.read_text() == second


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.slow)])
def test_a_browser_has_room_for_it_and_asks_for_nothing(page, tmp_path_factory, width):
    """Where there is no browser, what could be too wide lies in boxes that scroll or wrap."""
    text, _ = page()
    if CHROMIUM is None:
        assert text.count("<table") == text.count('<div class="scroll"') and "flex-wrap: wrap" in text
    else:
        check_in_browser(text, width, tmp_path_factory.mktemp("browser"))
