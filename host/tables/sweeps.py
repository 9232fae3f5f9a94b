"""Tables of sweeps."""

from host.tables.cells import columns, number, percent

__all__ = ["sweep"]


def sweep(payload):
    """Yield one row for each combination, then where the whole table is."""
    title = f"{len(payload['rows'])} combinations, {payload['failed']} failed; all figures: {payload['table']}"
    yield columns(
        title, ("network", "setting", "board", "what failed"),
        ("lanes", "seed", "accuracy", "timesteps", "cycles", "LUT", "MHz"), [_row(row) for row in payload["rows"]],
    )


def _row(row):
    failed = (row["failed"] or "").partition("\n")[0]
    words = [row.get(name) or "" for name in ("network", "setting", "board")]
    figures = [
        row.get("lanes"), row.get("seed"), percent(row.get("accuracy")), number(row.get("mean_timesteps"), 2),
        number(row.get("cycles")), number(row.get("lut", row.get("estimated_lut"))), number(row.get("fmax_mhz"), 1),
    ]
    return [*words, failed, *("" if figure is None else figure for figure in figures)]
