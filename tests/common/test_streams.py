import io
import os
import subprocess
import sys

import pytest

from common.streams import (
    TolerantStream,
    finish_streams,
    tolerant_streams,
    without_startup_chatter,
)


class OnlyWrite:
    """What a logger puts in the place of stdout: no flush, no isatty, no encoding."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class Broken:
    """A pipe whose reader has gone."""

    def write(self, *_):
        raise BrokenPipeError

    flush = isatty = write


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, OnlyWrite(), Broken(), closed()])
def test_no_stream_stops_what_prints(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    with tolerant_streams():
        print("5 × fast_cnn", flush=True)
        print("to stderr", file=sys.stderr)
        assert sys.stdout.isatty() is False
    finish_streams()
    if isinstance(stream, OnlyWrite):
        assert stream.text == "5 × fast_cnn\nto stderr\n"


def test_letters_that_a_stream_lacks_are_replaced():
    raw = io.BytesIO()
    stream = TolerantStream(io.TextIOWrapper(raw, encoding="ascii"))
    print("5 × Größe", file=stream)
    stream.flush()
    assert raw.getvalue() == b"5 ? Gr??e\n"


def test_a_terminal_stays_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = TolerantStream(Terminal())
    assert stream.isatty() is True and stream.write("abc") == 3
    assert stream.getvalue() == "abc"  # all else is the stream's own


def test_streams_are_restored(capsys):
    before = sys.stdout
    with pytest.raises(RuntimeError), tolerant_streams():
        raise RuntimeError
    assert sys.stdout is before


def test_a_reader_that_goes_leaves_no_message_and_no_exit_code():
    code = (
        "import sys; from common.command_line import run_program\n"
        "sys.exit(run_program(lambda _: [print('x' * 1000) for _ in range(1000)], []))"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    program.stdout.close()
    assert program.stderr.read() == b"" and program.wait(timeout=60) == 0


def test_startup_chatter_is_dropped_and_everything_else_passed_on(capfd):
    with without_startup_chatter():
        os.write(2, b"I0000 oneDNN custom operations are on. You may ...\nE0000 out of memory\n")
    assert capfd.readouterr().err == "E0000 out of memory\n"


def test_chatter_is_passed_on_after_an_error_too(capfd):
    with pytest.raises(RuntimeError), without_startup_chatter():
        os.write(2, b"the cause\n")
        raise RuntimeError
    assert capfd.readouterr().err == "the cause\n"


def test_without_a_stderr_nothing_is_held_back(monkeypatch):
    def no_descriptor(_):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", no_descriptor)
    with without_startup_chatter():
        reached = True
    assert reached
