"""How wrong a network is, as one number, and in which direction its outputs should move.

Both losses are means over the images of a batch, so their backward passes divide by its size.
"""

import numpy as np

Array = np.ndarray


class MeanSquaredError:
    """The mean of (output - target)^2 over images and classes; the target is 1 or 0.

    The outputs come from sigmoids, so each is between 0 and 1; they need not sum to 1.
    """

    def forward(self, outputs: Array, labels: Array) -> float:
        """Return the loss.

        Args:
            outputs: float (n, n_classes).
            labels: whole numbers (n,).
        """
        self.differences = outputs.copy()
        self.differences[np.arange(len(labels)), labels] -= 1
        return float(np.square(self.differences).mean())

    def backward(self) -> Array:
        """Return dL/d outputs, (n, n_classes)."""
        return self.differences * (2 / self.differences.size)

    def probabilities(self, outputs: Array) -> Array:
        """Return the outputs as they are: how sure each unit is, on its own."""
        return outputs


class SoftmaxCrossEntropy:
    """Softmax makes probabilities of the outputs; the loss is -log(that of the true class).

    The two belong together: their gradient is as simple as it can be, and nothing overflows.
    """

    def forward(self, outputs: Array, labels: Array) -> float:
        """Return the loss; arguments as in `MeanSquaredError.forward`, outputs of any size."""
        self.labels, every = labels, np.arange(len(labels))
        self.softmax = self.probabilities(outputs)
        # What is as good as impossible may be rounded to 0, whose logarithm is infinite.
        likelihoods = self.softmax[every, labels]
        return float(-np.log(np.maximum(likelihoods, np.finfo(outputs.dtype).tiny)).mean())

    def backward(self) -> Array:
        """Return dL/d outputs, (n, n_classes): the probabilities, minus 1 at the true class.

        Unlike with a sigmoid and the squared error, this does not fade where the network is
        wrong and sure: there it is largest.
        """
        d_outputs = self.softmax.copy()
        d_outputs[np.arange(len(self.labels)), self.labels] -= 1
        d_outputs /= len(self.labels)
        return d_outputs

    def probabilities(self, outputs: Array) -> Array:
        """Return exp(output) / sum of exp(outputs), (n, n_classes); each row sums to 1."""
        # Subtracting the largest changes nothing, but exp cannot overflow.
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
