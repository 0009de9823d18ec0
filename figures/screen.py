"""Where figures go: into memory, whatever back end matplotlib is set to, or onto a screen."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import matplotlib
import matplotlib.pyplot as plt
import matplotlib.style
from matplotlib.backends.registry import BackendFilter, backend_registry

from figures.style import RC_PARAMS

# Of a back end that needs a screen or a package which is not there, or is none.
UNUSABLE = (ImportError, AttributeError, ValueError)


@contextmanager
def our_style() -> Iterator[None]:
    """Draw inside the block by matplotlib's own defaults and RC_PARAMS.

    What a matplotlibrc file, a style sheet or a notebook has set does not change our figures, and
    holds again after the block.
    """
    with matplotlib.style.context(["default", RC_PARAMS]):
        yield


@contextmanager
def without_screen() -> Iterator[None]:
    """Draw inside the block in memory, by Agg; then bring back the back end of before.

    So a notebook goes on showing its own figures.
    """
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    try:
        yield
    finally:
        with suppress(*UNUSABLE):
            matplotlib.use(before)


def can_show() -> bool:
    """Return whether figures can be shown here: in windows, or in the notebook that runs this."""
    try:
        plt.switch_backend(matplotlib.get_backend())  # else, it is not loaded before its first use
    except UNUSABLE:
        return False
    name = matplotlib.get_backend().lower()
    if "inline" in name:  # of notebooks, which pass it on to all programs that they start
        ipython = sys.modules.get("IPython")
        return ipython is not None and ipython.get_ipython() is not None
    return name not in backend_registry.list_builtin(BackendFilter.NON_INTERACTIVE)
