"""The page of `adafire report`: sound HTML that fetches nothing, in a browser too; its drawings and pictures."""

import base64
import json
import re
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from gen.errors import ToolMissing
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Source, Synapse
from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.placement import placed_plan
from gen.plan.resources import core_resources
from gen.plan.target import TARGETS, find_target
from host.report import rows
from host.report.charts import accuracy_chart, block_map, choice_chart, ticks
from host.report.costs import energy
from host.report.drawing import network_drawing
from host.report.facts import describe_memories
from host.report.page import render
from host.report.pictures import counts_picture, image_picture, mosaic
from host.report.svg import bar, element, stack
from hw.emit import generate
from sim.energy import ann_uJ, convention, estimated
from sim.golden import Golden
from sim.profile import ProfiledCore
from tests.gen.plan.networks import readout, spiking
from tests.host.without_yosys import without_yosys
from tests.kit.random_networks import random_images, random_network

SEED = 0
PHONE = 390
VOID = {"meta", "link", "img", "br", "input", "hr"}
ADDRESS = ("src", "href", "xlink:href", "action", "srcset", "data", "poster")
NASTY = '<b>&"x"\'</b>'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--virtual-time-budget=5000",
    "--proxy-server=127.0.0.1:9",  # where nobody listens: the browser's own errands end there too
)
FRAME = """<img src="{canary}"><iframe id=f style="width:{width}px;height:800px;border:0" srcdoc="{page}"></iframe>
<pre id=o></pre><script>onload = () => {{
const d = document.getElementById("f").contentDocument; d.querySelectorAll("details").forEach(x => x.open = true);
document.getElementById("o").textContent = ["width", d.documentElement.scrollWidth, d.images.length,
[...d.images].filter(i => !i.naturalWidth).length].join(" ");}}</script>"""


class Page(HTMLParser):
    """Tags checked for balance; what they carry kept."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()} closes nothing"

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def made(folder, monkeypatch, name="core", seed=SEED):
    """Return the report, and the page, of a random network without simulated cycles."""
    from host.cli import main

    def missing(*_args, **_options):
        raise ToolMissing("no simulator")

    monkeypatch.setattr(ProfiledCore, "from_folder", missing)
    without_yosys(monkeypatch)
    network = random_network(seed)
    generate(network, board="ulx3s_85f", lanes=4, out=folder / name)
    x = random_images(network, seed, 8)
    np.savez(folder / "data.npz", x=x, y=Golden(network).run(x).classes)
    assert main(["report", folder / name, "--data", folder / "data.npz"]) == 0
    return json.loads((folder / name / "report.json").read_text()), (folder / name / "report.html").read_text()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return made(tmp_path_factory.mktemp("page"), monkeypatch)


def with_cycles(report):
    """Return the report with invented cycles, so that all parts of the page are drawn."""
    passes = [
        p | {
            "cycles": 100.0, "cycles_by_timestep": [100.0] + [None] * 3, "lane_utilization": 0.5,
            "kinds": {"busy": 60.0, "spacing": 20.0, "search": 10.0, "fill": 5.0, "drain": 5.0},
        } for p in report["passes"]
    ]
    machine = {"input": 50.0, "control": 5.0, "decision": 45.0}
    total = 100.0 * len(passes) + 100.0
    shares = {"useful": 0.5 * (total - 100) / total, "idle": 0.1 * (total - 100) / total, "input": 50 / total}
    cycles = {
        "per_image": total, "least": 90, "most": 1100, "lane_utilization": shares["useful"], "shares": shares,
        "machine": machine, "by_exit_step": {"1": total},
    }
    timing = {
        "fmax_mhz": 91.2, "clock_mhz": 90.0, "slack_ns": 0.146, "critical_path": "a -> b", "seed": 2,
    }
    return report | {
        "passes": passes, "cycles": cycles, "timing": timing,
        "speed": {"milliseconds": 0.01, "images_per_second": 1e5, "clock_mhz": 90.0},
        "resources": [r | {"built": 17} for r in report["resources"]],
        "choices": [row | {"lanes": lanes} for row in report["choices"] for lanes in (4, 8)],
        "built": {"kind": "post-route", "of": "the core alone", "file": None},
    }


@pytest.mark.parametrize("whole", [False, True])
def test_the_page_is_sound_and_fetches_nothing(report, whole):
    payload, text = report
    check_page(text)
    payload = with_cycles(payload) if whole else payload | {"choices": payload["choices"][:1]}
    text = render(payload, "report.json")
    check_page(text)
    assert ("Other cores for this board" in text) == whole


def check_page(text):
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>") and not page.all("script") and "@import" not in text
    for tag, attributes in page.tags:
        for name in ADDRESS:
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\((?!data:)", text)
    assert "default-src 'none'" in next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert all(image.get("alt") for image in page.all("img"))
    drawings = re.findall(r"<svg(.*?)>(.{7})", text)
    assert len(drawings) > 15
    assert all(inside == "<title>" or "aria-hidden" in given for given, inside in drawings)
    assert len(re.findall(r"<h2>", text)) == 8


def test_a_phone_is_wide_enough_by_the_style(report):
    """Nothing is given a width that a phone does not have; wide tables lie in boxes that scroll."""
    style = re.search(r"<style>(.*?)</style>", report[1], re.DOTALL).group(1)
    narrow = re.sub(r"@media \(min-width[^{]*\{(?:[^{}]*\{[^}]*\})*\s*\}", "", style)
    assert all(int(px) <= PHONE - 32 for px in re.findall(r"(?<!max-)width: (\d+)px", narrow))
    assert "svg { display: block; max-width: 100%;" in style and ".scroll { overflow-x: auto;" in style
    for opened, table in re.findall(r"(<div[^>]*>)?\s*<table[^>]*>(.*?)</table>", report[1], re.DOTALL):
        shown = [kind for kind in re.findall(r"<th(?: class=\"(\w+)\")? scope=\"col\"", table) if kind != "wide"]
        assert len(shown) <= 6 or "scroll" in opened


def test_in_a_browser_nothing_leaves_and_nothing_is_wider_than_a_phone(report, tmp_path):
    """Chromium lays the page out 390 pixels wide; where it is missing, the rules it would obey are checked."""
    text = render(with_cycles(report[0]), "report.json")
    if CHROMIUM is None:
        check_page(text)
        test_a_phone_is_wide_enough_by_the_style((report[0], text))
        return
    assert text.count("<img ") > 10
    check_in_browser(text, PHONE, tmp_path)


def check_in_browser(text, width, folder):
    """Chromium lays the page out in ``width`` pixels, shows all its pictures, and asks for nothing."""
    log, canary = folder / "net.json", "http://127.0.0.1:9/canary"
    (folder / "frame.html").write_text(FRAME.format(
        width=width, canary=canary, page=text.replace("&", "&amp;").replace('"', "&quot;"),
    ))
    run = subprocess.run(
        [CHROMIUM, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--dump-dom",
         f"file://{folder / 'frame.html'}"],
        capture_output=True, text=True, timeout=120,
    )
    seen = re.search(r"width (\d+) (\d+) (\d+)</pre>", run.stdout)
    assert seen, run.stderr[-2000:]
    taken, pictures, broken = map(int, seen.groups())
    assert taken == width and pictures == text.count("<img ") and broken == 0
    assert requests_of_pages(log) == {canary}, "the frame's own picture is the only thing asked for"


def requests_of_pages(log):
    """Return the addresses that pages asked for, by Chromium's log of its net; its own errands are left out."""
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    return {
        event["url"] for event in events
        if event.get("url", "").startswith("http") and event.get("initiator", "not an origin") != "not an origin"
    }


def test_names_are_escaped(report):
    payload = with_cycles(report[0])
    first = payload["network"]["layers"][0]["name"]
    payload = json.loads(json.dumps(payload).replace(json.dumps(first), json.dumps(NASTY)))
    payload["core"]["name"] = payload["passes"][0]["name"] = payload["timing"]["critical_path"] = NASTY
    payload["network"]["provenance"] = {NASTY: {NASTY: [NASTY]}}
    html = render(payload, "report.json")
    page = Page(html)
    assert NASTY not in html and NASTY in "".join(page.text)


def test_a_folder_with_a_strange_name(tmp_path, monkeypatch):
    _, html = made(tmp_path, monkeypatch, name="a <b> & 'c'")
    assert "a &lt;b&gt; &amp; &#39;c&#39;" in html and "<b> &" not in html
    check_page(html)


@pytest.mark.parametrize("seed", [3, 7, 19, 26, 33])
def test_other_networks_draw_sound_pages(tmp_path, monkeypatch, seed):
    payload, html = made(tmp_path, monkeypatch, seed=seed)
    check_page(html)
    assert len(payload["network"]["graph"]) == html.count('class="edge')


def test_the_drawing_has_every_layer_and_every_edge():
    layers = [{"name": n, "shape": [4, 8, 8]} for n in "abcd"]
    graph = [["input", "a", False], ["a", "b", False], ["b", "c", False], ["a", "c", True], ["c", "d", False],
             ["input", "d", False]]
    network = {"input": {"shape": [1, 8, 8]}, "layers": layers, "graph": graph, "classes": 4}
    svg = str(network_drawing(network, {n: [n, "words"] for n in ("input", *"abcd")}))
    assert svg.count('class="block"') == 5 and svg.count('class="edge"') == 4 and svg.count("edge branch") == 2
    assert svg.count(">identity<") == 1 and "2 branches beside the line" in svg
    lanes = re.findall(r'edge branch" d="M[\d.]+ [\d.]+H(-?[\d.]+)', svg)
    assert len(set(lanes)) == 2, "branches that overlap run side by side"
    assert min(map(float, lanes)) >= 0


@pytest.mark.parametrize("least, most", [
    (0.1, 0.9), (0.991, 0.9952), (0.5, 0.5), (1.0, 1.0), (0.0, 0.0), (0.9431, 0.9445),
])
def test_ticks_hold_what_is_drawn(least, most):
    low, high, marks = ticks(least, most)
    assert low <= least + 1e-9 and most <= high + 1e-9 and low < high and 2 <= len(marks) <= 7
    assert marks[0][0] == pytest.approx(low) and marks[-1][0] == pytest.approx(high)
    assert high <= 1 + 1e-9 and low >= 0 and len({text for _, text in marks}) == len(marks)


def test_names_of_cores_stand_apart_and_the_chosen_one_has_its_own():
    """Once those of cores that lie close together stood over one another."""
    choices = [
        {"lanes": 16, "neurons": neurons, "strips": strips, "fps": fps, "lut": lut, "fits": True, "pareto": True,
         "chosen": strips == "windows"}
        for neurons, strips, fps, lut in [(1, "", 19182, 13), (2, "rows", 21479, 15), (4, "", 21583, 18),
                                          (4, "windows", 23012, 18)]
    ]
    svg = str(choice_chart(choices, {"lut": 100}))
    names = re.findall(r'<text class="small" x="([0-9.]+)" y="([0-9.]+)">(16[^<]*)</text>', svg)
    assert [text for *_, text in names] == ["16 × 4 w", "16", "16 × 2 r"]
    boxes = [(float(x), float(x) + 5 * len(text), float(y) - 9, float(y)) for x, y, text in names]
    for i, a in enumerate(boxes):
        assert not any(a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3] for b in boxes[:i])


@pytest.mark.parametrize("steps", [1, 2, 17, 64])
def test_accuracy_of_any_number_of_timesteps(steps):
    values = [1 - 0.5 / t for t in range(1, steps + 1)]
    svg = str(accuracy_chart({"timesteps": values, "mean_timesteps": 1.0, "early_exit": 0.5}))
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="(.*?)"', svg).group(1).split()]
    assert len(points) == steps == svg.count('class="dot"')
    assert all(0 <= x <= 372 and 0 <= y <= 196 for x, y in points)
    assert points == sorted(points) and [y for _, y in points] == sorted((y for _, y in points), reverse=True)


def test_blocks_are_the_board_and_those_beyond_it_are_marked():
    memories = [{"name": name, "title": name, "blocks": blocks} for name, blocks in (("weights", 7), ("bias", 0))]
    svg = str(block_map(memories, 5))
    assert svg.count("m-weights") == 7 and svg.count(" over") == 2 and "m-bias" not in svg
    assert str(block_map(memories, 208)).count("m-free") == 201


def test_bars_are_to_scale():
    drawn = str(stack("t", [("a", 1, "x"), ("b", 0, "y"), ("c", 3, "z")], 8))
    assert re.findall(r'width="([\d.]+)" height', drawn) == ["125", "375"]
    assert str(bar("t", 3.0)).count('width="1000"') == 2
    assert str(element("text", "<&>", x=1 / 3)) == '<text x="0.33">&lt;&amp;&gt;</text>'


def pixels(uri):
    """Return (uint8 [H, W, samples], colour type, chunks) of a PNG data URI, each CRC checked."""
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        chunks[kind] = content[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", content, at + 8 + size)[0] == zlib.crc32(kind + chunks[kind])
        at += 12 + size
    width, height, depth, colour = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert depth == 8 and not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, -1), colour, chunks


def test_pictures_of_images():
    grey = image_picture(np.array([[[0, 128], [255, 64]]]), Source((1, 2, 2)))
    assert pixels(grey)[0][:, :, 0].tolist() == [[0, 128], [255, 64]]
    rgb, colour, _ = pixels(image_picture(np.arange(12).reshape(3, 2, 2), Source((3, 2, 2))))
    assert colour == 2 and rgb[0, 1].tolist() == [1, 5, 9]
    signed = image_picture(np.array([[[-5, 5]]]), Source((1, 1, 2), low=-5, high=5))
    assert pixels(signed)[0].ravel().tolist() == [0, 255]
    frames = image_picture(np.array([[[[0, 1]]], [[[0, 1]]]]), Source((1, 1, 2), kind="frames"))
    assert pixels(frames)[0].ravel().tolist() == [0, 255]
    assert pixels(image_picture(np.zeros((2, 300, 200), int), Source((2, 300, 200))))[0].shape == (100, 100, 1)


def test_pictures_of_bursts_hold_every_count():
    counts = np.random.default_rng(5).integers(0, 8, (10, 3, 4))
    plane = mosaic(counts)
    assert sorted(plane[plane >= 0].tolist()) == sorted(counts.ravel().tolist())
    assert (plane[:3, :4] == counts[0]).all() and (plane[:, 4] == -1).all()
    uri, width, height = counts_picture(counts, 7)
    held, colour, chunks = pixels(uri)
    assert colour == 3 and held.shape == (height, width, 1) == (*plane.shape, 1)
    opacity = chunks[b"tRNS"]
    assert (np.where(plane < 0, 8, plane) == held[:, :, 0]).all()
    assert list(opacity[:8]) == sorted(opacity[:8]) and opacity[7] == 255 and opacity[8] == 0
    vectors = mosaic(np.ones((64, 1, 1), int))
    assert (vectors.ravel()[:64] == 1).all() and (vectors.ravel()[64:] == -1).all(), "vectors have no gaps"


@pytest.mark.parametrize("board", TARGETS)
@pytest.mark.parametrize("lanes", [4, 32])
def test_memories_are_made_of_what_the_estimate_says(board, lanes):
    target = find_target(board)
    plan = placed_plan(random_network(SEED), lanes, target)
    memories = describe_memories(plan, target)
    assert sum(memory["blocks"] for memory in memories) == core_resources(plan.params, target)["bram"]
    assert all(memory["used_words"] == memory["words"] > 0 for memory in memories)
    assert {memory["of"] == "SPRAM" for memory in memories if memory["name"] == "weights"} == {plan.params.spram >= 1}
    assert len({memory["name"] for memory in memories}) == len(memories)
    weights = next(memory for memory in memories if memory["name"] == "weights")
    assert weights["words"] == plan.params.groups * plan.params.weights


def test_memories_that_are_there_for_another_network():
    """Of the input's words in parts, and of outputs' values in every group, a network without them uses some too."""
    def reading(channels):
        first = spiking("first", [Synapse(INPUT, np.ones((32, channels, 3, 3), int), padding=(1, 1))])
        size = (8, 8) if channels == 1 else (1, 1)  # the outputs of several positions are those of group 0
        network = IntegerNetwork(
            Source((channels, 8, 8)), [first, readout("out", Synapse("first", np.ones((4, 32, *size), int)))], 1)
        return make_plan(network, width=16, groups=2, strips="windows")

    windows, plain = reading(1), reading(3)
    params = covering([windows, plain])
    assert (params.image_rows, params.shared) == (3, 1)
    used = {}
    for plan in windows, plain:
        memories = describe_memories(plan_on(plan.network, params), find_target("ulx3s_85f"))
        used |= {(plan.params.shared, memory["name"]): memory["used_words"] for memory in memories}
    assert (used[1, "image"], used[0, "image"]) == (2 * 2 * 72, 2 * 2 * 64)
    assert (used[1, "outputs"], used[0, "outputs"]) == (2 * 4, 4 * 64)


def test_energy_rows_are_named_for_what_they_are():
    network = random_network(SEED)
    plan, x = make_plan(network, 4), random_images(network, SEED, 5)
    result = Golden(network).run(x)
    [nothing] = rows.energy(energy(plan))
    assert nothing["uj"] == pytest.approx(ann_uJ(network)) and nothing["kind"] == "convention"
    _, burst, spikes = rows.energy(energy(plan, result, x))
    assert spikes["count"] == pytest.approx(convention(network, result, x)["spike_acs"].mean()) and burst["count"] > 0
    counted = replace(result, cycles=result.events, busy_cycles=result.events)
    *_, memories, arithmetic = rows.energy(energy(plan, counted, x))
    assert memories["kind"] == arithmetic["kind"] == "estimated"
    expected = estimated(plan, counted)["hardware_estimated_uJ"].mean()
    assert memories["uj"] + arithmetic["uj"] == pytest.approx(expected)


def test_the_template_is_in_the_package():
    from host.report import page

    sections = (Path(page.__file__).parent / "sections").iterdir()
    assert {f"{name}.html.jinja2" for name in page.SECTIONS} == {path.name for path in sections}
