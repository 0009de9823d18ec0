import numpy as np
import pytest
from scipy import stats

from common.user_error import UserError
from studies.seed_summary import check_seed_count, median_and_range, summarise

VALUES = [0.9971, 0.9968, 0.9974, 0.9969]


def test_summary_agrees_with_numpy_and_scipy():
    summary = summarise(VALUES)
    assert (summary.min, summary.max) == (0.9968, 0.9974)
    assert summary.mean == pytest.approx(np.mean(VALUES), abs=1e-12)
    assert summary.median == pytest.approx(0.9970, abs=1e-12)
    assert summary.std == pytest.approx(np.std(VALUES, ddof=1))
    interval = stats.t.interval(0.95, 3, np.mean(VALUES), stats.sem(VALUES))
    assert (summary.low, summary.high) == pytest.approx(interval, abs=1e-12)


def test_median_and_range_leave_out_what_was_not_reached():
    assert median_and_range("s", [5, None, 1, 2]) == {"s, median": 2, "s, min": 1, "s, max": 5}
    nothing = {"s, median": None, "s, min": None, "s, max": None}
    assert median_and_range("s", [None]) == median_and_range("s", []) == nothing


def test_one_seed_has_no_deviation():
    check_seed_count(2)
    with pytest.raises(UserError, match="--n must be 2 or more, got 1"):
        check_seed_count(1)
