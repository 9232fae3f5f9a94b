"""What a report says without any image: core, network, memories, resources, timing, and where it comes from."""

import hashlib
import json
import platform
import shlex
from importlib.metadata import version
from pathlib import Path

from gen.errors import InputError
from gen.generated import GeneratedFolder
from gen.manifest import MANIFEST
from gen.plan.estimate import expected_cycles
from gen.plan.memories import OUTSIDE, SINGLE_PORT, MemorySpec
from gen.plan.plan import core_room, make_plan
from gen.plan.resources import SOFTMAX_TABLE, queue_specs, single_port_blocks
from gen.plan.strips import NO_STRIPS
from gen.plan.target import find_target
from host.bounds import describe_bounds
from host.report.layers import described
from hw.emit import PARETO

__all__ = ["BUILD", "describe_memories", "facts"]

BUILD = Path("build") / "report.json"
UNITS = {"lut": "LUT", "ff": "flip-flop", "bram": "block RAM", "spram": "SPRAM", "dsp": "multiplier"}


def facts(folder, plan):
    """Return the parts of a report that need no images, as a dict of plain values.

    Parameters
    ----------
    folder : path, made by `hw.emit.generate`
    plan : gen.plan.plan.Plan of the network in it (`sim.bench.folder.read_folder`)

    Raises
    ------
    InputError : build/report.json is there and no report of `adafire build`.
    """
    folder = Path(folder)
    manifest = GeneratedFolder.open(folder).manifest
    target, network, params = find_target(manifest["board"]), plan.network, plan.params
    built, estimate = _built(folder, manifest), expected_cycles(plan, pace=target.pace)
    return {
        "core": {
            "name": folder.resolve().name, "board": target.name, "title": target.title, "device": target.device,
            "lanes": params.lanes, "neurons": params.neurons, "batch": params.batch,
            "strips": params.strip_form or NO_STRIPS,
            "board_clock_mhz": target.clock_mhz, "router": target.flow.name, "parameters": manifest["parameters"],
        },
        "network": described(network),
        "memories": describe_memories(plan, target),
        "block": {"name": target.bram.name, "bits": target.bram.bits, "board": target.bram_blocks},
        "resources": _resources(manifest, params, target, built),
        "built": built and {
            "kind": str(built.get("kind", "post-route")),
            "of": "the core alone" if built.get("core_only", True) else f"the whole {target.title} design",
            "file": built.get("bitstream") or built.get("project"),
        },
        "timing": _timing(built),
        "estimated_cycles": {"mean_image": round(estimate.cycles), "basis": estimate.basis},
        "bounds": describe_bounds(plan, target) if params.outside else [],
        "choices": _choices(folder),
        "provenance": _provenance(folder, manifest, built),
    }


def _built(folder, manifest):
    """Return the report of `adafire build`, or None where it has not run."""
    file = folder / BUILD
    if not file.exists():
        return None
    try:
        built = json.loads(file.read_text())
        for name in ("lut", "ff", "bram", "dsp", "clock_mhz", "fmax_mhz"):
            if name == "fmax_mhz" and built[name] is None:  # the vendor's tool has yet to route it
                continue
            if not isinstance(built[name], int | float) or built[name] < (name in ("clock_mhz", "fmax_mhz")):
                raise ValueError(f"{name} is {built[name]!r}")
        same = built["board"] == manifest["board"] and built["lanes"] == manifest["lanes"]
        str(built["critical_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is not what `adafire build` writes ({type(error).__name__}: {error}): build again, or remove "
            f"the folder {file.parent} to report without its figures."
        ) from error
    if not same:
        again = shlex.join(["adafire", "build", str(folder)])
        raise InputError(
            f"{file} is of another core ({built['board']}, {built['lanes']} lanes; this one is "
            f"{manifest['board']}, {manifest['lanes']} lanes): build again with `{again}`."
        )
    return built


def describe_memories(plan, target):
    """Return one dict per memory: size, what it is made of by estimate, and the words that this network uses.

    What every group or neuron has is one entry, of all of them.
    """
    params, memories = plan.params, {}
    size = {name: getattr(params, name) for name in ("width", "groups", "neurons", "spram")}
    alone = make_plan(
        plan.network, **size, room=core_room(params), strips=params.strip_form, batch=params.batch,
        unfused=params.unfused, shared=bool(params.shared))
    # Parts of words, and values of outputs in every group, may be there for another network.
    needed = {(spec.role, spec.owner or 0): spec.depth for spec in alone.memories.values()}
    for spec in plan.memories.values():
        used = min(spec.depth, needed.get((spec.role, spec.owner or 0), 0))
        _add(memories, spec.role, target, spec, used)
    if params.softmax:
        width, words = SOFTMAX_TABLE
        _add(memories, "exponentials", target, MemorySpec("exponentials", width, words), words)
    for _ in range(params.groups):
        for spec in queue_specs(params):
            _add(memories, spec.role, target, spec, spec.depth)
    return list(memories.values())


def _add(memories, name, target, spec, used):
    """Add a memory to the entry ``name`` of ``memories``."""
    of = {SINGLE_PORT: "SPRAM", OUTSIDE: target.dram.name if target.dram else "outside"}.get(
        spec.kind, "LUTs" if spec.small and target.family != "ice40" else "block RAM")
    entry = memories.setdefault(name, {
        "name": name, "width": spec.width, "words": 0, "bits": 0, "of": of, "used_words": 0, "blocks": 0,
    })
    if not spec.part:
        entry["words"] += spec.depth
        entry["used_words"] += used
    elif not spec.owner:
        entry["width"] += spec.width
    entry["bits"] += spec.bits
    entry["blocks"] += spec.blocks(target.bram) if of == "block RAM" else 0


def _choices(folder):
    """Return what `generate` has noted of cores with other numbers of lanes (`gen.plan.choice.pareto_rows`).

    Before there were whole windows it noted ``true`` of strips of a row.
    """
    file = folder / PARETO
    rows = json.loads(file.read_text()) if file.exists() else []
    return [row | {"strips": "rows"} if row.get("strips") is True else row for row in rows]


def _resources(manifest, params, target, built):
    used, budget = dict(manifest["resources"]), dict(manifest["budget"])
    if target.spram_blocks:
        used["spram"], budget["spram"] = single_port_blocks(params), target.spram_blocks
    return [
        {
            "name": name, "unit": UNITS.get(name, name), "estimated": used.get(name),
            "built": built.get(name) if built else None, "board": have,
        }
        for name, have in budget.items()
    ]


def _timing(built):
    """Return the routed clock in MHz and ns, or None where nothing has been routed."""
    if not built or built["fmax_mhz"] is None:
        return None
    clock, fmax = built["clock_mhz"], built["fmax_mhz"]
    return {
        "fmax_mhz": fmax, "clock_mhz": clock,
        "slack_ns": built.get("slack_ns", round(1000 / clock - 1000 / fmax, 3)),
        "critical_path": str(built["critical_path"]), "seed": built.get("seed"),
    }


def _provenance(folder, manifest, built):
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    return {
        "build_id": manifest.get("build_id"), "network": manifest["network"],
        "files": manifest["hashes"] | {MANIFEST: digest},
        "generated_with": manifest["versions"],
        "reported_with": {"adafire": version("adafire"), "python": platform.python_version()},
        "tools": built["tools"] if built else {},
    }
