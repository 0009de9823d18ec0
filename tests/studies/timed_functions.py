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


def wait_or_refuse(file, process_started):
    """Wait in the first process that comes; refuse in the second, once the first one waits."""
    try:
        descriptor = os.open(f"{file}.first", os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        while not (Path(file).exists() and Path(file).read_text()):
            time.sleep(0.05)
        refuse("this", process_started)
    else:
        os.close(descriptor)
        be_ended(file, process_started)


def count_others(folder, process_started):
    """Say how many processes are at work at once."""
    mine = Path(folder) / str(os.getpid())
    mine.write_text("")
    at_once = len(list(Path(folder).iterdir()))
    time.sleep(0.3)
    mine.unlink()
    return {"at_once": at_once}
