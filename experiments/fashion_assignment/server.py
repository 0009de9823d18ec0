"""Asking the assignment's server: JSON over HTTP, with patience for the faults that pass.

The token is sent in the body of the submission only. It is in no text that is made here, not even
where the server sends it back.
"""

import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from common.user_error import UserError

PASSING = (429, 500, 502, 503, 504)  # too many requests, or a server that is down for a moment
MOVED = " It has moved; its new address may begin with https."
HINTS = {
    **dict.fromkeys((301, 302, 303, 307, 308), MOVED),
    401: " Is the token right?",
    403: " Is the token right?",
    404: " Are --server and --assignment-id right?",
}
MOST_BYTES = 300_000_000  # of one answer: 10,000 images as JSON are a third of it
MOST_TIMEOUTS = 20  # that one answer may take, though each of its parts comes in time
LONGEST_TEXT = 200  # letters of what a server says


class PassingFaultError(Exception):
    """It may be over when the server is asked again."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: whoever gets the token is named on the command line."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Return no request, so that the redirection is an error."""
        return None


@dataclass(frozen=True)
class Server:
    """Where to submit, as whom, and with how much patience."""

    url: str  # without a slash at its end; from `checked_url`
    token: str = field(repr=False)
    timeout: float = 30.0  # seconds, for the connection and for each part of an answer
    waits: tuple[float, ...] = (1.0, 3.0, 9.0)  # seconds before the second, third, ... attempt

    def said(self, value: Any) -> str:
        """Return what the server sent as a short text in one line, without the token."""
        text = value if isinstance(value, str) else json.dumps(value)
        for form in (self.token, json.dumps(self.token)[1:-1]):
            text = text.replace(form, "[token]")  # before it is cut: half a token is too much
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        text = " ".join(text.split())
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ..."


def checked_url(url: str) -> str:
    """Return the URL of a server without the slash at its end.

    Raises:
        UserError: it is none, or has parts that a server's URL does not have.
    """
    expected = "expected --server https://HOST or https://HOST/PATH"
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UserError(f"--server is no URL ({error}); {expected}.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UserError(f"--server is no URL of a web server; {expected}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(f"--server has a user, a password, a ? or a #; {expected}.")
    if not url.isascii() or any(letter.isspace() for letter in url.strip()):
        raise UserError(f"--server has blanks or letters that no URL has; {expected}.")
    return url.strip().rstrip("/")


def ask(server: Server, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the server's answer to a GET, or with a body to a POST, of JSON.

    What may pass (no answer, half an answer, an overloaded server) is asked again after the
    server's `waits`. To submit twice does no harm: the best submission counts.

    Raises:
        UserError: the server cannot be reached, refuses, or answers what is no JSON object.
    """
    for wait in server.waits:
        try:
            return _answer(server, path, body)
        except PassingFaultError as fault:
            print(f"{fault}; again in {wait:g} s", flush=True)
        time.sleep(wait)
    try:
        return _answer(server, path, body)
    except PassingFaultError as fault:
        attempts = len(server.waits) + 1
        raise UserError(f"{fault} ({attempts} attempts). Try again later.") from None


def _answer(server: Server, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Ask once.

    Raises:
        PassingFaultError: asking again may help.
        UserError: it does not.
    """
    status, content = _fetch(server, path, body)
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    parsed = answer if isinstance(answer, dict) else {}
    told = parsed.get("error") or (parsed.get("message") if status != 200 else None)
    reason = f": {server.said(told)}" if told else ""
    if status in PASSING:
        raise PassingFaultError(f"the server answered {status}{reason}")
    if status != 200 or reason or parsed.get("success", True) is not True:
        raise UserError(
            f"the server refused /{path} with {status}{reason or ', without a reason'}."
            f"{HINTS.get(status, '')}"
        )
    if not isinstance(answer, dict):
        shown = server.said(content[: 10 * LONGEST_TEXT].decode(errors="replace"))
        raise UserError(f"the server answered /{path} with what is no JSON object: {shown!r}.")
    return answer


def _fetch(server: Server, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
    """Return status and content of one answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(f"{server.url}/{path}", data, headers)
    opener = urllib.request.build_opener(NoRedirects)
    try:
        try:
            response: Any = opener.open(request, timeout=server.timeout)
        except urllib.error.HTTPError as error:  # an answer, too
            response = error
        with response:
            return response.status, _read(response, MOST_TIMEOUTS * server.timeout)
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)  # urllib wraps what happens before the answer
        if isinstance(cause, ssl.SSLCertVerificationError | socket.gaierror):
            raise UserError(f"--server cannot be reached: {server.said(str(cause))}.") from None
        if isinstance(cause, TimeoutError):
            cause = f"no answer within {server.timeout:g} s"
        # The text of an IncompleteRead is its repr, which says how much came.
        raise PassingFaultError(f"the server failed: {server.said(str(cause))}") from None


def _read(response: Any, seconds: float) -> bytes:
    """Return the content of an answer.

    Raises:
        http.client.IncompleteRead: it ends before its announced length.
        TimeoutError: it comes too slowly.
        UserError: it is too long.
    """
    end, parts, size = time.monotonic() + seconds, [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise UserError(f"the server's answer is longer than {MOST_BYTES:,} bytes.")
        if time.monotonic() > end:
            raise TimeoutError
    if response.length:
        raise http.client.IncompleteRead(b"".join(parts), response.length)
    return b"".join(parts)
