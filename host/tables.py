"""Payloads as a person reads them: each function takes a verb's payload and yields rich renderables."""

from rich.bar import Bar
from rich.markup import escape
from rich.table import Table

from host.describe import bursts

__all__ = [
    "boards", "build", "datasets", "demo", "doctor", "evaluation", "exported", "generated", "network", "report", "run",
    "verification",
]

BAR = 24  # characters


def _pairs(title, rows):
    """Return a table of names and values; rows whose value is None are left out."""
    table = Table(title=title, title_justify="left", show_header=False, min_width=50)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            table.add_row(name, escape(str(value)))
    return table


def _columns(title, left, right, rows):
    """Return a table whose ``left`` columns hold words and whose ``right`` columns hold numbers."""
    table = Table(title=title, title_justify="left")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    return table


def _percent(fraction):
    return None if fraction is None else f"{100 * fraction:.2f} %"


def _number(value, digits=0):
    return None if value is None else f"{value:,.{digits}f}"


def _times(pair):
    return " x ".join(str(value) for value in pair)


def _span(pair):
    low, high = pair
    return str(low) if low == high else f"{low}..{high}"


def _kilobits(bits):
    return f"{bits / 1024:,.1f} Kibit"


def network(payload):
    """Yield the layers of a network, then its totals and where it comes from."""
    yield _columns(
        f"Network {payload['network']}",
        ("layer", "kind", "reads"),
        ("map", "kernel", "weights", "bits", "burst", "theta", "state"),
        [
            (
                layer["name"], layer["kind"], ", ".join(layer["reads"]), _times(layer["shape"]), _kernels(layer),
                layer["weights"] or "", _span(layer["weight_bits"]) if "weight_bits" in layer else "",
                bursts(layer), _span(layer["theta"]) if "theta" in layer else "", layer.get("state_bits", ""),
            )
            for layer in payload["layers"]
        ],
    )
    yield _pairs(None, [
        ("input", f"{_times(payload['input']['shape'])}, {payload['input']['kind']}, "
                  f"values {_span(payload['input']['range'])}"),
        ("classes", payload["classes"]),
        ("neuron", payload["neuron"].replace("_", "-")),
        ("timesteps", payload["timesteps"]),
        ("exit rule", payload["exit"]),
        ("weights", f"{payload['weights']:,} in {_kilobits(payload['weight_memory_bits'])} as stored"),
        ("state", _kilobits(payload["state_memory_bits"])),
        ("hash", payload["hash"]),
        *((f"from: {name}", _brief(value)) for name, value in payload["provenance"].items() if name != "searches"),
        *((f"chosen: {name}", _chosen(front)) for name, front in payload["provenance"].get("searches", {}).items()),
        ("seconds", _number(payload.get("seconds"), 1)),
    ])


def _brief(value):
    """Return a value of the provenance in short: of long lists of numbers the range; `--json` shows all."""
    if isinstance(value, dict):
        brief = {name: f"({_brief(item)})" if isinstance(item, dict) else _brief(item) for name, item in value.items()}
        return ", ".join(f"{name}={text}" for name, text in brief.items()) or "none"
    if isinstance(value, list):
        numbers = len(value) > 4 and all(isinstance(item, int | float) for item in value)
        return f"{min(value)}..{max(value)}" if numbers else ", ".join(_brief(item) for item in value) or "none"
    return str(value)


def _chosen(searched):
    """Return what a search chose for each layer, and what that does to the cost as the search measured it."""
    choice = ", ".join(
        f"{name}={' / '.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        for name, value in searched["choice"].items()
    )
    cost, _ = searched["front"][searched["taken"]]
    return f"{searched['search']}: {choice}. {searched['reference_cost']:,.0f} -> {cost:,.0f} {searched['unit']}"


def _kernels(layer):
    if "synapses" in layer:
        return ", ".join(_times(synapse["kernel"]) for synapse in layer["synapses"])
    return _times(layer["kernel"])


def exported(payload):
    """Yield what the graph consists of."""
    yield _pairs(f"Written to {payload['out']}", [
        *((kind, count) for kind, count in payload["nodes"].items()), ("edges", payload["edges"]),
    ])


def evaluation(payload):
    """Yield what `evaluate` measured."""
    yield _pairs(f"On {payload['device']}", [
        *_measured(payload), ("seconds", _number(payload["seconds"], 1)), ("page of the exits", payload.get("page")),
    ])
    yield _exits(payload)
    yield from _memory_words(payload)


def run(payload):
    """Yield what `run` measured on a board; a simulated one counts cycles as well, its seconds mean nothing."""
    yield _pairs("On a board", [
        ("port", payload["port"]),
        *_measured(payload, "simulated" if payload["port"] == "sim" else "measured"),
        ("seconds", _number(payload["seconds"], 2)),
        ("images per second, link included", _number(payload["images_per_second"], 1)),
        ("times that work was taken up again", payload["retries"]),
    ])
    yield _exits(payload)
    yield from _memory_words(payload)


def _measured(payload, kind="simulated"):
    return [
        ("images", payload["images"]),
        ("accuracy", _percent(payload["accuracy"]) or "unknown: there are no labels"),
        ("mean timesteps", _number(payload["mean_timesteps"], 3)),
        ("events per image", _number(payload["events_per_image"])),
        ("synaptic operations per image", _number(payload["synaptic_ops_per_image"])),
        (f"cycles per image ({kind})", _number(payload.get("cycles_per_image"))),
        (f"lane utilization ({kind})", _percent(payload.get("lane_utilization"))),
        *_energy(payload["energy"]),
    ]


def _energy(energy):
    """Return the rows of the energy of a mean image, each named for what it is; no power is measured."""
    rows = [
        (f"energy, {what}", f"{energy[name]:.3g} uJ") for name, what in {
            "convention_ann_uJ": "convention: without spikes, in MACs",
            "convention_uJ": "convention: a burst is one AC",
            "convention_spikes_uJ": "convention: every spike is one AC",
            "hardware_estimated_uJ": "estimated from counters",
        }.items() if name in energy
    ]
    if "memory_words" in energy:
        rows[-1] = (rows[-1][0], f"{rows[-1][1]} (memory {energy['memory_estimated_uJ']:.3g})")
    return rows


def _memory_words(payload):
    """Yield the words that the memories of a core moved."""
    words = payload["energy"].get("memory_words")
    if words:
        yield _columns("Memory words per image", ("memory",), ("read", "written"), [
            (name, _number(read), _number(written)) for name, (read, written) in words.items()
        ])


def _exits(payload):
    """Return how many images stop after each timestep, as bars, and how many of these are right."""
    counts = payload["exit_histogram"]
    right = payload["exit_accuracy"]
    table = Table(title="Where images stop", title_justify="left", min_width=50)
    for name in ("timestep", "images", "share"):
        table.add_column(name, justify="right")
    table.add_column("", min_width=BAR, max_width=BAR)
    if right:
        table.add_column("right", justify="right")
    for t, count in enumerate(counts):
        share = count / payload["images"]
        cells = str(t + 1), f"{count:,}", _percent(share), Bar(1, 0, share, width=BAR)
        table.add_row(*cells, *([_percent(right[t]) or ""] if right else []))
    return table


def generated(payload):
    """Yield where the files are, and the estimates beside the board's budget."""
    yield _pairs(f"Generated in {payload['out']}", [
        ("lanes", payload["lanes"]),
        ("memory", _kilobits(payload["memory_bits"])),
        ("of it weights, as stored", "{words:,} words of {width:,} bits".format(**payload["memories"]["weights"])),
        (f"cycles per image ({payload['kinds']['estimated_cycles_per_image']})",
         _number(payload["estimated_cycles_per_image"])),
        ("fits", "yes" if payload["fits"] else "no"),
        ("files", ", ".join(str(file) for file in payload["files"])),
    ])
    used, budget = payload.get("resources", {}), payload.get("budget", {})
    yield _columns("Resources (estimated)", ("kind",), ("used", "board has", "share"), [
        (kind, f"{count:,}", f"{budget[kind]:,}", f"{100 * count / budget[kind]:.0f} %")
        for kind, count in used.items() if budget.get(kind)
    ])


def verification(payload):
    """Yield what was compared, and the first difference if there is one."""
    yield _pairs(f"Verilog against golden model, {payload['simulator']}", _verification_rows(payload))
    if payload.get("first_difference"):
        yield f"First difference: {escape(str(payload['first_difference']))}"
    if payload.get("save_file"):
        yield f"Look at the waves: gtkwave {escape(payload['save_file'])}"


def _verification_rows(payload):
    compared = payload["compared"]
    return [
        ("images", payload["images"]),
        ("values compared", f"{sum(compared.values()):,} (" + ", ".join(
            f"{count:,} {kind}" for kind, count in compared.items()) + ")"),
        ("mismatches", payload["mismatches"]),
        ("cycles per image without pauses (simulated)", _number(payload["cycles_per_image"])),
        ("lane utilization of these (simulated)", _percent(payload["lane_utilization"])),
        ("seconds", _number(payload.get("seconds"), 1)),
    ]


def build(payload):
    """Yield the figures of a build, and what to do with its bitstream or project."""
    what = "The core alone" if payload["core_only"] else "The design"
    asked, clock = payload["asked_mhz"], payload["clock_mhz"]
    rows = [("lanes", payload["lanes"])]
    rows += [
        (kind, f"{payload[kind]:,} ({100 * share:.1f} %)") for kind, share in payload["shares"].items()
        if payload[kind] or kind != "spram"
    ]
    if payload["fmax_mhz"]:
        rows += [
            ("highest clock", f"{payload['fmax_mhz']:.1f} MHz, slack {payload['slack_ns']:.2f} ns"),
            ("critical path", payload["critical_path"]),
        ]
    rows += [
        ("clock", f"{clock:g} MHz" + (f": {asked:g} MHz were asked for" if abs(asked - clock) > 0.01 else "")),
        ("bitstream", payload["bitstream"]), ("project", payload.get("project")),
        ("load it", payload["program"]), ("UART", None if payload["core_only"] else payload["uart"] or None),
        ("seconds", f"{_number(payload['seconds'], 1)} " + ", ".join(
            f"{step} {seconds:.1f}" for step, seconds in payload["step_seconds"].items()
        ).join("()")),
        *payload["tools"].items(),
    ]
    yield _pairs(f"{what} on {payload['board']}, {payload['kind']}", rows)


def report(payload):
    """Yield where the report is, and its main figures."""
    simulated = payload["simulated_images"]
    yield _pairs("Report", [
        ("page", payload["report"]),
        ("the same in JSON", payload["json"]),
        ("images", payload["images"] or "none: --data D adds accuracy, exits, events, cycles and spikes"),
        ("accuracy, early exit (golden)", _percent(payload["accuracy"])),
        ("mean timesteps (golden)", _number(payload["mean_timesteps"], 3)),
        (f"cycles per image (simulated, {simulated} images)", _number(payload["cycles_per_image"])),
        (f"lane utilization (simulated, {simulated} images)", _percent(payload["lane_utilization"])),
        ("seconds", _number(payload["seconds"], 1)),
    ])


def datasets(payload):
    """Yield the data sets known by name, where they are, then how to use others."""
    yield _columns(
        None, ("name", "also", "what", "where"), ("train", "test", "image", "classes", "MB"),
        [
            (
                known["name"], ", ".join(known["aliases"]), known["title"], known["where"],
                *(f"{count:,}" for count in known["images"].values()), _times(known["shape"]), known["classes"],
                _number(known["bytes"] and known["bytes"] / 1e6, 1) or "",
            )
            for known in payload["datasets"]
        ],
    )
    for known in payload["datasets"]:
        if known["path"]:
            yield escape(f"{known['name']}: {known['path']}")
    yield (
        "What is neither local nor in the cache is downloaded when it is used. "
        "--data also takes an .npz file (x, y; or x_train, y_train, x_test, y_test) and a folder (pictures in one "
        "subfolder for each class, or .npz files)."
    )


def boards(payload):
    """Yield the boards, with the tools that route for the part and whether these are free software."""
    yield _columns(
        None, ("board", "part", "router", "open"), ("LUT", "FF", "BRAM", "Kibit", "DSP", "MHz"),
        [
            (
                board["board"], board["device"], board["flow"], "yes" if board["open_flow"] else "no",
                f"{board['lut']:,}", f"{board['ff']:,}", board["bram"],
                f"{(board['bram_bits'] + board['spram_bits']) // 1024:,}", board["dsp"], board["clock_mhz"],
            )
            for board in payload["boards"]
        ],
    )
    yield (
        "A LUT has 4 inputs, 6 on Xilinx parts; Kibit counts block RAM and SPRAM; MHz is the board's oscillator. "
        "`adafire generate` serves every board; open says whether the part's tools are free software."
    )


def doctor(payload):
    """Yield what was found and, for what is missing, how to install it."""
    yield _columns(None, ("tool", "version", "needed for"), (), [
        (check["name"], check["version"] or ("MISSING" if check["required"] else "not installed"), check["purpose"])
        for check in payload["checks"]
    ])
    for check in payload["checks"]:
        if not check["version"]:
            yield escape(f"{check['name']}: {check['install']}")
    if payload["missing"]:
        yield f"Missing and needed: {', '.join(payload['missing'])}."
    else:
        yield "Everything needed is here."


def demo(payload):
    """Yield the one table of the demo, then where the files are."""
    exited, full = payload["early_exit"], payload["all_timesteps"]
    yield _pairs(f"adafire demo: digits on {payload['board']}, {payload['lanes']} lanes", [
        ("accuracy of the trained network", _percent(payload["ann_accuracy"])),
        (f"accuracy, integer, {payload['timesteps']} timesteps", _percent(full["accuracy"])),
        ("accuracy, integer, early exit", _percent(exited["accuracy"])),
        ("mean timesteps with early exit", _number(exited["mean_timesteps"], 3)),
        ("held-out images for these", exited["images"]),
        ("events per image", _number(exited["events_per_image"])),
        ("synaptic operations per image", _number(exited["synaptic_ops_per_image"])),
        ("Verilog against golden, simulator", payload["verification"]["simulator"]),
        *((f"  {name}", value) for name, value in _verification_rows(payload["verification"])),
        ("seconds in all", _number(payload["seconds"], 1)),
    ])
    yield _pairs("Files", [(what, path) for path, what in payload["files"].items()])
