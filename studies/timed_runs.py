"""Runs that are timed, each in a process of its own, and kept in a folder as JSON.

A process of its own, because the time of the first run in a process differs from that of the next
ones, and because the clock of interest begins when the process is started: Python's start and all
imports count. A comparison that was killed goes on: what its folder holds is not run again.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common.safe_files import read_json, write_json, writing
from common.streams import tolerant_streams
from common.user_error import UserError

# A function of an importable module: it takes something that can be pickled, and when its process
# was started, and returns what JSON can hold. `seconds_since(started)` reads the clock.
TimedFunction = Callable[[Any, float], dict[str, Any]]


def seconds_since(process_started: float) -> float:
    """Return the seconds since a process was started, by the parent's note of it."""
    return time.monotonic() - process_started  # one clock for all processes of a machine


def load_or_run(
    folder: Path,
    label: str,
    function: TimedFunction,
    argument: Any,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the result of a timed run from the folder, or make the run and keep its result.

    Args:
        folder: holds `<label>.json` for each run; made if need be.
        function: called as `function(argument, process_started)` in a new process.
        settings: all that the run depends on, as JSON can hold it; kept beside the result.

    Raises:
        UserError: the folder has the label with other settings or cannot be written, or the run
            failed.
    """
    path = folder / f"{label}.json"
    if path.exists():
        result = read_json(path)
        if not isinstance(result, dict) or result.get("settings") != settings:
            raise UserError(f"{path} was made with other settings. Choose another --folder.")
        return result
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    print(f"\n=== {label} ===", flush=True)
    result = {"settings": dict(settings), **call_in_new_process(label, function, argument)}
    write_json(path, result)
    return result


def take_turns(
    timed: Mapping[str, Callable[[int], dict[str, Any]]], n_turns: int
) -> dict[str, list[dict[str, Any]]]:
    """Return the results of `n_turns` calls of each function, made in turns: A B C, A B C, ...

    On a machine whose speed drifts, only ratios within a turn mean anything.

    Args:
        timed: by name, a function of the seed, which is that of the turn: 0, 1, ...
    """
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in timed}
    for seed in range(n_turns):
        for name, function in timed.items():
            results[name].append(function(seed))
    return results


# --- A process of its own -----------------------------------------------------------------------


def call_in_new_process(label: str, function: TimedFunction, argument: Any) -> dict[str, Any]:
    """Return `function(argument, process_started)` of a new process.

    Ctrl-C ends the process.

    Raises:
        UserError: the function raised one, or its process failed (its traceback is printed).
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process_started = time.monotonic()
    arguments = (sender, function, argument, process_started)
    process = context.Process(target=_call_and_send, args=arguments)
    with _children_ignore_ctrl_c():
        process.start()
    sender.close()  # this end; so that the child's death closes the pipe
    try:
        outcome = receiver.recv()
    except EOFError:  # it died without an answer
        outcome = None
    except BaseException:  # Ctrl-C, above all
        process.terminate()
        raise
    finally:
        process.join()
    if outcome is None:
        raise UserError(f"the run '{label}' failed: {_how_it_ended(process.exitcode)}.")
    if isinstance(outcome, UserError):
        raise outcome
    return outcome


def _how_it_ended(exit_code: int | None) -> str:
    """Return what the exit code of a process without an answer means."""
    if exit_code is None or exit_code >= 0:
        return f"its process ended with exit code {exit_code} (see above)"
    name = signal.Signals(-exit_code).name
    return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


@contextmanager
def _children_ignore_ctrl_c() -> Iterator[None]:
    """Let a process that is started in the block ignore Ctrl-C, which a terminal sends to both.

    Otherwise a process that is still importing would answer with a traceback. This one ends it.
    """
    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _call_and_send(
    sender: Connection, function: TimedFunction, argument: Any, process_started: float
) -> None:
    """Call the function in the new process and send back what it returns, or its UserError."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Windows' processes inherit nothing
    threading.Thread(target=_end_with_parent, daemon=True).start()
    outcome: dict[str, Any] | UserError
    try:
        with tolerant_streams():
            outcome = function(argument, process_started)
    except UserError as error:
        outcome = error
    sender.send(outcome)


def _end_with_parent() -> None:
    """End this process when the one that waits for its answer is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
