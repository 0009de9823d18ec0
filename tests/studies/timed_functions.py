"""Functions that test_timed_runs calls in processes of their own."""

import dataclasses
import os
import signal
import time
from pathlib import Path

from common.user_error import UserError
from studies.timed_runs import seconds_since

IMPORTED = time.monotonic()


def describe_process(argument, process_started):
    return {
        "argument": argument,
        "pid": os.getpid(),
        "process_started": process_started,
        "seconds": seconds_since(process_started),
        "imported": IMPORTED,
        "ignores_ctrl_c": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
    }


def return_settings(settings, process_started):
    return dataclasses.asdict(settings)


def count_calls(file, process_started):
    path = Path(file)
    path.write_text(path.read_text() + "called\n" if path.exists() else "called\n")
    return {"calls": path.read_text().count("called")}


def refuse(argument, process_started):
    raise UserError(f"{argument} cannot be")


def fail(argument, process_started):
    raise RuntimeError("a fault of the program")


def be_killed(argument, process_started):
    os.kill(os.getpid(), signal.SIGKILL)


def be_ended(file, process_started):
    Path(file).write_text(str(os.getpid()))
    time.sleep(40)  # not for ever: a test that fails waits for it
    Path(file).write_text("not ended")
