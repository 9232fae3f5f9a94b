"""A report's numbers in words: what stands in the page's tables, lists and sentences."""

from gen.layers import INVERSE_LEAKY
from gen.task import DETECT, VALUES
from host.describe import bursts

__all__ = [
    "LOSSES", "MEANINGS", "beside_blocks", "energy", "has_branches", "keys", "kibit", "kinds", "layers", "lede",
    "logits", "losses", "memories", "number", "percent", "provenance", "shown_steps", "times",
]

MOST_LABELS = 20
MOST_CLASSES = 10
ACTIVITY = "activity"  # of the provenance: numbers for the estimate of cycles, in the JSON alone
LONGEST = 27  # letters of a layer's name in the drawing
LOSSES = {
    "useful": ("lanes at work", "adding a weight"),
    "idle": ("lanes without work", "beside one at work: fewer channels than lanes, or groups without an event"),
    "input": ("input", "a frame of the image is waited for"),
    "spacing": ("spacing", "a tile's last event waits for the neurons of the tile before"),
    "search": ("search", "no event at hand, words with events are looked for"),
    "fill": ("fill", "from a layer's beginning to its first event"),
    "drain": ("drain", "from the last word read to the layer's end"),
    "control": ("control", "stepping on to the next layer"),
    "decision": ("decision", "computing the exit rule"),
}
MEMORIES = {
    "program": "program", "weights": "weights", "parameters": "thresholds, biases", "limits": "exit limits",
    "image": "input", "maps": "maps of counts", "states": "states", "currents": "kept currents",
    "outputs": "outputs", "wide": "upper bits of maps", "outside": "memory outside the chip",
    "exponentials": "exponentials", "queues": "queues of words",
}
MEANINGS = (
    ("golden", "counted in the integer model, which defines every bit."),
    ("simulated", "counted in the Verilog of this core, compiled, clock cycle by clock cycle."),
    ("estimated", "computed from sizes before any tool ran."),
    ("post-route", "reported by the tools for the placed and routed design."),
    ("synthesis estimate", "counted after synthesis, where the vendor's tool is to place and route."),
    ("convention", "operations counted, times figures that the field agrees on."),
    ("read", "read from the files in the folder."),
)


def number(value, digits=0):
    """Return a number with commas between thousands; of None nothing."""
    return "" if value is None else f"{value:,.{digits}f}"


def percent(share, digits=0):
    """Return a fraction in percent, on one line with its sign."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def times(shape):
    """Return 1 × 28 × 28."""
    return " × ".join(map(str, shape))


def kibit(bits):
    """Return bits as Kibit."""
    return f"{bits / 1024:,.1f} Kibit"


def lede(report):
    """Return the sentences that begin the page."""
    core, network, accuracy = report["core"], report["network"], report["accuracy"]
    two_phase = network["neuron"] == INVERSE_LEAKY
    text = (
        f"A {'two-phase' if two_phase else 'burst-spiking'} network of {number(network['weights'])} weights, from "
        f"{times(network['input']['shape'])} to {_answer(network)} in{'' if two_phase else ' at most'} "
        f"{network['timesteps']} timesteps, on a core of {core['lanes']} lanes for the {core['title']}"
        + (f" that takes {core['batch']} images together." if core["batch"] > 1 else ".")
    )
    if accuracy:
        right = "right for" if accuracy["measured_against"] == "labels" else "decided as after all timesteps for"
        text += f" On {number(accuracy['images'])} images it is {right} {percent(accuracy['early_exit'], 2)}"
        text += f" and needs {accuracy['mean_timesteps']:.2f} timesteps on average"
        text += f", {number(report['cycles']['per_image'])} clock cycles." if report["cycles"] else "."
    if report["timing"]:
        text += f" Routed, it can run at {report['timing']['fmax_mhz']:.1f} MHz."
    return text


def _answer(network):
    """Return in words what comes out of the network."""
    decides = next(output["shape"] for output in network["outputs"] if output["decides"])
    if network["task"]["kind"] in (DETECT, VALUES):
        outputs = len(network["outputs"])
        return f"{times(decides)} numbers" if outputs == 1 else f"{outputs} outputs"
    return f"{network['classes']} classes" + (f" at {times(decides[1:])} positions" if dense(network) else "")


def keys(report):
    """Return the figures that come first, each with label, value, unit, kind."""
    accuracy, cycles, speed, batch = report["accuracy"], report["cycles"], report["speed"], report["core"]["batch"]
    found, each = [], "cycles an image" + (f", {batch} together" if batch > 1 else "")
    if accuracy:
        what = "accuracy" if accuracy["measured_against"] == "labels" else "agreement with all timesteps"
        steps = report["network"]["timesteps"]
        found += [(what, f"{100 * value:.2f}", "%", "golden") for what, value in shares(accuracy["task"])]
        found.append((f"{what}, early exit", f"{100 * accuracy['early_exit']:.2f}", "%", "golden"))
        found.append((f"timesteps of {steps}, mean", f"{accuracy['mean_timesteps']:.2f}", "", "golden"))
    if cycles:
        found.append((each, number(cycles["per_image"]), "", "simulated"))
        found.append(("lane utilization", f"{100 * cycles['lane_utilization']:.1f}", "%", "simulated"))
    else:
        found.append((each, number(report["estimated_cycles"]["mean_image"]), "", "estimated"))
    if speed:
        found.append(("images a second", number(speed["images_per_second"]), "", "simulated, post-route"))
    for resource in report["resources"]:
        if resource["name"] in ("lut", "bram") and resource["board"]:
            kind = "estimated" if resource["built"] is None else report["built"]["kind"]
            used = resource["estimated"] if resource["built"] is None else resource["built"]
            share = percent(used / resource["board"])
            found.append((f"{resource['unit']}, {share} of the board's", number(used), "", kind))
    return [dict(zip(("label", "value", "unit", "kind"), key)) for key in found]


def shares(judged):
    """Return what a task is measured by, as (name, share)."""
    names = {"map50": "mean average precision at 0.5", "mean_iou": "mean intersection over union"}
    return [(words, judged[name]) for name, words in names.items() if judged.get(name) is not None]


def task(network):
    """Return in words what the network is for."""
    told = network["task"]
    decoder = f", boxes by {told['decoder']['name']}" if "decoder" in told else ""
    names = told.get("labels", [])
    labels = ", ".join(names[:MOST_LABELS]) + (", ..." if len(names) > MOST_LABELS else "")
    return f"{told['kind']}{decoder}{': ' if labels else ''}{labels}"


def dense(network):
    """Return whether the output that decides is a map."""
    return next(output["shape"][1:] for output in network["outputs"] if output["decides"]) != [1, 1]


def layers(network):
    """Return the rows of the table of layers: name, kind, what it reads, numbers."""
    return [
        (
            layer["name"], layer["kind"], ", ".join(layer["reads"]), (
                times(layer["shape"]), _kernels(layer), number(layer["weights"] or None),
                _span(layer["weight_bits"]) if "weight_bits" in layer else "", bursts(layer),
                _span(layer["theta"]) if "theta" in layer else "", layer.get("state_bits", ""),
            ),
        )
        for layer in network["layers"]
    ]


def beside_blocks(network):
    """Return {map: lines beside its block in the drawing}."""
    source = network["input"]
    low, high = source["range"]
    words = {"input": ["input", times(source["shape"]), f"{source['kind']}, values {low} to {high}"]}
    for layer in network["layers"]:
        burst = f", burst {bursts(layer)}" if "burst" in layer else ""
        lines = [_short(layer["name"]), f"{layer['kind']}, {times(layer['shape'])}{burst}"]
        if layer["weights"]:
            weights, bits = number(layer["weights"]), layer["weight_bits"][1]
            lines.append(f"{_kernels(layer)}, {weights} weights of {bits} bits")
            theta = f"θ {_span(layer['theta'])}, state" if "theta" in layer else "logits"
            lines.append(f"{theta} {layer['state_bits']} bits")
        else:
            lines.append(f"window {_kernels(layer)}")
        words[layer["name"]] = lines
    return words


def has_branches(network):
    """Return whether some layer reads another map than the one before it."""
    names = ["input"] + [layer["name"] for layer in network["layers"]]
    before = dict(zip(names[1:], names))
    return any(source != before[layer] for source, layer, _ in network["graph"])


def _kernels(layer):
    windows = layer.get("synapses", [layer])
    return ", ".join(times(w["kernel"]) + (f" /{w['stride'][0]}" if max(w["stride"]) > 1 else "") for w in windows)


def _span(pair):
    low, high = pair
    return number(low) if low == high else f"{number(low)}–{number(high)}"


def _short(name):
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2 - 1]}…{name[-LONGEST // 2:]}"


def losses(cycles):
    """Return [(kind, share of the lanes' cycles, words)], the useful part first, then the largest losses."""
    shares = {kind: share for kind, share in (cycles or {"shares": {}})["shares"].items() if share > 0}
    order = sorted(shares, key=lambda kind: (kind != "useful", -shares[kind]))
    return [(kind, shares[kind], LOSSES[kind]) for kind in order]


def kinds(report):
    """Return the kinds of cycles that occur."""
    if not report["cycles"]:
        return []
    held = [p["kinds"] for p in report["passes"]] + [report["cycles"]["machine"]]
    return [kind for kind in ("busy", *LOSSES) if any(kind in row for row in held)]


def shown_steps(image):
    """Return the timesteps whose logits are shown: four at most, the last among them."""
    if not image:
        return []
    last = image["exit_step"]
    return list(range(1, last + 1)) if last <= 4 else [1, 2, 3, last]


def logits(image):
    """Return the rows of the table of logits, the largest first; none of a map."""
    if not image or not image["logits"]:
        return []
    last = image["logits"][-1]
    low, high = min(last), max(last)
    order = sorted(range(len(last)), key=lambda c: (-last[c], c))[:MOST_CLASSES]
    return [
        {
            "class": c, "numbers": [image["logits"][t - 1][c] for t in shown_steps(image)],
            "share": (last[c] - low) / max(1, high - low),
        }
        for c in order
    ]


def memories(report):
    """Return the memories with what the page calls them, the largest first, and how full their blocks are."""
    block, moved = report["block"]["bits"], report["traffic"] or {}
    return sorted((
        memory | {
            "title": MEMORIES.get(memory["name"], memory["name"]),
            "full": memory["bits"] / (memory["blocks"] * block) if memory["blocks"] else None,
            "words_moved": moved.get(memory["name"], [None, None]),
        }
        for memory in report["memories"]
    ), key=lambda memory: (-memory["blocks"], -memory["bits"], memory["name"]))


def energy(e):
    """Return the rows of the energy table: name, what is counted, how many, µJ, kind of bar, kind of figure."""
    found = [("no spikes", "MACs", e["ann_macs"], e["convention_ann_uJ"], "plain", "convention")]
    if e["ann_adds"]:
        found[0] = ("no spikes, residuals added", *found[0][1:])
    if "convention_uJ" in e:
        first = e["first_layer_macs"]
        found += [
            (name, f"{number(first)} MACs, ACs" if first else "ACs", e[acs], e[uj], "accent", "convention")
            for name, acs, uj in (
                ("spiking, a burst one AC", "acs", "convention_uJ"),
                ("spiking, every spike one AC", "spike_acs", "convention_spikes_uJ"),
            )
        ]
    if "hardware_estimated_uJ" in e:
        found += [
            ("this core: memories", "words, by width", None, e["memory_estimated_uJ"], "accent", "estimated"),
            ("this core: arithmetic", "multiplications and additions", e["multiplications"] + e["additions"],
             e["arithmetic_estimated_uJ"], "accent", "estimated"),
        ]
    return [dict(zip(("name", "what", "count", "uj", "bar", "kind"), row)) for row in found]


def provenance(report):
    """Return [(name, value)] of where the numbers come from, in short; the JSON has all of it."""
    p, origin = report["provenance"], report["network"]["provenance"]
    found = [("network", p["network"]), ("build id", p["build_id"])]
    if p["data"]:
        data = p["data"]
        found.append(("images", f"{data['file']}, the first {number(data['images'])} of {number(data['of'])}, "
                                f"SHA-256 {data['sha256']}"))
    found += [(name.replace("_", " "), _brief(value)) for name, value in origin.items() if name != ACTIVITY]
    found += [(name.replace("_", " "), _brief(p[name])) for name in ("generated_with", "tools", "reported_with")
              if p[name]]
    return [(name, value) for name, value in found if value]


def _brief(value):
    """Return a value in short: of long lists of numbers the range."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_brief(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        if len(value) > 4 and all(isinstance(item, int | float) for item in value):
            return f"{_brief(min(value))} to {_brief(max(value))}"
        return ", ".join(map(_brief, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
