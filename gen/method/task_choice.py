"""The task that a user asks of a conversion, and the model's outputs found for it before anything slow runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gen.errors import InputError
from gen.heads import HEADS, SIGMOID, SOFTMAX, Head
from gen.model.network import FloatNetwork, Output
from gen.task import DETECT, LETTERBOX, RGB, Decoder, Task, usual_task

__all__ = ["TaskChoice", "tells_classes_apart"]


@dataclass(frozen=True)
class TaskChoice:
    """What was asked; None and nothing where nothing was.

    kind, labels, fit, colors : as of `gen.task.Task`
    decode : a name of `gen.heads.HEADS`, or the path of a Python file
    options : of the decoder; a role of the head (boxes, scores, ...) may name outputs, a text or a list of them
    """

    kind: str | None = None
    labels: tuple[str, ...] = ()
    decode: str | Path | None = None
    options: dict[str, Any] | None = None
    fit: str | None = None
    colors: str | None = None

    def of(self, network: FloatNetwork, decides: str) -> Task | None:
        """Return the task of a network of the model ``network`` whose output ``decides``; None where none was asked.

        Raises
        ------
        InputError : a task, labels or a decoder that do not go with the model.
        """
        shapes = {name: network.shapes[name] for name in network.outputs}
        if self.options and self.decode is None:
            raise InputError("Options of a decoder were given, but no decoder: name it with --decode.")
        usual = usual_task(shapes[decides][1:] != (1, 1))
        try:
            decoder = None if self.decode is None else self._decoder(network)
            kind = self.kind or (usual.kind if decoder is None else DETECT)
            task = Task(kind, self.labels, decoder, self.fit or LETTERBOX, self.colors or RGB)
            task.check(shapes, decides)
        except InputError as error:
            raise InputError(f"The task does not suit the model: {error}.") from error
        return None if task == usual else task

    def _decoder(self, network):
        options = dict(self.options or {})
        name = str(self.decode)
        if name.endswith(".py"):
            _check_file(Path(name))
            return Decoder(Path(name).name, {}, options)
        if name not in HEADS:
            return Decoder(name)  # which refuses it
        head = HEADS[name]
        outputs = {role: self._outputs(network, head, role, options.pop(role, None)) for role in head.roles}
        outputs = {role: found for role, found in outputs.items() if found}
        readouts = {role: tuple(r for output in found for r in output.readouts) for role, found in outputs.items()}
        if "activation" in head.options and "activation" not in options:
            last = {output.decode for output in outputs.get("scores", ())} & {SIGMOID, SOFTMAX}
            options |= {"activation": last.pop()} if len(last) == 1 else {}
        decoder = Decoder(name, readouts, options)
        decoder.classes({name: network.shapes[name] for name in network.outputs})
        anchors = [len(sizes) for sizes in options.get("anchors", ())]
        for role, found in outputs.items():
            for output in found:
                _check_order(network, output, dict(zip(readouts[role], anchors)))
        return decoder

    def _outputs(self, network, head: Head, role, named):
        """Return the outputs of the model that have ``role``, those ``named`` or those whose names begin so."""
        known = {output.name: output for output in network.returns}
        known |= {name: Output(name, (name,), network.shapes[name]) for name in network.outputs if name not in known}
        if named is not None:
            names = [named] if isinstance(named, str) else named
            if not isinstance(names, list | tuple) or not all(name in known for name in names):
                raise InputError(f"{role} must name outputs of the model, {', '.join(known)}, not {named!r}")
            return [known[name] for name in names]
        found = [output for output in network.returns if output.name.lower().startswith(head.roles[role])]
        if not found and role not in head.optional:
            raise InputError(
                f"none of the model's outputs ({', '.join(output.name for output in network.returns)}) is called after "
                f"{role}: name them with --decode-option {role}=NAME, or {role}='[\"NAME\", \"NAME\"]' level by level"
            )
        return found


def tells_classes_apart(task: Task | None, decides: str) -> bool:
    """Return whether the channels of the output that ``decides`` may be classes of which one is true.

    Those of a detector are it for one anchor a position and scores that a softmax shares out: of nothing else can an
    exit rule be sure.
    """
    if task is None or task.decoder is None or task.decoder.own:
        return True
    head, names = task.decoder, task.decoder.outputs.get("scores", ())
    options = HEADS[head.name].settled(head.options)
    if decides not in names or options["activation"] != SOFTMAX:
        return False
    return "sizes" not in options or len(options["sizes"][names.index(decides)]) == 1


def _check_order(network, output, anchors):
    """Raise InputError where a model puts the numbers of a map in another order than heads have them.

    That is its own, or position by position, or, where a map has ``anchors``, anchor by anchor and then so.
    """
    if output.index is None:
        return
    found, first, levels = np.asarray(output.index).ravel(), 0, []
    for name in output.readouts:
        shape = network.shapes[name]
        own = first + np.arange(np.prod(shape)).reshape(shape)
        by_anchor = np.moveaxis(own.reshape(anchors.get(name, 1), -1, *shape[1:]), 1, -1)
        levels.append((own.ravel(), np.moveaxis(own, 0, -1).ravel(), by_anchor.ravel()))
        first += own.size
    if not any(np.array_equal(found, np.concatenate(order)) for order in zip(*levels)):
        raise InputError(
            f"the model puts the numbers of its output {output.name} in an order of its own, not level by level, "
            "position by position: write a decoder for it, --decode FILE.py"
        )


def _check_file(path):
    try:
        compile(path.read_text(), str(path), "exec")
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError) as error:
        raise InputError(f"the decoder {path} cannot be read as a Python file ({error})") from error
