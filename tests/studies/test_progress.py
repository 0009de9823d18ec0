import io
import sys

import pytest

from common.streams import tolerant_streams
from common.user_error import UserError
from studies.progress import (
    Progress,
    describe,
    describe_duration,
    estimate_seconds_left,
    progress_of,
    show_progress,
)

HALF = Progress("my [bold]study", 2, 4, 600.0, "seed 1", 0.98765)


def test_time_left_is_that_of_the_runs_before():
    labels = [f"seed {seed}" for seed in range(9, 13)]
    done = {"seed 9": 100.0, "seed 10": 200.0}
    assert estimate_seconds_left(done, labels, n_workers=1) == 300.0
    assert estimate_seconds_left(done, labels, n_workers=2) == 150.0
    assert estimate_seconds_left(done, list(done), n_workers=0) == 0.0
    assert estimate_seconds_left({}, labels, n_workers=1) is None


def test_a_row_that_takes_long_is_expected_to_take_long_again():
    labels = [f"{name}, seed {seed}" for seed in (0, 1) for name in ("small", "large", "other")]
    done = {"small, seed 0": 1.0, "large, seed 0": 99.0}
    # Another small and another large one, and two of which nothing is known.
    assert estimate_seconds_left(done, labels, n_workers=1) == 1 + 99 + 2 * 50


def test_progress_names_the_best_unless_it_compares_nothing():
    results = {"a": {"val_accuracy": 0.5, "total_seconds": 2.0}}
    shown = progress_of("s", ["a", "b"], results, n_running=1, show_best=True)
    assert shown == Progress("s", 1, 2, 1.0, "a", 0.5)
    hidden = progress_of("s", ["a", "b"], results, n_running=0, show_best=False)
    assert hidden == Progress("s", 1, 2, 2.0, None, None)


def test_description_names_what_is_done_and_the_best():
    assert describe(HALF) == (
        "2 of 4 runs, about 10 min left; best validation accuracy so far: 98.77 % (seed 1)"
    )
    assert describe(Progress("s", 0, 4, None, None, None)) == "0 of 4 runs"
    done = Progress("s", 4, 4, 0.0, "a", 0.5)
    assert describe(done) == "4 of 4 runs; best validation accuracy so far: 50.00 % (a)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7.4, "7 s"), (89, "89 s"), (90, "2 min"), (3599, "1 h 0 min"), (8100, "2 h 15 min")],
)
def test_duration(seconds, text):
    assert describe_duration(seconds) == text


def test_progress_is_one_plain_line_where_there_is_no_terminal(capsys):
    pytest.importorskip("rich")
    show_progress(HALF)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and "\x1b" not in printed
    assert printed.startswith("my [bold]study ") and describe(HALF) in printed
    assert printed.count("━") == 15  # half of the bar


class OnlyWrite:
    """What stands for stdout in some notebooks and loggers."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_progress_needs_no_letters_that_a_stream_lacks(monkeypatch, encoding):
    pytest.importorskip("rich")
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with tolerant_streams():
        show_progress(HALF)
    stream.flush()
    assert "2 of 4 runs" in stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("stream", [OnlyWrite(), None])
def test_progress_survives_any_stream(monkeypatch, stream):
    pytest.importorskip("rich")
    monkeypatch.setattr(sys, "stdout", stream)
    with tolerant_streams():
        show_progress(HALF)
    assert stream is None or "2 of 4 runs" in stream.text


def test_without_rich_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(UserError, match="rich.*requirements-extras.txt"):
        show_progress(HALF)
