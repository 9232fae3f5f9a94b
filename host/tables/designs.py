"""Tables of hardware: what was generated and built, and the report about it."""

from host.tables.cells import columns, kilobits, number, pairs, percent

__all__ = ["build", "generated", "report"]


def generated(payload):
    """Yield where the files are, and the estimates beside the board's budget."""
    yield pairs(f"Generated in {payload['out']}", [
        ("lanes", payload["lanes"]), ("neurons of each group of lanes", payload["parameters"]["neurons"]),
        ("memory", kilobits(payload["memory_bits"])),
        ("of it weights, as stored", _weights(payload["memories"])),
        ("in the board's memory, fetched as it is needed", _outside(payload["memories"])),
        ("images run together", payload["input"].get("images")),
        (f"cycles per image ({payload['kinds']['estimated_cycles_per_image']})",
         number(payload["estimated_cycles_per_image"])),
        (f"images a second ({payload['kinds']['estimated_fps']})", number(payload["estimated_fps"])),
        ("fits", "yes" if payload["fits"] else "no"),
        ("files", _files(payload["files"])),
    ])
    used, budget = payload.get("resources", {}), payload.get("budget", {})
    yield columns("Resources (estimated)", ("kind",), ("used", "board has", "share"), [
        (kind, f"{count:,}", f"{budget[kind]:,}", f"{100 * count / budget[kind]:.0f} %")
        for kind, count in used.items() if budget.get(kind)
    ])


def _weights(memories):
    groups = [memory for name, memory in memories.items() if name.startswith("weights_")]
    each = f"{groups[0]['words']:,} words of {groups[0]['width']:,} bits"
    return each if len(groups) == 1 else f"{each} in each of {len(groups)} groups"


def _outside(memories):
    return f"{memories['outside']['words'] * 4 / 2**20:,.2f} MB" if "outside" in memories else None


def _files(names):
    contents = [name for name in names if str(name).endswith(".hex")]
    return ", ".join([*(str(name) for name in names if name not in contents), f"{len(contents)} .hex files"])


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
        *_memory_pins(payload), ("bitstream", payload["bitstream"]), ("project", payload.get("project")),
        ("load it", payload["program"]), *_flash(payload),
        ("UART", None if payload["core_only"] else payload["uart"] or None),
        ("seconds", f"{number(payload['seconds'], 1)} " + ", ".join(
            f"{step} {seconds:.1f}" for step, seconds in payload["step_seconds"].items()
        ).join("()")),
        *payload["tools"].items(),
    ]
    yield pairs(f"{what} on {payload['board']}, {payload['kind']}", rows)


def _memory_pins(payload):
    """Return the row about the SDRAM's pins."""
    if "sdram" not in payload:
        return []
    pins, least = payload["sdram"], min(payload["sdram"]["margins_ns"].values())
    return [("the SDRAM's pins", f"registers in {payload['io']} I/O cells, clock {pins['phase_degrees']:g} degrees "
                                 f"late, {least:.2f} ns to spare at worst")]


def _flash(payload):
    """Return the rows about what loads the core at power-up."""
    if "flash" not in payload:
        return []
    if payload["flash"] is None:
        size, room = payload["flash_bytes"], payload["flash_room"]
        return [("flash", f"no room: {size:,} bytes where {room:,} are free, so the host loads the network")]
    return [("flash", f"{payload['flash']}: the network, loaded at power-up"), ("keep both there", payload["store"])]


def report(payload):
    """Yield where the report is, and its main figures."""
    simulated = payload["simulated_images"]
    yield pairs("Report", [
        ("page", payload["report"]),
        ("the same in JSON", payload["json"]),
        ("images", payload["images"] or "none: --data D adds accuracy, exits, events, cycles and spikes"),
        ("accuracy, early exit (golden)", percent(payload["accuracy"])),
        ("mean timesteps (golden)", number(payload["mean_timesteps"], 3)),
        (f"cycles per image (simulated, {simulated} images)", number(payload["cycles_per_image"])),
        (f"lane utilization (simulated, {simulated} images)", percent(payload["lane_utilization"])),
        ("seconds", number(payload["seconds"], 1)),
    ])
