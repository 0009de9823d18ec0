"""What is done with the gradients: one step of the parameters downhill."""

import numpy as np

from experiments.numpy_networks.network import Network


class GradientDescent:
    """Each parameter moves against its gradient: w <- w - rate * dL/dw."""

    def step(self, network: Network, rate: float) -> None:
        """Change the network's parameters in place; the gradients are used up."""
        for parameter, gradient in network.parameters_and_gradients():
            gradient *= rate
            parameter -= gradient


class Adam:
    """Each parameter has a step of its own: its mean gradient over its usual size.

    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1, with
    the corrections for the first steps drawn into the rate, as at the end of section 2.
    """

    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.n_steps = 0
        self.means: list[np.ndarray] = []  # of the gradients, the latest counting most
        self.squares: list[np.ndarray] = []  # the same of the squared gradients

    def step(self, network: Network, rate: float) -> None:
        """Change the network's parameters in place; the gradients are used up."""
        pairs = network.parameters_and_gradients()
        if not self.means:
            self.means = [np.zeros_like(parameter) for parameter, _ in pairs]
            self.squares = [np.zeros_like(parameter) for parameter, _ in pairs]
        self.n_steps += 1
        # Both averages began at 0, and are too small as long as they remember that.
        rate *= (1 - self.beta_2**self.n_steps) ** 0.5 / (1 - self.beta_1**self.n_steps)
        for (parameter, gradient), mean, square in zip(
            pairs, self.means, self.squares, strict=True
        ):
            mean += (1 - self.beta_1) * (gradient - mean)
            square += (1 - self.beta_2) * (gradient * gradient - square)
            np.sqrt(square, out=gradient)
            gradient += self.epsilon
            np.divide(mean, gradient, out=gradient)
            gradient *= rate
            parameter -= gradient
