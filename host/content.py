"""What a generated folder says of its board, and what the memories of that board hold: needs numpy only."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from gen.generated import NETWORK, GeneratedFolder
from gen.inputs import input_stream
from gen.layers import Source
from gen.result import form_words, result_form

__all__ = ["Content", "content_of", "read_content", "read_manifest"]

_VALUES_AT_ONCE = 2**22  # of images that are turned into bytes


@dataclass(frozen=True, eq=False)
class Content:
    """One network as a board holds it. A *run* is one image, or those that the core takes together.

    identity : the register NETWORK
    outputs : what a result holds (`gen.result.result_form`)
    digest : the register LOADED
    input : ``manifest.json``'s ``input``
    cycles : clock cycles of a run, estimated, all timesteps
    folder : the `GeneratedFolder` that holds the load stream and the network; None if ``made`` does
    made : (network, load stream), or None
    """

    identity: int
    outputs: dict
    digest: int
    input: dict
    cycles: int
    folder: GeneratedFolder | None = None
    made: tuple | None = None

    @property
    def images(self):
        """Images of a run."""
        return self.input.get("images", 1)

    @property
    def words(self):
        """Words of the result of a run."""
        return form_words(self.outputs)

    @property
    def classes(self):
        """Channels of the output that decides."""
        return self.outputs["shapes"][self.outputs["decides"]][0]

    @cached_property
    def network(self):
        """The `IntegerNetwork`; reading it from a folder needs safetensors."""
        if self.made:
            return self.made[0]
        assert self.folder is not None  # one of both is there
        return self.folder.network

    @cached_property
    def stream(self):
        """The bytes of the load stream."""
        if self.made:
            return self.made[1]
        assert self.folder is not None
        return self.folder.image

    def registers(self):
        """Return what the registers hold while this is in the memories."""
        described = self.input
        return {
            "NETWORK": self.identity, "INPUT_SIZE": described["values"],
            "INPUT_LOW": described["lowest"], "INPUT_BYTES": described["bytes"],
        }

    def encode(self, x):
        """Return images as they travel, uint8 [runs, bytes]: maps in raster order, channels innermost.

        A last run that lacks images has the last one again in their place (`gen.inputs.together`).

        Raises `InputError` for images that are not the network's.
        """
        described = self.input
        source = Source(
            *(described[name] for name in ("shape", "kind", "low", "high")), offset=np.array(described["offset"])
        )
        view = SimpleNamespace(source=source, frames=described["timesteps"])
        kind = np.uint8 if described["bytes"] == 1 else np.dtype("<u2")
        x = np.atleast_1d(x)

        def encoded(part):
            return (input_stream(view, part, self.images) - described["lowest"]).astype(kind).view(np.uint8)

        step = self.images * max(1, _VALUES_AT_ONCE // described["values"])
        return np.concatenate([encoded(x[start : start + step]) for start in range(0, max(len(x), 1), step)])


def read_manifest(folder):
    """Return (manifest, `Content`) of a folder that `adafire generate` made; `InputError` if it is none."""
    found = GeneratedFolder.open(folder)
    manifest = found.manifest
    cycles = manifest["parameters"].get("batch", 1) * manifest["estimated_cycles_per_image"]
    return manifest, Content(
        manifest["network_id"], manifest["outputs"], manifest["image_digest"], manifest["input"], cycles, found,
    )


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
    from gen.plan.estimate import expected_cycles
    from gen.plan.params import CoreParams
    from gen.plan.plan import plan_on
    from hw.identity import describe_input, network_id

    images, plan = parameters.get("batch", 1), plan_on(network, CoreParams(**parameters))
    return Content(
        network_id(network), result_form(network, images), plan.digest, describe_input(network, images),
        round(images * expected_cycles(plan).cycles), made=(network, plan.load_stream.astype("<u4").tobytes()),
    )


def read_content(folder, network=None):
    """Return the `Content` of a generated folder, or that of another ``network`` for its core (`content_of`)."""
    manifest, content = read_manifest(folder)
    return content if network is None else content_of(network, manifest["parameters"])
