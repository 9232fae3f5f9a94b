"""The options of a conversion as [[setting]] of a sweep has them: their names, and what is wrong without any model."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

from gen.data.forms import CALLED, EXAMPLES, kind_of, parse_form
from gen.errors import InputError
from gen.method.settings import Settings
from gen.task import CLASSIFY, DETECT, LETTERBOX, RGB, Decoder, Task

__all__ = ["ELSEWHERE", "check_form_of", "check_options", "known_options", "own_decoder"]

FORM = "form"  # of raw data, which is no option of the conversion itself
ELSEWHERE = {  # parameters of the conversion that are no options here, and why
    "model": "model stands in [[network]]",
    "calibration": "calibration stands before all tables, one for all models",
    "labels": "labels are those of the calibration images; names of classes are class_names",
    "progress": "progress is told of all tasks together",
}


def known_options() -> set[str]:
    """Return the names of all options."""
    from gen.method.convert import convert  # which loads torch

    return set(signature(convert).parameters) - ELSEWHERE.keys() | {FORM}


def own_decoder(options: dict[str, Any]) -> str | None:
    """Return the Python file of the user's own that decodes what a network of these ``options`` says; None without."""
    decode = options.get("decode")
    return decode if isinstance(decode, str) and decode.endswith(".py") else None


def check_options(options: dict[str, Any]) -> None:
    """Raise InputError, with a clause, where no model could be converted with ``options``."""
    try:
        Settings(**{field.name: options[field.name] for field in fields(Settings) if field.name in options})
        _check_task(options)
        _check_form(options)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"a value is of a kind that no option takes: {error}") from error


def check_form_of(data: str, options: dict[str, Any]) -> None:
    """Raise InputError where ``data``, a file or a folder, are raw and no form in ``options`` makes maps of them."""
    kind = kind_of(Path(data), "train")
    form = options.get(FORM)
    if kind and (form is None or form.partition(":")[0] != kind):
        raise InputError(
            f"{data} holds {CALLED[kind]}: say in every [[setting]] how they become the maps of a network, as in "
            f"{FORM} = {EXAMPLES[kind]!r}"
        )


def _check_task(options):
    """Refuse what the outputs shall mean where that cannot be; whether it suits a model, the conversion says."""
    names, decode = options.get("class_names", []), options.get("decode")
    if not isinstance(names, list):
        raise InputError(f"class_names is a list of names, not {names!r}")
    if decode is None and "decode_options" in options:
        raise InputError("decode_options are those of a decoder: name it as decode")
    if not isinstance(options.get("calibrate_weights", False), bool):
        raise InputError(f"calibrate_weights is true or false, not {options['calibrate_weights']!r}")
    decoder = None if decode is None else Decoder(decode, {}, options.get("decode_options", {}))
    kind = options.get("task", CLASSIFY if decode is None else DETECT)
    Task(kind, tuple(names), decoder, options.get("fit", LETTERBOX), options.get("colors", RGB))


def _check_form(options):
    form = options.get(FORM)
    if form is None:
        return
    if not isinstance(form, str):
        raise InputError(f"{FORM} is a text such as {EXAMPLES['events']!r}, not {form!r}")
    parse_form(form)
