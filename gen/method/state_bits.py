"""How wide a neuron's state must be, proved: the width in which no image can saturate it to any effect."""

import numpy as np

from gen.errors import InputError
from gen.layers import signed_bits

__all__ = ["LEAST_STATE", "STATE_MAX", "proved_state_bits"]

LEAST_STATE = 8
STATE_MAX = 30  # leaves room for a current in an accumulator of 32 bits


def proved_state_bits(network, layer):
    """Return the least width, `LEAST_STATE` to `STATE_MAX` bits, in which no image can saturate a state to any effect.

    AdaFire neurons do not saturate at all; inverse-leaky ones only where their code is 0 or all ones already.
    """
    if network.two_phase:
        return _two_phase(network, layer)
    low, high = _signed_range(network, layer) if layer.signed else _range(network, layer)
    return min(STATE_MAX, max(LEAST_STATE, signed_bits(low.min(), high.max())))


def _range(network, layer):
    """Return per channel the (least, greatest) state of neurons with one threshold, for currents C- <= c <= C+.

    A neuron that fires keeps at least 0; one that does not has only added a current:
    v(t) >= min(0, v(t-1) + C-). One that fires less than its cap keeps less than ``min_burst * theta``; one at
    its cap keeps v(t) <= v(t-1) + D with D = C+ - burst * theta.
    """
    low, high = network.current_range(layer)
    steps, fall = network.timesteps - 1, np.minimum(low, 0)
    drift = np.maximum(high - layer.burst * layer.theta, 0)
    least = np.minimum(0, layer.v_init + fall) + steps * fall
    most = np.maximum(layer.min_burst * layer.theta - 1, layer.v_init + drift) + steps * drift
    return least, most


def _signed_range(network, layer):
    """Return per channel the (least, greatest) state of neurons with two thresholds, for currents C- <= c <= C+.

    Let h be half of theta, h_low half of theta_low, both rounded down, and m ``min_burst``. A neuron that fires above
    zero, less than its cap, keeps -h .. theta - h - 1; one that is silent holds less than m * theta - h; one that
    fires below zero keeps at most h_low. So v(t) <= max(m * theta - h - 1, h_low), or, at the cap, v(t-1) + D with
    D = C+ - burst * theta. Besides, v(t) <= max(h_low, v(t-1) + C+), whatever happens, for firing above zero only takes
    from u. The lesser of the two bounds holds; below zero the same with the sides exchanged.
    """
    low, high = network.current_range(layer)
    sides = (high, layer.theta, layer.burst, layer.theta_low, layer.v_init), (
        -low, layer.theta_low, layer.burst_low, layer.theta, -layer.v_init
    )
    most, least = (_signed_most(network.timesteps - 1, layer.min_burst, *side) for side in sides)
    return -least, most


def _signed_most(steps, min_burst, current, theta, burst, other, start):
    most_spent = burst * theta if burst >= min_burst else 0
    rise, drift = np.maximum(current, 0), np.maximum(current - most_spent, 0)
    kept = np.maximum(min_burst * theta - theta // 2 - 1, other // 2)
    bounded = np.maximum(kept, start + drift) + steps * drift
    unfired = np.maximum(other // 2, start + rise) + steps * rise
    return np.minimum(bounded, unfired)


def _two_phase(network, layer):
    """Return the width with which every train is the code ``clamp(floor(u / theta), 0, 2**T - 1)`` of the exact u(T).

    Let the counts add S- <= s <= S+ to u at each timestep, input and bias C- <= c <= C+ at t = T, and let states lie
    in -L .. M. Either bound of a channel is enough:

    1. L and M hold every v(t), t < T: ``(2**(T-1) - 1)`` times S- and S+. Nothing saturates before u(T).
    2. L >= S+ and L >= S+ + C+. A v(t) saturated at -L stays there, for 2 * -L + S+ <= -L, and u(T) <= -2 * L + S+ + C+
       < 0: code 0. The exact u(T) is smaller still: code 0 too. And M >= -S- and 2 * M + S- + C- >= 2 * top - theta. A
       v(t) saturated at M stays there, and u(T) is worth all ones; so is the exact u(T), which is larger still.

    While it fires, a negative state stays negative whatever its width; one below top stays below; and one of top or
    over fires at every timestep as long as M >= top, since 2 * top - top = top.
    """
    varying, constant = network.sums(layer)
    top = layer.theta << network.timesteps - 1
    depth = 2 ** (network.timesteps - 1) - 1
    exact = depth * varying[0], np.maximum(top, depth * varying[1])
    least = -varying[1] - np.maximum(constant[1], 1)
    all_ones = (2 * top - layer.theta - varying[0] - constant[0] + 1) // 2
    bounded = least, np.maximum.reduce([top, -varying[0], all_ones])
    bits = max(min(signed_bits(low[c], high[c]) for low, high in (exact, bounded)) for c in range(len(top)))
    if bits > STATE_MAX:
        raise InputError(
            f"Layer {layer.name} needs a state of {bits} bits for {network.timesteps} timesteps of inverse-leaky "
            f"neurons, the most is {STATE_MAX}: choose fewer timesteps or weight bits."
        )
    return max(LEAST_STATE, bits)
