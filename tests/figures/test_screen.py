import sys
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import pytest

from figures.screen import can_show, our_style, without_screen
from figures.style import RC_PARAMS


@pytest.fixture
def user_backend():
    """Let the user have chosen SVG, which draws without a screen too."""
    before = matplotlib.get_backend()
    matplotlib.use("svg")
    yield "svg"
    matplotlib.use(before)


def test_the_users_settings_are_out_of_force_in_our_figures_and_in_force_again_after():
    with matplotlib.rc_context({"font.size": 31, "axes.facecolor": "red", "lines.linewidth": 9}):
        with our_style():
            assert matplotlib.rcParams["axes.facecolor"] == "white"
            assert matplotlib.rcParams["lines.linewidth"] == 1.5
            for name, value in RC_PARAMS.items():
                assert matplotlib.rcParams[name] == value
        assert matplotlib.rcParams["font.size"] == 31
        assert matplotlib.rcParams["axes.facecolor"] == "red"


def test_the_users_back_end_comes_back(user_backend):
    with without_screen():
        assert matplotlib.get_backend().lower() == "agg"
        assert type(plt.figure().canvas).__name__ == "FigureCanvasAgg"
    assert matplotlib.get_backend().lower() == user_backend
    with pytest.raises(ZeroDivisionError), without_screen():
        _ = 1 / 0
    assert matplotlib.get_backend().lower() == user_backend


@pytest.mark.parametrize("error", [ImportError, AttributeError])
def test_a_back_end_that_cannot_come_back_is_no_error(monkeypatch, error):
    def use(name):
        if name != "Agg":
            raise error("needs a screen")

    monkeypatch.setattr(matplotlib, "get_backend", lambda: "TkAgg")
    monkeypatch.setattr(matplotlib, "use", use)
    with without_screen():
        pass


def test_in_memory_nothing_can_be_shown(user_backend):
    assert not can_show()
    with without_screen():
        assert not can_show()


def test_without_a_screen_nothing_can_be_shown(monkeypatch):
    def switch(name):
        raise ImportError(f"Cannot load backend '{name}', as 'headless' is currently running")

    monkeypatch.setattr(matplotlib, "get_backend", lambda: "TkAgg")
    monkeypatch.setattr(plt, "switch_backend", switch)
    assert not can_show()


def test_windows_and_notebooks_can_show(monkeypatch):
    chosen = "TkAgg"
    monkeypatch.setattr(matplotlib, "get_backend", lambda: chosen)
    monkeypatch.setattr(plt, "switch_backend", lambda name: None)
    assert can_show()
    chosen = "module://matplotlib_inline.backend_inline"
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))
    assert can_show()
    # A program that a notebook has started inherits the name, but is no notebook.
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not can_show()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not can_show()
