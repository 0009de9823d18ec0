from studies import timed_steps
from studies.timed_steps import Repetitions, median_seconds


def test_median_leaves_out_the_first_calls_and_stops_when_it_takes_too_long(monkeypatch):
    calls, now = [], [0.0]
    seconds = iter([100.0, 1.0, 5.0, 2.0, 50.0, 50.0])

    def function():
        calls.append(1)
        now[0] += next(seconds)

    monkeypatch.setattr(timed_steps.time, "perf_counter", lambda: now[0])
    repetitions = Repetitions(3, warm_ups=1)
    assert median_seconds(function, repetitions) == 2.0 and len(calls) == 4
    calls.clear()
    assert median_seconds(function, repetitions) == 50.0 and len(calls) == 2  # past MOST_SECONDS
