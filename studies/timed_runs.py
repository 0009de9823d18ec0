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
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
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
    ((_, result),) = call_in_new_processes(function, {label: argument}, n_workers=1)
    return result


def call_in_new_processes(
    function: TimedFunction, arguments: Mapping[str, Any], n_workers: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield label and result of each call, in the order in which they are finished.

    The end of the iteration, by an error or by Ctrl-C, too, ends all processes.

    Args:
        function: called as `function(argument, process_started)`, each time in a new process.
        arguments: by label.
        n_workers: at most so many processes at the same time.

    Raises:
        UserError: the function raised one, or its process failed (its traceback is printed).
    """
    waiting = list(arguments.items())
    running: dict[Any, tuple[str, SpawnProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < n_workers:
                label, argument = waiting.pop(0)
                receiver, process = _start_process(function, argument)
                running[receiver] = label, process
            for receiver in wait(list(running)):
                outcome = _receive(receiver)
                label, process = running.pop(receiver)
                process.join()
                yield label, _checked(label, outcome, process.exitcode)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _start_process(function: TimedFunction, argument: Any) -> tuple[Connection, SpawnProcess]:
    """Return what will receive the result of a call, and the process that makes it."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (sender, function, argument, time.monotonic())
    process = context.Process(target=_call_and_send, args=arguments)
    with _children_ignore_ctrl_c():
        process.start()
    sender.close()  # this end; so that the child's death closes the pipe
    return receiver, process


def _receive(receiver: Any) -> dict[str, Any] | UserError | None:
    """Return what a process has sent; None if it died without an answer."""
    try:
        return receiver.recv()
    except EOFError:
        return None


def _checked(
    label: str, outcome: dict[str, Any] | UserError | None, exit_code: int | None
) -> dict[str, Any]:
    """Return the result of a call, or raise its UserError."""
    if outcome is None:
        raise UserError(f"the run '{label}' failed: {_how_it_ended(exit_code)}.")
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
