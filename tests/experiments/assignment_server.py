"""A server of the assignment for the tests: in a thread, on loopback, with faults on demand."""

import _socket
import hashlib
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

TOKEN = 's3cret-Tok\u00e9n "of" one student'
GET_ADDRESS = socket.getaddrinfo  # before conftest.py forbids it


@contextmanager
def loopback_only(monkeypatch):
    """Allow connections to this machine, and to no other."""

    def connect(self, address):
        assert address[0] in ("127.0.0.1", "localhost"), f"a test connects to {address}"
        return _socket.socket.connect(self, address)

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket, "getaddrinfo", GET_ADDRESS)
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.delenv(name, raising=False)
        patch.setenv("no_proxy", "127.0.0.1")
        yield


class Assignment:
    """What the server knows, counts and does wrong.

    `faults` maps the beginning of a path to what is answered instead of the truth: a list is used
    up one by one, and None in it means the truth; anything else holds for ever. An answer is a
    status and a text or a JSON object, or "silence", "half" or "drip".
    """

    def __init__(self, images, labels, page=4, kind="float64"):
        pixels = (images / 255).astype(kind)
        self.inputs = [
            {"hash": hashlib.sha256(image.tobytes()).hexdigest(), "matrix": image.tolist()}
            for image in pixels
        ]
        self.labels = {
            entry["hash"]: int(label) for entry, label in zip(self.inputs, labels, strict=True)
        }
        self.page, self.faults, self.seen, self.submitted = page, {}, [], []
        self.is_open = True
        self.finish = threading.Event()

    def answer(self, path, body):
        """Return status and content."""
        if path == "/assignment/2/size":
            return 200, {"size": len(self.inputs)}
        if path.startswith("/assignment/2/inputs/"):
            begin = int(path.rsplit("/", 1)[1]) * self.page
            return 200, {"predict": self.inputs[begin : begin + self.page]}
        if path == "/submit" and body is not None:
            return self.grade(body)
        return 404, {"error": "Could not find assignment"}

    def grade(self, body):
        self.submitted.append(body)
        if body["user_token"] != TOKEN or str(body["assignment_id"]) != "2":
            return 401, {"error": f"no user has the token {body['user_token']}"}
        if not self.is_open:
            return 400, {"error": "The deadline for submission was on 2020-12-31"}
        if body["predictions"].keys() != self.labels.keys():
            return 400, {"error": f"Expected {len(self.labels)} predictions"}
        right = sum(self.labels[key] == value for key, value in body["predictions"].items())
        accuracy = round(right / len(self.labels), 2)
        grade = round(min(accuracy / 0.8, 1), 2)
        said = f"graded the student with {body['user_token']}"
        return 200, {"accuracy": accuracy, "grade": grade, "message": said, "error": None}

    def next_fault(self, path):
        for beginning, fault in self.faults.items():
            if path.startswith(beginning):
                return (fault.pop(0) if fault else None) if isinstance(fault, list) else fault
        return None


@contextmanager
def serving(assignment):
    """Serve an assignment inside the block; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self, body=None):
            assignment.seen.append(self.path)
            path = self.path.removeprefix("/lti")
            fault = assignment.next_fault(path)
            if fault == "silence":
                assignment.finish.wait(20)
                return
            if fault == "drip":
                self.send_response(200)
                self.end_headers()
                while not assignment.finish.wait(0.02):
                    self.wfile.write(b" ")
                return
            status, content = assignment.answer(path, body) if fault in (None, "half") else fault
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if fault == "half" else data)

        def do_POST(self):
            length = int(self.headers["Content-Length"])
            self.do_GET(json.loads(self.rfile.read(length)))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/lti"
    finally:
        assignment.finish.set()
        server.shutdown()
        thread.join()
        server.server_close()


def some_images(n):
    """Return n different images, uint8 (n, 28, 28), and their labels, int (n,)."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (n, 28, 28)).astype("uint8"), random.integers(0, 10, n)
