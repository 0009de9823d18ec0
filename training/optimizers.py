"""The optimizers: Adam, Muon and SGD, each with a schedule of the learning rate built in."""

import math

import keras
from keras import ops


class Scheduled:
    """An optimizer whose rate rises over the first steps and then falls linearly to 0.

    `learning_rate` stays the peak of this schedule, so ReduceLROnPlateau, which multiplies it,
    works on top. (With a `keras.optimizers.schedules` object, Keras refuses to change the rate.)
    """

    total_steps: int | None  # at which the rate reaches 0; None keeps it constant
    warm_up: float  # share of the steps in which it rises

    def share(self, step):
        """Return the share of the peak rate that `step` (from 0) trains at."""
        if self.total_steps is None:
            return 1.0
        done = ops.cast(step, "float32") / self.total_steps
        rise = 0.1 + 0.9 * done / self.warm_up
        fall = (1.0 - done) / (1.0 - self.warm_up)
        return ops.maximum(ops.minimum(rise, fall), 0.0)


class ScheduledAdam(keras.optimizers.Adam, Scheduled):
    """Adam with the schedule.

    Args:
        learning_rate: the peak.
        beta_2: Adam's decay of squared gradients.
        total_steps: at which the rate reaches 0; None keeps it constant.
        warm_up: share of the steps in which it rises, from a tenth of the peak.
    """

    def __init__(
        self, learning_rate: float, beta_2: float, total_steps: int | None, warm_up: float
    ):
        super().__init__(learning_rate, beta_2=beta_2, name="adam")
        self.total_steps, self.warm_up = total_steps, warm_up

    def update_step(self, gradient, variable, learning_rate):
        """Update one weight."""
        super().update_step(gradient, variable, learning_rate * self.share(self.iterations))


class ScheduledMuon(ScheduledAdam):
    """Muon for the kernels of the convolutions, and Adam for all other weights.

    Muon takes the momentum of a kernel as a matrix and replaces it by the nearest matrix with
    orthonormal rows or columns, so that all directions are learned equally fast. It is ahead of
    Adam in the first epochs. (`keras.optimizers.Muon` leaves convolutions to Adam.)

    Sources: Jordan et al., 2024, "Muon: an optimizer for hidden layers"; the scaling of the step
    to that of Adam: Liu et al., 2025, arXiv 2502.16982.

    Args: those of ScheduledAdam; `learning_rate` is Adam's, and RATE_RATIO times that is Muon's.
    """

    RATE_RATIO = 10.0
    MOMENTUM = 0.9
    TYPICAL_STEP = 0.2  # the root mean square of an Adam step, in units of its rate
    # Five steps of this polynomial bring singular values from (0, 1] near 1.
    NEWTON_SCHULZ_STEPS, NEWTON_SCHULZ = 5, (3.4445, -4.7750, 2.0315)

    def build(self, variables):
        """Add a momentum for each weight that Muon trains."""
        super().build(variables)
        self.kernel_momenta = {
            self._get_variable_index(variable): self.add_variable_from_reference(
                variable, name="muon_momentum"
            )
            for variable in variables
            if self.trains(variable)
        }

    @staticmethod
    def trains(variable) -> bool:
        """Whether Muon trains a weight: a kernel, but not the first (one input channel)."""
        return len(variable.shape) == 4 and variable.shape[2] > 1

    def update_step(self, gradient, variable, learning_rate):
        """Update one weight."""
        if not self.trains(variable):
            super().update_step(gradient, variable, learning_rate)
            return
        rate = learning_rate * self.share(self.iterations) * self.RATE_RATIO
        momentum = self.kernel_momenta[self._get_variable_index(variable)]
        self.assign(momentum, self.MOMENTUM * momentum + gradient)
        *rows, columns = variable.shape
        matrix = ops.reshape(gradient + self.MOMENTUM * momentum, (-1, columns))
        scale = self.TYPICAL_STEP * max(math.prod(rows), columns) ** 0.5
        step = ops.reshape(self.orthogonalise(matrix) * scale, variable.shape)
        self.assign_sub(variable, rate * step)

    def orthogonalise(self, matrix):
        """Return the matrix with its singular values brought near 1 (0.7 to 1.2)."""
        a, b, c = self.NEWTON_SCHULZ
        rows, columns = matrix.shape
        x = matrix / (ops.norm(matrix) + 1e-7)
        if rows < columns:
            x = ops.transpose(x)
        for _ in range(self.NEWTON_SCHULZ_STEPS):
            gram = ops.matmul(ops.transpose(x), x)
            x = a * x + ops.matmul(x, b * gram + c * ops.matmul(gram, gram))
        return ops.transpose(x) if rows < columns else x


class ScheduledSGD(keras.optimizers.SGD, Scheduled):
    """Plain stochastic gradient descent, without momentum, with the schedule.

    Args: those of ScheduledAdam, so that all are made alike; `beta_2` is not used.
    """

    def __init__(
        self, learning_rate: float, beta_2: float, total_steps: int | None, warm_up: float
    ):
        super().__init__(learning_rate, name="sgd")
        self.total_steps, self.warm_up = total_steps, warm_up

    def update_step(self, gradient, variable, learning_rate):
        """Update one weight."""
        super().update_step(gradient, variable, learning_rate * self.share(self.iterations))


OPTIMIZERS = {"adam": ScheduledAdam, "muon": ScheduledMuon, "sgd": ScheduledSGD}
