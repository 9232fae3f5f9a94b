"""Tables of integer networks, and of what is written of them."""

from gen.task import DETECT, VALUES
from host.describe import bursts
from host.tables.cells import columns, kilobits, number, pairs, percent, span, times

__all__ = ["cascade", "exported", "network"]

LABELS = 12  # shown at most
LONG = ("searches", "activity")  # of the provenance, that `--json` shows


def network(payload):
    """Yield the layers of a network, stage by stage, then its totals and where it comes from."""
    for index, stage in enumerate(payload.get("stages", [payload])):
        layers = [layer for layer in payload["layers"] if layer.get("stage", 0) == index]
        title = f"Network {payload['network']}"
        if "stages" in payload:
            title += f", stage {index + 1}: {stage['timesteps']} timesteps, exit rule {stage['exit']}"
        yield _layers(title, layers)
    numbers = payload["task"]["kind"] in (DETECT, VALUES) and payload["exit"] == "off"  # of which none decides
    yield pairs(None, [
        ("input", f"{times(payload['input']['shape'])}, {payload['input']['kind']}, "
                  f"values {span(payload['input']['range'])}"),
        ("classes", payload["classes"]),
        *_task(payload["task"]),
        *((f"output {output['name']}", times(output["shape"]) + ", decides" * (output["decides"] and not numbers))
          for output in payload["outputs"] if len(payload["outputs"]) > 1),
        ("neuron", payload["neuron"].replace("_", "-")),
        ("timesteps", payload["timesteps"]),
        ("exit rule", payload["exit"]),
        ("order", payload["order"]),
        ("weights", f"{payload['weights']:,} in {kilobits(payload['weight_memory_bits'])} as stored"),
        ("state", kilobits(payload["state_memory_bits"])),
        ("hash", payload["hash"]),
        *((f"from: {name}", _brief(value)) for name, value in payload["provenance"].items() if name not in LONG),
        *((f"chosen: {name}", _chosen(front)) for name, front in payload["provenance"].get("searches", {}).items()),
        ("seconds", number(payload.get("seconds"), 1)),
    ])
    for board in payload.get("boards", ()):
        yield _bounds(board)


def _bounds(board):
    """Return what bounds each layer on a board, or why none of its cores fits."""
    if not board["fits"]:
        return pairs(board["title"], [("does not fit", board["why"])])
    stages = max(layer["stage"] for layer in board["layers"]) > 0
    moved = f", {board['bytes_moved'] / 2**20:,.2f} MB moved an image" if board["bytes_moved"] else ""
    title = (
        f"{board['title']}, {board['lanes']} lanes: {number(board['estimated_cycles_per_image'])} cycles an image, "
        f"{number(board['estimated_fps'], 1)} images a second at {board['clock_mhz']:g} MHz{moved} (all estimated)"
    )
    costs = ("lanes", "weights", "maps", "states")
    return columns(title, ("layer", "bound by"), (*(f"{name}, cycles" for name in costs), "MB moved"), [
        (
            f"stage {layer['stage'] + 1}, {layer['layer']}" if stages else layer["layer"], layer["bound"],
            *(number(layer[f"{name}_cycles"]) for name in costs), number(4 * layer["words_moved"] / 2**20, 2),
        )
        for layer in board["layers"]
    ])


def cascade(payload):
    """Yield the network, then what its fit found on the calibration images."""
    yield from network(payload)
    fit = payload["fit"]
    yield pairs("The first stage on the calibration images", [
        ("images", f"{fit['images']:,}"),
        ("believed", percent(fit["believed"])),
        (f"points lost against the second, by {fit['measured_against']}", number(fit["lost_points"], 2)),
        ("points allowed", number(fit["exit_loss"], 2)),
    ])


def _layers(title, layers):
    return columns(
        title,
        ("layer", "kind", "reads"),
        ("map", "kernel", "weights", "bits", "burst", "theta", "state"),
        [
            (
                layer["name"], layer["kind"], ", ".join(layer["reads"]), times(layer["shape"]), _kernels(layer),
                layer["weights"] or "", span(layer["weight_bits"]) if "weight_bits" in layer else "",
                bursts(layer), span(layer["theta"]) if "theta" in layer else "", layer.get("state_bits", ""),
            )
            for layer in layers
        ],
    )


def _task(task):
    """Return what the outputs mean: the labels in short, the decoder with its outputs and options."""
    labels, decoder = task.get("labels", ()), task.get("decoder")
    shown = ", ".join(labels[:LABELS]) + (f", ... ({len(labels)})" if len(labels) > LABELS else "")
    rows = [("task", task["kind"]), ("labels", shown or None)]
    if decoder:
        rows += [("decoder", decoder["name"])]
        rows += [(f"  {role}", _brief(names)) for role, names in decoder["outputs"].items()]
        rows += [(f"  {name}", str(value)) for name, value in decoder["options"].items()]
    return [*rows, *((f"pictures: {name}", task[name]) for name in ("fit", "colors") if name in task)]


def _brief(value):
    """Return a value of the provenance in short: of long lists of numbers the range; `--json` shows all."""
    if isinstance(value, dict):
        brief = {name: f"({_brief(item)})" if isinstance(item, dict) else _brief(item) for name, item in value.items()}
        return ", ".join(f"{name}={text}" for name, text in brief.items()) or "none"
    if isinstance(value, list):
        numbers = len(value) > 4 and all(isinstance(item, int | float) for item in value)
        ends = (min(value), max(value)) if numbers else value
        return (".." if numbers else ", ").join(map(_brief, ends)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


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
        return ", ".join(times(synapse["kernel"]) for synapse in layer["synapses"])
    return times(layer["kernel"])


def exported(payload):
    """Yield what the graph consists of."""
    yield pairs(f"Written to {payload['out']}", [
        *((kind, count) for kind, count in payload["nodes"].items()), ("edges", payload["edges"]),
        ("in the metadata", ", ".join(payload["metadata"])), ("left out", ", ".join(payload["left_out"]) or None),
    ])
