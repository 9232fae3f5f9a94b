"""When to stop: the exit rules, with tables whose every bit is part of the contract.

After each timestep, from the logits ``z`` of C classes (all integers, ``>>`` rounds down)::

    d_j = max(z) - z_j
    x_j = min((min(d_j >> shift, DISTANCE_MAX) * scale) >> SCALE_FRACTION, X_MAX)      2**-8 octaves
    e_j = EXP[x_j & 255] >> (x_j >> 8)                                                2**-16
    S   = sum e_j          A = sum e_j * x_j          L = log2_table(S)                2**-8 octaves

    entropy      exit when  A < S * (limit - L)     the entropy L + A/S, in octaves, is under the limit
    confidence   exit when  S < limit               the largest probability 2**16/S is over 2**16/limit
    margin       exit when  d of the second largest logit > limit     (0 for a single class)
    off          never

The rule looks at one output, by default the only one, or the first of several. Where that is a map, each position is
judged by itself, and the network exits when enough of them pass::

    passing * SHARE_ONE >= share * positions

``log2_table(S) = 256 * (n - 16) + LOG[(S >> (n - 8)) & 255]`` with n the index of the highest set bit.
"""

from dataclasses import dataclass

from gen.errors import InputError

__all__ = [
    "DISTANCE_MAX", "EXP", "EXP_ONE", "KINDS", "LOG", "SCALE_FRACTION", "SCALE_MAX", "SHARE_ONE", "SHIFT_MAX", "X_MAX",
    "ExitRule",
]

KINDS = ("off", "entropy", "confidence", "margin")
FRACTION = 8
EXP_BITS = 16
EXP_ONE = 2**EXP_BITS
EXP = tuple(round(EXP_ONE * 2 ** (-i / 2**FRACTION)) for i in range(2**FRACTION))
SCALE_FRACTION = 8
SCALE_MAX = 2**17 - 1
SHIFT_MAX = 15
DISTANCE_MAX = 2**17 - 1
X_MAX = 2**13 - 1
LIMIT_MAX = 2**31 - 1
SHARE_ONE = 2**16


def _log2(numerator, bits):
    """Return round(256 * log2(numerator / 2**bits)) without floating point, by repeated squaring."""
    whole, value = 0, numerator << (48 - bits)
    for _ in range(FRACTION + 1):
        value = (value * value) >> 48
        whole <<= 1
        if value >> 49:
            whole, value = whole | 1, value >> 1
    return (whole + 1) >> 1


LOG = tuple(_log2(2**FRACTION + i, FRACTION) for i in range(2**FRACTION))


@dataclass(frozen=True)
class ExitRule:
    """An exit rule: ``limits`` has one integer per timestep; ``shift`` and ``scale`` set the softmax temperature.

    One unit of ``z`` is ``scale * 2**-(shift + 16)`` octaves (of log2), to the precision of the rounding above.
    ``output`` names the output that decides, None for the first; ``share`` is that of its positions that must pass, in
    1/65536.
    """

    kind: str = "off"
    shift: int = 0
    scale: int = 1
    limits: tuple[int, ...] = ()
    output: str | None = None
    share: int = SHARE_ONE

    def __post_init__(self):
        object.__setattr__(self, "limits", tuple(int(limit) for limit in self.limits))
        if not isinstance(self.share, int) or not 1 <= self.share <= SHARE_ONE:
            raise InputError(f"the exit rule's share must be 1..{SHARE_ONE}, not {self.share!r}")
        if self.kind not in KINDS:
            raise InputError(f"the exit rule must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if not 0 <= self.shift <= SHIFT_MAX or not 1 <= self.scale <= SCALE_MAX:
            raise InputError(f"the exit rule's shift and scale are out of range: {self.shift}, {self.scale}")
        if any(not 0 <= limit <= LIMIT_MAX for limit in self.limits):
            raise InputError(f"the exit limits must be 0..{LIMIT_MAX}, not {self.limits}")
