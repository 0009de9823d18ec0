"""What the tests of the benchmarks share: trainings that only look as if they had been timed."""

import pytest


@pytest.fixture
def timed(monkeypatch):
    """Replace the processes by a stand-in; return the labels and the arguments it was given.

    It answers with what `answers` holds for the label, or else with a plain result.
    """
    calls, answers = [], {}

    def call_in_new_process(label, function, argument):
        calls.append((label, function, argument))
        return answers.get(label) or timed_result([0.9, 0.99], 10)

    call_in_new_process.calls, call_in_new_process.answers = calls, answers
    monkeypatch.setattr("studies.timed_runs.call_in_new_process", call_in_new_process)
    return call_in_new_process


def timed_result(accuracies, seconds_per_epoch):
    """Return what is kept of a timed training."""
    seconds = [seconds_per_epoch * (epoch + 1) for epoch in range(len(accuracies))]
    return {
        "train_seconds": seconds,
        "process_seconds": [s + 5 for s in seconds],
        "test_accuracy": accuracies,
        "n_parameters": 1000,
        "multiply_adds": 2_000_000,
        "flops_per_epoch": 10**12,
        "peak_flops_per_second": 10**12 / 8,
    }
