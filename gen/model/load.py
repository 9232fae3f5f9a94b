"""The front doors: whatever a network arrives as becomes the same `FloatNetwork`.

A door is a module of this room, imported when first used: only it needs its format's library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gen.errors import InputError
from gen.model.network import FloatNetwork

__all__ = ["SUFFIXES", "load"]

SUFFIXES = {
    ".pt2": "an exported PyTorch program (torch.export.save)",
    ".onnx": "an ONNX model",
    ".tflite": "a TFLite (LiteRT) model",
    ".nir": "a NIR graph",
}


def load(model: Any, shape: tuple[int, int, int] | None = None) -> FloatNetwork:
    """Return the `FloatNetwork` of ``model``.

    Parameters
    ----------
    model : torch.nn.Module, torch.export.ExportedProgram, onnx.ModelProto, nir.NIRGraph, bytes of a TFLite model, or
        the path of a .pt2, .onnx, .tflite or .nir file
    shape : (C, H, W) of an image; a module is traced with it, and a NIR or TFLite graph may take it as a vector

    Raises InputError for a file that is none, a model that cannot be traced, NaN weights, a library that is
    missing; UnsupportedModel with every problem for a model outside the contract.
    """
    if isinstance(model, str | Path):
        return _load_file(Path(model), shape)
    kinds = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(model).__mro__}
    if "onnx.ModelProto" in kinds or type(model).__name__ == "ModelProto":
        from gen.model.onnx_file import load_onnx

        return load_onnx(model)
    if "nir.NIRGraph" in kinds:
        from gen.model.nir_file import load_nir

        return load_nir(model, shape)
    if isinstance(model, bytes | bytearray):
        from gen.model.tflite_file import load_tflite
        from gen.model.tflite_model import read_graph

        return load_tflite(read_graph(bytes(model)), shape)
    if kinds & {"torch.Module", "torch.ExportedProgram"}:
        from gen.model.exported import load_program, trace

        return load_program(trace(model, shape) if "torch.Module" in kinds else model)
    raise InputError(
        "A model is a torch.nn.Module, a torch.export.ExportedProgram, an onnx.ModelProto, a nir.NIRGraph, the bytes "
        f"of a TFLite model or the path of a file ({', '.join(SUFFIXES)}), not {type(model).__name__}."
    )


def _load_file(path: Path, shape: tuple[int, int, int] | None) -> FloatNetwork:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        kinds = ", ".join(f"{name} for {what}" for name, what in SUFFIXES.items())
        raise InputError(f"{path} has no suffix that names a kind of model: {kinds}. Rename or export it.")
    if not path.is_file():
        raise InputError(f"There is no model file {path}.")
    if suffix == ".onnx":
        from gen.model.onnx_file import load_onnx, read_onnx

        return load_onnx(read_onnx(path))
    if suffix == ".tflite":
        from gen.model.tflite_file import load_tflite, read_tflite

        return load_tflite(read_tflite(path), shape)
    if suffix == ".nir":
        from gen.model.nir_file import load_nir, read_nir

        return load_nir(read_nir(path), shape)
    from gen.model.exported import load_program, read_program

    return load_program(read_program(path))
