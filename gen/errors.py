"""Errors a user can mend. Standard library only: every floor, the host included, raises these."""

__all__ = [
    "AdafireError", "DoesNotFit", "InputError", "NetworkError", "ToolMissing", "UnsupportedModel", "UnsupportedNetwork",
]


class AdafireError(Exception):
    """A run that failed: one paragraph saying what, where and how to mend. Exit code 1."""

    exit_code = 1


class InputError(AdafireError, ValueError):
    """Input that can never work: a wrong file, shape, range or name. Exit code 2."""

    exit_code = 2


class NetworkError(InputError):
    """An integer network that breaks the contract; names the layer and the rule."""


class UnsupportedModel(InputError):
    """A model with operations outside the contract; lists every one of them at once.

    Parameters
    ----------
    problems : list of str
        One sentence each: layer, operation, reason, nearest supported form.
    """

    def __init__(self, problems):
        self.problems = list(problems)
        count = len(self.problems)
        super().__init__(
            f"The model has {count} {'problem' if count == 1 else 'problems'} that cannot be converted:"
            + "".join(f"\n  - {problem}" for problem in self.problems)
        )


class UnsupportedNetwork(InputError):
    """An integer network with features that the core does not have; lists every one of them at once.

    Parameters
    ----------
    problems : list of str
        One phrase each: where, and what the core lacks.
    """

    def __init__(self, problems):
        self.problems = list(problems)
        super().__init__(
            "The core does not run everything that this network holds:"
            + "".join(f"\n  - {problem}" for problem in self.problems)
            + "\nThe golden model runs it (`adafire evaluate`). For a core, convert a network without these."
        )


class DoesNotFit(InputError):
    """A network larger than the target: what is short, by how much, what would fit."""


class ToolMissing(AdafireError):
    """A program that the step needs is not installed; the text says how to install it."""
