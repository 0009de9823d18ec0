"""Submitting to a server on loopback: by our program, and by the course's own package."""

import hashlib
import logging
import math
import re
import traceback
import zipfile

import keras
import numpy as np
import pytest

from architectures.averaging import average_shifts
from common.command_line import run_program
from common.user_error import UserError
from experiments.fashion_assignment import __main__ as program
from experiments.fashion_assignment import server as server_module
from experiments.fashion_assignment.grading import as_submission, grade_of, load_submission
from experiments.fashion_assignment.server import Server, ask, checked_url
from experiments.fashion_assignment.submission import hashes_of, load_inputs, submit
from tests.experiments.assignment_server import (
    TOKEN,
    Assignment,
    loopback_only,
    serving,
    some_images,
)
from tests.tiny import tiny

N = 10
IMAGES, _ = some_images(N)


@pytest.fixture(scope="module")
def network():
    """Return a classifier of images (28, 28, 1) that answers them differently."""
    keras.utils.set_random_seed(0)
    return tiny((28, 28, 1), 10)


@pytest.fixture(scope="module")
def model(network):
    return as_submission(network)


@pytest.fixture(scope="module")
def model_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "submission.keras"
    model.save(path)
    return path


@pytest.fixture
def assignment(model, monkeypatch):
    """Return an assignment that the model solves but for four of its ten images."""
    labels = model.predict(IMAGES / 255, verbose=0).argmax(axis=1)
    labels[:4] = (labels[:4] + 1) % 10
    with loopback_only(monkeypatch):
        yield Assignment(IMAGES, labels)


@pytest.fixture
def url(assignment):
    with serving(assignment) as url:
        yield url


@pytest.fixture
def server(url):
    return Server(url, TOKEN, timeout=5.0, waits=(0.0, 0.0))


# --- What goes well ---


@pytest.mark.parametrize("page", [1, 3, 5, 100])
def test_all_inputs_are_predicted_and_graded(page, assignment, server, model):
    assignment.page = page
    verdict = submit(server, "2", model)
    assert (verdict.accuracy, verdict.grade) == (0.6, 0.75)
    assert verdict.message == "graded the student with [token]"
    (body,) = assignment.submitted
    assert body["user_token"] == TOKEN and len(body["predictions"]) == N
    pages = [path for path in assignment.seen if "inputs" in path]
    assert len(pages) == len(set(pages)) == math.ceil(N / page)


def test_images_are_predicted_at_once(server, model, monkeypatch):
    sizes, predict = [], model.predict
    monkeypatch.setattr(
        model, "predict", lambda images, **options: sizes.append(images.shape) or predict(images)
    )
    submit(server, "2", model)
    assert sizes == [(N, 28, 28)]


@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_images_come_as_they_were_sent(kind, assignment, server):
    assignment.inputs = Assignment(IMAGES, [0] * N, kind=kind).inputs
    inputs = load_inputs(server, "2")
    np.testing.assert_allclose(list(inputs.values()), IMAGES / 255, atol=1e-7)


def test_hash_is_that_of_the_bytes():
    image = np.zeros((28, 28))
    assert hashlib.sha256(bytes(28 * 28 * 8)).hexdigest() in hashes_of(image)
    assert hashlib.sha256(bytes(28 * 28 * 4)).hexdigest() in hashes_of(image)


def test_the_courses_own_package_submits_the_saved_model(assignment, url, model_file):
    # Not in requirements-dev.txt: where pip finds setuptools and wheel, it builds this package in a
    # way that fails. `pip install --use-pep517 kerasltisubmission==0.4.9` works.
    klti = pytest.importorskip("kerasltisubmission", exc_type=ImportError)
    loaded = keras.saving.load_model(model_file)
    provider = klti.LTIProvider(url, f"{url}/submit", TOKEN)
    for verbose in (False, True):  # one batch, and one image after the other
        result = provider.submit(klti.Submission("2", loaded), verbose=verbose)
        assert result == {"2": {"accuracy": 0.6, "grade": 0.75}}
    by_one, by_all = (body["predictions"] for body in assignment.submitted)
    assert by_one == by_all and len(by_all) == N


# --- What goes wrong ---


PASSING = [
    (500, {"error": "out of memory"}),
    (503, "<html>busy</html>"),
    "silence",
    "half",
]


@pytest.mark.parametrize("where", ["/assignment/2/size", "/assignment/2/inputs/1", "/submit"])
@pytest.mark.parametrize("fault", PASSING, ids=["500", "503", "silence", "half"])
def test_a_fault_that_passes_is_asked_again(fault, where, assignment, url, model, capsys):
    assignment.faults[where] = [fault]
    patient = Server(url, TOKEN, timeout=0.3, waits=(0.0,))
    assert submit(patient, "2", model).grade == 0.75
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("the server") and line.endswith("; again in 0 s")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ((500, {"error": "out of memory"}), r"answered 500: out of memory \(3 attempts\)"),
        ((502, "<html>"), r"answered 502 \(3 attempts\). Try again later."),
        ("silence", r"no answer within 0.2 s \(3 attempts\)"),
        ("half", r"IncompleteRead.*\(3 attempts\)"),
    ],
    ids=["500", "502", "silence", "half"],
)
def test_a_fault_that_stays_is_told(fault, message, assignment, url, capsys):
    assignment.faults["/"] = fault
    with pytest.raises(UserError, match=message):
        ask(Server(url, TOKEN, timeout=0.2, waits=(0.0, 0.0)), "assignment/2/size")
    assert len(assignment.seen) == 3 and len(capsys.readouterr().out.splitlines()) == 2


def test_waits_grow(assignment, url, monkeypatch):
    slept = []
    monkeypatch.setattr(server_module.time, "sleep", slept.append)
    assignment.faults["/"] = (500, "")
    with pytest.raises(UserError):
        ask(Server(url, TOKEN), "assignment/2/size")
    assert slept == [1.0, 3.0, 9.0]


def test_an_answer_that_never_ends_is_given_up(assignment, url, monkeypatch):
    assignment.faults["/"] = "drip"
    impatient = Server(url, TOKEN, timeout=0.5, waits=())
    monkeypatch.setattr(server_module, "MOST_TIMEOUTS", 0.4)
    with pytest.raises(UserError, match="no answer within"):
        ask(impatient, "assignment/2/size")
    monkeypatch.setattr(server_module, "MOST_BYTES", 2)
    with pytest.raises(UserError, match="longer than 2 bytes"):
        ask(impatient, "assignment/2/size")


def test_no_server_there():
    with pytest.raises(UserError, match="the server failed: .*1 attempt"):
        ask(Server("http://127.0.0.1:9", TOKEN, 1.0, waits=()), "assignment/2/size")


ENTRY = Assignment(IMAGES, [0] * N).inputs[0]


@pytest.mark.parametrize(
    ("where", "answer", "message"),
    [
        ("/", (404, {"error": "no such assignment"}), "with 404: no such assignment. Are --server"),
        ("/", (404, "<html>nothing</html>"), "with 404, without a reason. Are --server"),
        ("/", (301, ""), "with 301, without a reason. It has moved"),
        ("/", (200, "<html>welcome</html>"), "no JSON object: '<html>welcome</html>'"),
        ("/", (200, "[1]"), "no JSON object"),
        ("/", (200, "[" * 100_000), "no JSON object"),
        ("/", (200, {"success": False, "error": "closed"}), "with 200: closed"),
        ("/", (200, {"success": False}), "with 200, without a reason"),
        ("/assignment/2/size", (200, {}), "announced null inputs, expected from 1 to"),
        ("/assignment/2/size", (200, {"size": True}), "announced true inputs"),
        ("/assignment/2/size", (200, {"size": -3}), "announced -3 inputs"),
        ("/assignment/2/size", (200, {"size": 10**9}), "announced 1000000000 inputs"),
        ("/assignment/2/size", (200, {"size": 11}), "announced 11 inputs, but sent 10"),
        ("/assignment/2/size", (200, {"size": 9}), "announced 9 inputs, but sent 10"),
        ("/assignment/2/inputs/1", (200, {"predict": []}), "announced 10 inputs, but sent 4"),
        ("/assignment/2/inputs/1", (200, {"predict": [ENTRY]}), "input 4 .* comes twice"),
        ("/assignment/2/inputs", (200, {"predict": None}), "page 0 .* no list 'predict'"),
        ("/assignment/2/inputs", (200, {"predict": ["x"]}), "input 0 .* lacks 'hash'"),
        (
            "/assignment/2/inputs",
            (200, {"predict": [{**ENTRY, "hash": "0" * 64}]}),
            "input 0 of the server does not have its hash",
        ),
        (
            "/assignment/2/inputs",
            (200, {"predict": [{"hash": "0", "matrix": [[1], [1, 2]]}]}),
            "no matrix of numbers",
        ),
        (
            "/assignment/2/inputs",
            (200, {"predict": [{"hash": "0", "matrix": [[1]]}]}),
            r"shape \(1, 1\), expected \(28, 28\)",
        ),
        (
            "/assignment/2/inputs",
            (200, {"predict": [{"hash": "0", "matrix": [[255] * 28] * 28}]}),
            "pixels outside 0 to 1",
        ),
        (
            "/assignment/2/inputs",
            (200, {"predict": [{"hash": "0", "matrix": [[math.nan] * 28] * 28}]}),
            "pixels outside 0 to 1",
        ),
        ("/submit", (200, {"accuracy": 0.9}), "the server's grade is null"),
        ("/submit", (200, {"accuracy": "best", "grade": 1}), "the server's accuracy is best"),
        ("/submit", (200, {"accuracy": 0.9, "grade": 7}), "the server's grade is 7, expected"),
        ("/submit", (200, {"accuracy": math.nan, "grade": 1}), "the server's accuracy is NaN"),
        ("/submit", (400, {"error": "Expected 200 predictions"}), "with 400: Expected 200"),
    ],
)
def test_what_a_server_must_not_answer_is_told_in_one_line(
    where, answer, message, assignment, server, model
):
    assignment.faults[where] = answer
    with pytest.raises(UserError, match=message) as caught:
        submit(server, "2", model)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert len(assignment.seen) <= 5  # none of these is asked again


def test_the_deadline_is_told(assignment, server, model):
    assignment.is_open = False
    with pytest.raises(UserError, match="with 400: The deadline for submission was on 2020-12-31"):
        submit(server, "2", model)


def test_an_assignment_that_the_server_does_not_know(server, model):
    with pytest.raises(UserError, match="assignment/7%2F..%3F/size with 404: Could not find"):
        submit(server, "7/..?", model)


def test_what_a_server_says_cannot_write_on_the_terminal(server):
    said = server.said("one\x1b[31m\r\ntwo" + "x" * 1000)
    assert said.startswith("one [31m twoxxx") and len(said) < 210


# --- The token ---


@pytest.mark.parametrize("cut", [0, 190])
def test_a_wrong_token_is_told_without_it(cut, assignment, url, model):
    wrong = Server(url, "wrong-secret-1234567890", 5.0, waits=())
    assignment.faults["/submit"] = (401, {"error": "x" * cut + wrong.token})
    with pytest.raises(UserError, match="with 401: x*.*Is the token right") as caught:
        submit(wrong, "2", model)
    told = "".join(traceback.format_exception(caught.value))
    assert "wrong-secret" not in told and "[token]"[: 200 - cut] in told


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": f"no {TOKEN}"}),
        (401, {"error": {"user_token": TOKEN}}),
        (200, f"<html>{TOKEN}</html>"),
        (200, {"accuracy": TOKEN, "grade": 1}),
        (200, {"accuracy": 0.5, "grade": {"for": TOKEN}}),
        (200, {"accuracy": 0.5, "grade": 0.5, "message": TOKEN}),
        "silence",
        "half",
    ],
)
def test_the_token_is_in_nothing_that_is_printed_logged_or_written(
    answer, assignment, url, model_file, monkeypatch, capfd, caplog, tmp_path
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SUBMISSION_TOKEN", f" {TOKEN}\n")
    monkeypatch.setattr(server_module.time, "sleep", lambda _: None)
    monkeypatch.chdir(tmp_path)
    assignment.faults["/submit"] = answer
    flags = ["--submit", "--assignment-id=2", f"--server={url}", f"--model={model_file}"]
    code = run_program(program.main, [*flags, "--timeout=0.2"])
    printed = capfd.readouterr()
    assert code == (0 if "message" in str(answer) else 2)
    # TensorFlow may tell its makers something first.
    told = [line for line in printed.err.splitlines() if not re.match(r"[EWI]\d{4} ", line)]
    assert len(told) == (0 if code == 0 else 1)
    if isinstance(answer, tuple):
        assert assignment.submitted == [] and "[token]" in printed.out + printed.err
    for text in (printed.out, printed.err, caplog.text):
        assert TOKEN not in text and "s3cret" not in text
    for path in [*tmp_path.rglob("*"), *model_file.parent.rglob("*")]:
        assert path.is_dir() or b"s3cret" not in path.read_bytes()
    assert "s3cret" not in repr(Server(url, TOKEN))


# --- The command line ---


def test_a_model_is_submitted_from_the_command_line(assignment, url, model_file, network, capsys):
    whole = model_file.with_name("model.keras")
    network.save(whole)
    for model in (model_file, whole, model_file.parent):
        flags = ["--submit", "--assignment_id", "2", "--server", f"{url}/", "--model", str(model)]
        assert run_program(program.main, [*flags, "--token", TOKEN]) == 0
        printed = capsys.readouterr()
        assert printed.out.splitlines()[:3] == [
            f"Submitting:                      {model}",
            "Accuracy on the server's images: 60.00 %",
            "Grade:                           0.75",
        ]
        assert printed.err == ""
    assert len(assignment.submitted) == 3


GOOD = {"--assignment-id": "2", "--server": "http://127.0.0.1:9/lti", "--token": "abc123secret"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--assignment-id": None}, "--submit needs --assignment-id ID"),
        ({"--token": None}, "--submit needs a token, in SUBMISSION_TOKEN or by --token"),
        ({"--token": "  "}, "--submit needs a token"),
        ({"--server": None}, "--submit needs --server URL"),
        ({"--server": "open.hpi.de"}, "--server is no URL of a web server; expected"),
        ({"--server": "ftp://host"}, "--server is no URL of a web server"),
        ({"--server": "file:///etc/passwd"}, "--server is no URL of a web server"),
        ({"--server": "https://"}, "--server is no URL of a web server"),
        ({"--server": "https://host:port"}, "--server is no URL"),
        ({"--server": "https://[host"}, "--server is no URL"),
        ({"--server": "https://me:pass@host"}, "--server has a user, a password"),
        ({"--server": "https://host?token=1"}, "--server has a user, a password, a [?]"),
        ({"--server": "https://h\u00f6st"}, "--server has blanks or letters"),
        ({"--server": "https://host/abc123secret"}, "holds the token"),
        ({"--timeout": "0"}, "--timeout must be from 0 to 86,400 seconds"),
        ({"--timeout": "nan"}, "--timeout must be from 0 to 86,400 seconds"),
        ({"--timeout": "soon"}, "invalid float value"),
        ({"--model": "nowhere"}, "there is no model nowhere"),
        ({"--epochs": "3"}, "--submit takes no --epochs"),
        ({"--tokens": "abc123secret"}, "--submit takes no --tokens"),
        ({"--assignment-id": "2", "abc123secret": ""}, "a text without a flag"),
    ],
)
def test_bad_flags_are_told_in_one_line_without_the_token(
    changes, message, monkeypatch, capsys, tmp_path
):
    monkeypatch.delenv("SUBMISSION_TOKEN", raising=False)
    monkeypatch.setattr(program, "submit", None)  # nothing comes so far
    flags = [part for pair in {**GOOD, **changes}.items() if pair[1] is not None for part in pair]
    assert (
        run_program(program.main, ["--submit", f"--folder={tmp_path}", *filter(None, flags)]) == 2
    )
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    assert re.search(message, printed.err) and "abc123secret" not in printed.err


def test_a_run_folder_without_a_model_is_told(tmp_path, capsys):
    flags = [part for pair in GOOD.items() for part in pair]
    assert run_program(program.main, ["--submit", "--model", str(tmp_path), *flags]) == 2
    assert f"there is no model {tmp_path}" in capsys.readouterr().err
    assert run_program(program.main, ["--submit", f"--folder={tmp_path}", *flags]) == 2
    assert "submission-fashion.keras. Train one" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["token", "assignment-id", "server", "model", "timeout"])
def test_flags_of_a_submission_need_submit(flag):
    with pytest.raises(UserError, match=f"--{flag} needs --submit"):
        program.main([f"--{flag}", "1"])


def test_http_is_warned_of_unless_it_stays_on_this_machine(model_file, monkeypatch, capsys):
    monkeypatch.setattr(program, "submit", lambda *_: pytest.fail("not warned first"))
    monkeypatch.setattr(program, "load_submission", lambda _: (_ for _ in ()).throw(UserError("-")))
    flags = ["--submit", "--assignment-id=2", "--token=123", "--server"]
    for url, is_warned in (
        ("http://host/a", True),
        ("https://host/a", False),
        ("http://localhost:80", False),
    ):
        run_program(program.main, [*flags, url])
        assert ("Beware" in capsys.readouterr().err) == is_warned


def test_a_servers_url_has_no_slash_at_its_end():
    assert checked_url(" https://host:8443/lti/ ") == "https://host:8443/lti"


# --- The grade and the model ---


@pytest.mark.parametrize(
    ("accuracy", "grade"),
    [(0, 0), (0.2, 0.25), (0.333, 0.42), (0.6, 0.75), (0.7999, 1), (0.8, 1), (0.9999, 1), (1, 1)],
)
def test_grades(accuracy, grade):
    assert grade_of(accuracy) == grade


def test_a_saved_submission_answers_as_the_network_does_and_needs_nothing_but_keras(
    network, tmp_path
):
    path = tmp_path / "submission.keras"
    as_submission(average_shifts(network)).save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.input_shape == (None, 28, 28) and loaded.output_shape == (None, 10)
    answers = loaded.predict(IMAGES / 255, verbose=0)
    images = (IMAGES / 255)[..., np.newaxis]
    expected = average_shifts(network).predict(images, verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    with zipfile.ZipFile(path) as archive:
        modules = re.findall(r'"module": "([^"]+)"', archive.read("config.json").decode())
    assert modules and all(name.split(".")[0] == "keras" for name in modules)


def test_other_models_are_refused(tmp_path):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((32, 32)), keras.layers.Flatten()]).save(path)
    with pytest.raises(UserError, match=r"\(32, 32\), expected \(28, 28, 1\) or \(28, 28\)"):
        load_submission(path)
