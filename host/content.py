"""What a generated folder says of its board, and what the memories of that board hold: needs numpy only."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from gen.errors import InputError
from gen.inputs import input_stream
from gen.layers import Source
from gen.manifest import MANIFEST
from gen.manifest import read_manifest as manifest_of

__all__ = ["Content", "content_of", "read_content", "read_manifest"]

IMAGE = "image.bin"
NETWORK = "network.safetensors"
_NEEDED = (
    "build_id", "network_id", "parameters", "lanes", "classes", "input", "baud", "estimated_cycles_per_image",
)
_AT_ONCE = 1024  # images turned into bytes at a time


@dataclass(frozen=True, eq=False)
class Content:
    """One network as a board holds it.

    identity : the register NETWORK
    classes : logits of one result
    input : ``manifest.json``'s ``input``
    cycles : clock cycles of one image, estimated, all timesteps
    folder : the generated folder that holds the load stream and the network; None if ``made`` does
    made : (network, load stream), or None
    digest : SHA-256 of the load stream's file, where the folder's manifest says it
    """

    identity: int
    classes: int
    input: dict
    cycles: int
    folder: Path | None = None
    made: tuple | None = None
    digest: str | None = None

    @cached_property
    def network(self):
        """The `IntegerNetwork`; reading it from a folder needs safetensors."""
        if self.made:
            return self.made[0]
        from gen.netfile import load_network

        assert self.folder is not None  # one of both is there
        return load_network(self.folder / NETWORK)

    @cached_property
    def stream(self):
        """The bytes of the load stream."""
        if self.made:
            return self.made[1]
        stream = _read(self.folder, IMAGE)
        if self.digest and hashlib.sha256(stream).hexdigest() != self.digest:
            raise InputError(f"{self.folder}/{IMAGE} was altered or damaged since: generate the folder again.")
        return stream

    def registers(self):
        """Return what the registers hold while this is in the memories."""
        described = self.input
        return {
            "NETWORK": self.identity, "INPUT_SIZE": described["values"],
            "INPUT_LOW": described["lowest"], "INPUT_BYTES": described["bytes"],
        }

    def encode(self, x):
        """Return images as they travel, uint8 [N, bytes]: maps in raster order, channels innermost.

        Raises `InputError` for images that are not the network's.
        """
        described = self.input
        source = Source(
            *(described[name] for name in ("shape", "kind", "low", "high")), offset=np.array(described["offset"])
        )
        view = SimpleNamespace(source=source, frames=described["timesteps"])
        kind = np.uint8 if described["bytes"] == 1 else np.dtype("<u2")
        x = np.atleast_1d(x)

        def encoded(images):
            return (input_stream(view, images) - described["lowest"]).astype(kind).view(np.uint8)

        starts = range(0, max(len(x), 1), _AT_ONCE)
        return np.concatenate([encoded(x[start : start + _AT_ONCE]) for start in starts])


def read_manifest(folder):
    """Return (manifest, `Content`) of a folder that `adafire generate` made; `InputError` if it is none."""
    folder = Path(folder)
    manifest = manifest_of(folder)
    missing = [name for name in _NEEDED if name not in manifest]
    if missing:
        raise InputError(
            f"{folder / MANIFEST} does not say {', '.join(missing)}: an older adafire wrote it; generate the "
            "folder again, and the bitstream from it."
        )
    network, classes, described = manifest["network_id"], manifest["classes"], manifest["input"]
    cycles, digest = manifest["estimated_cycles_per_image"], manifest.get("hashes", {}).get(IMAGE)
    return manifest, Content(network, classes, described, cycles, folder, digest=digest)


def content_of(network, parameters):
    """Lay another network out for the core of a board.

    Parameters
    ----------
    network : IntegerNetwork, the path of a network file or of a generated folder, or a `Content`
    parameters : dict
        ``parameters`` of the board's manifest. A folder of just these needs no safetensors.

    Raises
    ------
    DoesNotFit : says what is short.
    InputError : no network there.
    """
    if isinstance(network, Content):
        return network
    if isinstance(network, str | Path):
        path = Path(network)
        if path.is_dir():
            manifest, content = read_manifest(path)
            if manifest["parameters"] == parameters:
                return content
            path = path / NETWORK
        from gen.netfile import load_network

        network = load_network(path)
    from gen.layout.estimate import estimate_cycles
    from gen.layout.image import load_stream, memory_image
    from gen.layout.program import CoreParams
    from gen.layout.schedule import schedule_on
    from hw.identity import describe_input, network_id

    schedule = schedule_on(network, CoreParams(**parameters))
    stream = load_stream(memory_image(schedule), schedule.params).astype("<u4").tobytes()
    return Content(
        network_id(network), network.classes, describe_input(network), estimate_cycles(schedule),
        made=(network, stream),
    )


def read_content(folder, network=None):
    """Return the `Content` of a generated folder, or that of another ``network`` for its core (`content_of`)."""
    manifest, content = read_manifest(folder)
    return content if network is None else content_of(network, manifest["parameters"])


def _read(folder, name):
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise InputError(
            f"{folder} is not a folder made by `adafire generate`: {name} cannot be read ({error.strerror})."
        ) from error
