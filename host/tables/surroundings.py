"""Tables of what is at hand: data sets, boards, tools."""

from rich.markup import escape

from host.tables.cells import columns, number, times

__all__ = ["boards", "datasets", "doctor"]


def datasets(payload):
    """Yield the data sets known by name, where they are, then how to use others."""
    yield columns(
        None, ("name", "also", "what", "where"), ("train", "test", "image", "classes", "MB"),
        [
            (
                known["name"], ", ".join(known["aliases"]), known["title"], known["where"],
                *(f"{count:,}" for count in known["images"].values()), times(known["shape"]), known["classes"],
                number(known["bytes"] and known["bytes"] / 1e6, 1) or "",
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
    yield columns(
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
    yield "Weights and maps that the part has no room for can lie in the board's memory: " + ", ".join(
        f"{board['board']} {board['dram_mb']} MB" for board in payload["boards"] if board["dram_mb"]
    ) + "."
    yield "Then the core is loaded at power-up from the flash of " + ", ".join(
        board["board"] for board in payload["boards"] if board["flash_mb"]
    ) + " (`adafire build` writes the file, and says how it gets there), and by the host elsewhere."


def doctor(payload):
    """Yield what was found and, for what is missing, how to install it."""
    yield columns(None, ("tool", "version", "needed for"), (), [
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
