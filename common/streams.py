"""Standard output and error that never stop a run, whatever stands in their place.

A terminal that knows only ASCII, a pipe whose reader has gone, a logger with nothing but `write`,
no stream at all: the run goes on, and what cannot be printed is replaced or left out.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

# TensorFlow's C++ side prints these on every machine without a GPU, and LiteRT's the last on every
# machine, before any setting can hush it. They alarm newcomers and mean nothing; every other line
# is passed on.
STARTUP_CHATTER = (
    "All log messages before absl::InitializeLog() is called",
    "oneDNN custom operations are on",
    "Could not find cuda drivers on your machine",
    "failed call to cuInit",
    "Created TensorFlow Lite XNNPACK delegate for CPU.",
)


class TolerantStream:
    """Passes text on to a stream, and swallows what the stream has against it.

    Args:
        stream: anything with a `write` for text; None discards all.
    """

    def __init__(self, stream: Any):
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write the text; letters that the stream's encoding lacks become question marks."""
        if self.stream is not None:
            with suppress(Exception):  # the reader has gone, the stream is closed, ...
                try:
                    self.stream.write(text)
                except UnicodeEncodeError as error:
                    encoding = error.encoding
                    self.stream.write(text.encode(encoding, "replace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flush the stream if it can be."""
        with suppress(Exception):
            self.stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal; one that cannot say is none."""
        with suppress(Exception):
            return bool(self.stream.isatty())
        return False


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """Let no output stream stop what runs inside; also a decorator, as `@tolerant_streams()`."""
    with (
        redirect_stdout(TolerantStream(sys.stdout)),  # type: ignore[type-var]
        redirect_stderr(TolerantStream(sys.stderr)),  # type: ignore[type-var]
    ):
        yield


def finish_streams() -> None:
    """Flush the streams at the end of a program, so that Python's own exit finds them empty.

    Without this, a pipe whose reader has gone gives a message and exit code 120 after the end.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def without_startup_chatter() -> Iterator[None]:
    """Hold stderr back inside the block, then pass on all but STARTUP_CHATTER."""
    with _stderr_held(lambda line: not any(chatter in line for chatter in STARTUP_CHATTER)):
        yield


@contextmanager
def without_stderr() -> Iterator[None]:
    """Discard what is written to stderr inside the block, by C++ libraries, too.

    For calls that raise an error which says all, and print pages beside it.
    """
    with _stderr_held(lambda line: False):
        yield


@contextmanager
def _stderr_held(passes: Callable[[str], bool]) -> Iterator[None]:
    """Hold stderr back inside the block, then pass on the lines for which `passes` is true."""
    try:
        saved, held = os.dup(2), tempfile.TemporaryFile()  # noqa: SIM115
    except OSError:  # no stderr to hold back, or nowhere to hold it
        yield
        return
    with suppress(OSError, ValueError, AttributeError):  # it may be closed or missing
        sys.stderr.flush()
    with held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            with suppress(OSError, ValueError, AttributeError):
                sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if passes(line):
                    print(line, file=sys.stderr)
