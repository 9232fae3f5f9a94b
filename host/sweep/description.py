"""What a sweep is to do: a TOML file, as docs/sweep.md describes it, checked before anything is computed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gen.data import named
from gen.errors import InputError
from gen.plan.lanes import LANES
from gen.plan.target import find_target
from host.sweep.options import ELSEWHERE, check_form_of, check_options, known_options, own_decoder

__all__ = ["Source", "Sweep", "read_sweep"]

FITTING = "fit"  # the fastest core that fits, in place of a number of lanes
OURS = {"data", "calibration", "calibration_images", "limit", "boards", "lanes", "seeds", "network", "setting"}


@dataclass(frozen=True)
class Source:
    """One entry of ``[[network]]``: a trained model to convert, or a network file."""

    name: str
    path: Path
    converted: bool


@dataclass(frozen=True)
class Sweep:
    """A sweep, all names checked.

    Parameters
    ----------
    networks : what to look at
    settings : name to the options of `host.commands.converted`, which every model is converted with
    data, limit : images to evaluate with, and how many; None: nothing is evaluated, or all of them
    calibration, calibration_images : to convert with; as ``data`` the name of a data set, or a path
    boards, lanes, seeds : what to generate for; ``lanes`` None: the fastest that fits; no seeds: nothing is routed
    """

    networks: tuple[Source, ...]
    settings: dict[str, dict[str, Any]]
    data: str | None
    limit: int | None
    calibration: str | None
    calibration_images: int
    boards: tuple[str, ...]
    lanes: tuple[int | None, ...]
    seeds: tuple[int, ...]


def read_sweep(path: str | Path) -> Sweep:
    """Read the TOML file ``path``; paths in it are from its own folder.

    Raises
    ------
    InputError
        With the first thing that is wrong with it.
    """
    path = Path(path)
    try:
        text = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: name the TOML file that says what to sweep.") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): name the TOML file that says what to sweep."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML file: {error}.") from error
    return _Reader(path, text).sweep()


class _Reader:
    def __init__(self, path, text):
        self.path, self.text = path, text

    def sweep(self):
        self._known(self.text, OURS, "")
        networks = tuple(self._source(entry) for entry in self._entries("network"))
        settings = [self._setting(entry) for entry in self._entries("setting")] or [("", {})]
        self._check(networks, "there is no [[network]]")
        self._distinct([network.name for network in networks], "networks")
        self._distinct([name for name, _ in settings], "settings")
        data = self._images("data")
        calibration = self._images("calibration") or data
        if any(network.converted for network in networks):
            self._check(calibration, "a model is converted with images: name them as `calibration`")
            if calibration not in named.NAMED:
                for _, options in settings:
                    self._try(check_form_of, calibration, options)
        boards = [find_target(name).name for name in self._list("boards", str)]
        return Sweep(
            networks, dict(settings), data, self._whole("limit", None), calibration,
            self._whole("calibration_images", 2000), self._once("boards", boards),
            tuple(map(self._lanes, self._once("lanes", self._list("lanes", (int, str)) or [FITTING]))), self._seeds(),
        )

    def _source(self, entry):
        self._known(entry, {"name", "model", "file"}, " in [[network]]")
        kinds = [kind for kind in ("model", "file") if kind in entry]
        self._check(len(kinds) == 1 and isinstance(entry[kinds[0]], str),
                    "each [[network]] has one of `model`, to be converted, and `file`, a network file")
        place = self._place(entry[kinds[0]])
        self._check(place.exists(), f"{place} does not exist")
        return Source(str(entry.get("name", place.stem)), place, kinds[0] == "model")

    def _setting(self, entry):
        options = {name: value for name, value in entry.items() if name != "name"}
        name = str(entry.get("name", ", ".join(f"{name} {value}" for name, value in options.items())))
        where = f"[[setting]] {name}: "
        for other in sorted(options.keys() & ELSEWHERE.keys()):
            self._check(False, where + ELSEWHERE[other])
        if options:
            self._known(options, known_options() | {"name"}, " in [[setting]]")
        if own := own_decoder(options):
            options["decode"] = str(self._place(own))
            self._check(Path(options["decode"]).is_file(), f"{where}{options['decode']} does not exist")
        self._try(check_options, options, where=where)
        return name, options

    def _seeds(self):
        seeds = self._once("seeds", self._list("seeds", int))
        if seeds:
            from hw.board.order import SEED_MAX  # which loads Amaranth

            for seed in seeds:
                self._check(1 <= seed <= SEED_MAX, f"a seed of the placer is 1 to {SEED_MAX}, not {seed}")
        return seeds

    def _lanes(self, value):
        choices = ", ".join(map(str, LANES))
        self._check(value == FITTING or value in LANES, f"lanes are {choices} or {FITTING!r}, not {value!r}")
        return None if value == FITTING else value

    def _images(self, key):
        """Return images as `gen.data.datasets.open_dataset` takes them: a path where this machine has them, a name
        of the data sets that are downloaded where it has not; None where none are asked for.
        """
        value = self.text.get(key)
        self._check(value is None or isinstance(value, str), f"{key} is the name of a data set, or a path")
        if value is None:
            return None
        if self._place(value).exists():
            return str(self._place(value))
        name = named.canonical(value)
        self._check(name, f"{key} is {value!r}: there is no such file or folder, and data sets known by name are "
                          f"{named.names()}")
        local = named.found(name)
        return str(local.absolute()) if local else name

    def _place(self, text):
        return (self.path.parent / text).absolute()

    def _entries(self, key):
        found = self.text.get(key, [])
        self._check(isinstance(found, list) and all(isinstance(entry, dict) for entry in found),
                    f"{key} is written [[{key}]], once for each")
        return found

    def _list(self, key, kinds):
        found = self.text.get(key, [])
        self._check(isinstance(found, list) and all(isinstance(v, kinds) and not isinstance(v, bool) for v in found),
                    f"{key} is a list, as in {key} = [...]")
        return found

    def _whole(self, key, usual):
        value = self.text.get(key, usual)
        right = value is usual or type(value) is int and value > 0
        self._check(right, f"{key} is a number of 1 or more, not {value!r}")
        return value

    def _distinct(self, names, what):
        self._check(len(set(names)) == len(names), f"two {what} have one name: {', '.join(names)}")

    def _once(self, key, values):
        twice = len(set(values)) < len(values)
        self._check(not twice, f"{key} names one twice: {', '.join(map(str, values))}")
        return tuple(values)

    def _known(self, table, names, where):
        for unknown in sorted(table.keys() - names):
            near = get_close_matches(unknown, names, n=1)
            self._check(False, f"{unknown!r}{where} is not known" + (f"; did you mean {near[0]!r}?" if near else ""))

    def _try(self, check, *arguments, where=""):
        try:
            check(*arguments)
        except InputError as error:
            self._check(False, where + str(error).removesuffix("."))

    def _check(self, right, problem):
        if not right:
            raise InputError(f"{self.path} describes no sweep: {problem}.")
