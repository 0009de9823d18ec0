"""How long an epoch takes, measured so that it can be compared: in turns, on one core."""

import dataclasses
from collections.abc import Sequence

from threadpoolctl import threadpool_limits

from common.data import Arrays
from experiments.numpy_networks.recipes import Recipe
from experiments.numpy_networks.training import Data, train

SHORT = {True: 200, False: 30}  # steps of a turn: of one image each, or of many


def seconds_per_epoch(
    recipes: Sequence[Recipe], arrays: Arrays, n_turns: int = 5
) -> dict[Recipe, list[float]]:
    """Return, for each recipe, the CPU seconds of an epoch on one core, once per turn.

    The recipes take turns, so that whatever else the machine does meets all of them alike. Each
    turn takes some steps (SHORT), and counts for all images in proportion.
    """
    times: dict[Recipe, list[float]] = {recipe: [] for recipe in recipes}
    images = arrays.x_train.reshape(len(arrays.x_train), -1)
    with threadpool_limits(1, user_api="blas"):
        for _ in range(n_turns):
            for recipe, of_recipe in times.items():
                n = min(len(images), SHORT[recipe.batch_size == 1] * recipe.batch_size)
                data = Data(images[:n], arrays.y_train[:n], images[:0], arrays.y_train[:0])
                short = dataclasses.replace(recipe, epochs=2)
                rows = [row for _, row in train(short, data, seed=0)]
                # The first epoch also makes the arrays that the second one uses again.
                of_recipe.append(rows[1]["cpu_seconds"] * len(images) / n)
    return times
