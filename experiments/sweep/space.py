"""What the sweep varies; experiments/sweep.yaml says the same to Weights & Biases."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from _00_main import make_settings
from common.settings import Settings
from studies.search import Range

RECIPE, EPOCHS = "sweep_baseline", 10
SPACE = {
    "batch_size": (64, 128, 256, 512, 1024, 2048),
    "learning_rate": (0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006),
    "filters1": Range(4, 34, 2),  # of the first convolution
    "filters2": Range(14, 34, 2),  # of the second
    "neurons3": Range(12, 252, 8),  # of the dense layer
}
# A step costs most in the widest network, and an image in the smallest batch.
COSTLIEST = {
    name: values.high if isinstance(values, Range) else min(values)
    for name, values in SPACE.items()
}


def base_settings(changes: Mapping[str, Any]) -> Settings:
    """Return the settings that all trials share."""
    return make_settings(RECIPE, **{"epochs": EPOCHS, "figures": "none"} | dict(changes))


def settings_of(base: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the settings of a trial with these values of the space."""
    filters, units = (values["filters1"], values["filters2"]), values["neurons3"]
    return dataclasses.replace(
        base,
        architecture=f"sweep_baseline(filters={filters}, units={units})",
        batch_size=values["batch_size"],
        learning_rate=values["learning_rate"],
    )
