import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from common.user_error import UserError
from studies.timed_runs import call_in_new_process, call_in_new_processes, load_or_run, take_turns
from tests.conftest import make_tiny_settings
from tests.studies import timed_functions

PROJECT = Path(__file__).parent.parent.parent


def wait_until(condition, what):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def is_running(pid):
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def ctrl_c():
    """Let Ctrl-C have its usual meaning, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_clock_starts_when_the_parent_starts_the_process(ctrl_c):
    before = time.monotonic()
    result = call_in_new_process("label", timed_functions.describe_process, [1, "two"])
    after = time.monotonic()
    assert result["argument"] == [1, "two"] and result["pid"] != os.getpid()
    # Python's start and the imports lie between the start of the clock and the function.
    assert before <= result["process_started"] < result["imported"]
    assert result["imported"] - result["process_started"] < result["seconds"] < after - before
    assert result["ignores_ctrl_c"]
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_result_is_kept_with_its_settings_and_not_made_again(tmp_path):
    folder, calls = tmp_path / "new" / "folder", str(tmp_path / "calls.txt")
    make = lambda label, settings: load_or_run(  # noqa: E731
        folder, label, timed_functions.count_calls, calls, settings
    )
    first = make("a-0", {"seed": 0, "rate": 1e-3})
    assert first == {"settings": {"seed": 0, "rate": 1e-3}, "calls": 1}
    assert make("a-0", {"seed": 0, "rate": 1e-3}) == first
    assert Path(calls).read_text().count("called") == 1
    with pytest.raises(UserError, match="a-0.json was made with other settings.*--folder"):
        make("a-0", {"seed": 0, "rate": 2e-3})
    assert [path.name for path in folder.iterdir()] == ["a-0.json"]


def test_settings_reach_the_process(tmp_path):
    settings = make_tiny_settings(tmp_path, epochs=3)
    result = call_in_new_process("label", timed_functions.return_settings, settings)
    assert result["epochs"] == 3 and result["output_dir"] == str(tmp_path.resolve())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (timed_functions.refuse, "^this cannot be$"),
        (timed_functions.fail, "^the run 'a-0' failed: its process ended with exit code 1"),
        pytest.param(
            timed_functions.be_killed,
            "^the run 'a-0' failed: its process was ended by SIGKILL .out of memory",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no signals"),
        ),
    ],
)
def test_failing_process_is_one_line_and_leaves_no_result(tmp_path, capfd, function, message):
    with pytest.raises(UserError, match=message):
        load_or_run(tmp_path, "a-0", function, "this", {})
    assert not (tmp_path / "a-0.json").exists()
    printed = capfd.readouterr().err
    assert ("a fault of the program" in printed) == (function is timed_functions.fail)
    assert ("Traceback" in printed) == (function is timed_functions.fail)


@pytest.mark.parametrize("content", ["", "[1]", '{"settings": 1}', '{"settings"'])
def test_damaged_result_is_one_line(tmp_path, content):
    (tmp_path / "a-0.json").write_text(content)
    with pytest.raises(UserError, match="a-0.json"):
        load_or_run(tmp_path, "a-0", timed_functions.refuse, "this", {"seed": 0})


def test_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write .*file"):
        load_or_run(tmp_path / "file", "a-0", timed_functions.refuse, "this", {})


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into Linux' /proc")
def test_ctrl_c_ends_the_process_too(tmp_path, ctrl_c):
    pid_file = tmp_path / "pid"

    def press_ctrl_c():
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the process began")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_ctrl_c).start()
    with pytest.raises(KeyboardInterrupt):
        call_in_new_process("label", timed_functions.be_ended, str(pid_file))
    assert not is_running(int(pid_file.read_text()))


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into Linux' /proc")
def test_a_call_that_fails_ends_the_others(tmp_path):
    pid_file = tmp_path / "pid"
    arguments = {"a": str(pid_file), "b": str(pid_file)}
    with pytest.raises(UserError, match="cannot be"):
        list(call_in_new_processes(timed_functions.wait_or_refuse, arguments, n_workers=2))
    assert not is_running(int(pid_file.read_text()))


def test_no_more_processes_than_workers(tmp_path):
    arguments = {str(number): str(tmp_path) for number in range(4)}
    results = dict(call_in_new_processes(timed_functions.count_others, arguments, n_workers=2))
    assert list(map(str, range(4))) == sorted(results)
    assert max(result["at_once"] for result in results.values()) <= 2


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into Linux' /proc")
def test_process_ends_when_the_program_is_killed(tmp_path):
    pid_file = tmp_path / "pid"
    program = (
        "from studies.timed_runs import call_in_new_process\n"
        "from tests.studies.timed_functions import be_ended\n"
        f"call_in_new_process('label', be_ended, {str(pid_file)!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT)
    try:
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the process began")
        child = int(pid_file.read_text())
        assert is_running(child)
        parent.kill()
        parent.wait()
        wait_until(lambda: not is_running(child), "the process ended")
    finally:
        parent.kill()
        if pid_file.exists() and is_running(pid := int(pid_file.read_text())):
            os.kill(pid, signal.SIGKILL)


def test_turns_go_round_and_results_are_in_the_order_of_the_seeds():
    made = []

    def make(name, seed):
        made.append((name, seed))
        return {"made": (name, seed)}

    results = take_turns({name: lambda seed, name=name: make(name, seed) for name in "ba"}, 2)
    assert made == [("b", 0), ("a", 0), ("b", 1), ("a", 1)]
    assert list(results) == ["b", "a"]
    assert results["a"] == [{"made": ("a", 0)}, {"made": ("a", 1)}]
