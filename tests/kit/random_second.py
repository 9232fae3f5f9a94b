"""A random network of the second contract being drawn: whatever `gen.intnet` has equations for."""

from dataclasses import replace
from itertools import product

import numpy as np

from gen.intnet import ORDERS
from gen.layers import INVERSE_LEAKY, MAX_BURST, THETA_MAX, NetworkError
from gen.window import FILLS, POINT, ZEROS, Window
from tests.kit.random_draft import Draft, whole
from tests.kit.random_rules import whole_range_rule

__all__ = ["SecondDraft"]

_BURSTS = (1, 2, 3, 7, 15, 31, 63, 127, MAX_BURST)
# of an axis: kernel, stride, padding before and after, dilation, upsample
_AXES = np.array(list(product(range(1, 6), (1, 2, 3), range(4), range(4), (1, 2, 3), (1, 2, 3))))


class SecondDraft(Draft):
    """Signed counts, bursts to 255, windows of every kind, outputs that are maps.

    like : a network whose source and outputs to have, and whose timesteps if it looks at frames
    """

    like = None

    def ruled(self, network, kind, seed):
        """Return ``network`` with a random exit rule of that kind, and in some order."""
        output = self.like and self.like.readout.name
        rule = whole_range_rule(self.rng, network, kind, seed, output)
        order = str(self.rng.choice(ORDERS)) if kind == "off" else network.order
        return replace(network, exit_rule=rule, order=order)

    def _timesteps(self, most):
        drawn = super()._timesteps(most)
        return self.like.timesteps if self.like and self.like.source.kind == "frames" else drawn

    def _source(self, kind):
        drawn = super()._source(kind)
        return self.like.source if self.like else drawn

    def _hidden(self, number):
        super()._hidden(number)
        if not self.like and self.rng.random() < 0.1:
            self._output(f"output{number}", self._output_shape(4), self._pick(list(self.shapes)))

    def _readouts(self, max_classes):
        if self.like:
            for name in self.like.outputs:
                self._output(name, self.like.shapes[name], *self.unread)
            return
        for number in range(int(self.rng.choice([1, 1, 2, 3]))):
            self._output(f"readout{number}", self._output_shape(max_classes), *self.unread)

    def _output_shape(self, max_classes):
        rng = self.rng
        size = (1, 1) if rng.random() < 0.5 else [self._large(self.max_size) for _ in range(2)]
        return int(rng.integers(1, max_classes, endpoint=True)), *size

    def _output(self, name, shape, *sources):
        """Add an output that reads those of ``sources`` which can be read to that shape, else any other map."""
        bits, size = self._bits(shape[0]), tuple(shape[1:])
        windows = {}
        for source in (*sources, *self.rng.permutation(list(self.shapes))):
            if source in sources or not windows:
                direct = size == (1, 1) and self.rng.random() < 0.7
                window = whole(self.shapes[source]) if direct else self._fitting(self.shapes[source][1:], size)
                windows |= {str(source): window} if window else {}
        if not windows:
            raise NetworkError(f"no map can be read to the shape {shape}")
        synapses = [self._synapse(source, bits, window) for source, window in windows.items()]
        self.layers.append(self._readout(name, synapses, bits))

    def _pool_window(self, extent):
        rng = self.rng
        for _ in range(100):
            window = Window(
                rng.integers(1, 5, 2), rng.integers(1, 4, 2), rng.integers(0, 4, 4), rng.integers(1, 4, 2),
                rng.choice([1, 1, 2, 3], 2), str(rng.choice(FILLS)),
            )
            if min(window.size(extent)) >= 1 and max(window.size(extent)) <= 2 * self.max_size:
                return window
        return Window(extent)  # a map that upsampling made so large that no stride brings it down

    def _window(self, shape):
        draw = self.rng.random()
        if draw < 0.1:
            return whole(shape)
        if draw < 0.3:
            return Window((3, 3), padding=(1, 1))
        if draw < 0.4:  # a transposed convolution
            factor = int(self.rng.integers(2, 4))
            return Window((factor,) * 2, padding=(factor - 1,) * 2, upsample=(factor,) * 2, fill=ZEROS)
        return self._fitting(shape[1:], [self._large(n) for n in shape[1:]]) or POINT

    def _fitting(self, extent, size):
        rng, axes = self.rng, []
        fill, enlarged = str(rng.choice(FILLS)), rng.random() < 0.4
        for n, wanted in zip(extent, size):
            kernel, stride, before, after, dilation, factor = _AXES.T
            seen = (n - 1) * factor + 1 if fill == ZEROS else n * factor
            fits = (before + seen + after - dilation * (kernel - 1) - 1) // stride + 1 == wanted
            plain = fits & (factor == 1)
            fits = plain if plain.any() and not enlarged else fits
            if not fits.any():
                return None
            axes.append(rng.choice(_AXES[fits]).tolist())
        kernel, stride, before, after, dilation, factor = zip(*axes)
        return Window(kernel, stride, before + after, dilation, factor, fill)

    def _burst(self):
        return int(self.rng.choice([*_BURSTS, self.rng.integers(1, MAX_BURST, endpoint=True)]))

    def _neurons(self, name, synapses, bits):
        layer, rng = super()._neurons(name, synapses, bits), self.rng
        if self.neuron == INVERSE_LEAKY or rng.random() < 0.5:
            return layer
        theta, channels = layer.theta, len(bits)
        slope = {"linear": 1.0, "leaky": 0.1, "channels": 2.0 ** rng.uniform(-7, 1, channels), "steep": 16.0}
        low = theta / slope[str(rng.choice(list(slope)))]
        return replace(
            layer, theta_low=np.clip(np.rint(low), 1, THETA_MAX).astype(np.int64),
            burst_low=layer.burst if rng.random() < 0.6 else self._burst(),
            v_init=layer.v_init if rng.random() < 0.3 else np.zeros(channels, np.int64),
        )
