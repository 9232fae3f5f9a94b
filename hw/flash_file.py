"""What lies in a board's flash for a core that begins empty: a header, then the frames that a host would send.

The header is `FLASH_MAGIC` and the build id of the design, lowest byte first. The frames are LOADs of the whole load
stream and a COMMIT (`hw.regmap`), each without a flag before it. None of this needs Amaranth.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hw.identity import BUILD_WORDS
from hw.regmap import COMMIT, POSITION, Command, encode

__all__ = ["flash_file", "flash_header"]

FLASH_MAGIC = b"ADAF"
WORD_BYTES = 4


def flash_header(manifest: Mapping[str, Any]) -> bytes:
    """Return what the design of a ``manifest`` wants to find first."""
    return FLASH_MAGIC + int(manifest["build_id"], 16).to_bytes(WORD_BYTES * BUILD_WORDS, "little")


def flash_file(manifest: Mapping[str, Any], image: bytes, max_payload: int) -> bytes:
    """Return the bytes for the flash.

    Parameters
    ----------
    manifest : dict
        Of the generated folder.
    image : bytes
        Its load stream (`gen.generated.GeneratedFolder.image`).
    max_payload : int
        Of the link's requests.
    """
    frames = (encode(command, 0, payload)[1:] for command, payload in _requests(manifest, image, max_payload))
    return b"".join((flash_header(manifest), *frames))


def _requests(manifest, image, max_payload) -> Iterator[tuple[Command, bytes]]:
    step, described = (max_payload - POSITION.size) // WORD_BYTES, manifest["input"]
    for position in range(0, len(image) // WORD_BYTES, step):
        piece = image[WORD_BYTES * position : WORD_BYTES * (position + step)]
        yield Command.LOAD, POSITION.pack(position) + piece
    yield Command.COMMIT, COMMIT.pack(
        len(image) // WORD_BYTES, manifest["network_id"], described["values"], described["lowest"], described["bytes"]
    )
