"""A study on a PostgreSQL server that is started here, on this machine alone."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from common.user_error import UserError
from studies import many_runs
from studies.run_queue import counting_trials
from studies.study_storage import StorageError, open_study
from tests.studies.stub_worker import let_go, start_worker

pytest.importorskip("optuna")
pytest.importorskip("psycopg")
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore:Heartbeat of storage"),
]


def find_programs():
    """Return the folder of initdb and pg_ctl; Debian keeps them out of the path."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Server:
    """A PostgreSQL server with an empty database, in a folder of its own."""

    def __init__(self, folder, programs):
        self.folder, self.programs = folder, programs
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql+psycopg://tester@127.0.0.1:{self.port}/postgres"

    def call(self, program, *arguments):
        # The server refuses to be run by root.
        user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        command = [self.programs / program, "-D", self.folder / "data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **user)

    def begin(self):
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.call("initdb", "-U", "tester", "--auth=trust", "--no-sync")
        self.pg_ctl("start")

    def pg_ctl(self, action):
        options = f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
        self.call("pg_ctl", "-w", "-m", "fast", "-l", self.folder / "log", "-o", options, action)


@pytest.fixture(scope="module")
def server():
    programs = find_programs()
    if programs is None:
        assert "REQUIRE_POSTGRESQL" not in os.environ, "PostgreSQL is not installed"
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), programs)
        server.begin()
        try:
            yield server
        finally:
            server.call("pg_ctl", "-m", "immediate", "stop")


# Of the module, as `isolated` keeps the process of a test off all sockets.
@pytest.fixture(scope="module")
def disturbed(server, tmp_path_factory):
    """Let three workers make twelve runs; kill one in mid-run, and start the server anew."""
    log, n_runs = tmp_path_factory.mktemp("workers") / "log.txt", 12
    workers = [start_worker(server.url, log, n_runs, "--slow") for _ in range(3)]
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
            let_go(worker)
        killed, *others = workers
        while "began a run" not in (line := killed.stdout.readline()):
            assert line, "the worker has ended"
        killed.kill()
        while len(log.read_text().split()) < 5:
            time.sleep(0.1)
        server.pg_ctl("restart")
        printed = [worker.communicate(timeout=120)[0] for worker in others]
    finally:
        for worker in workers:
            worker.kill()
    study = open_study("study", server.url)
    trials = study.get_trials()
    return printed, [int(line) for line in log.read_text().split()], trials, counting_trials(study)


def test_every_worker_that_is_left_ends_with_all_results(disturbed):
    printed, *_ = disturbed
    result = "result: " + " ".join(str(seed / 100) for seed in range(12)) + "\n"
    assert len(printed) == 2 and all(result in text for text in printed)


def test_each_run_is_finished_and_counted_once(disturbed):
    _, _, trials, counting = disturbed
    labels = {f"seed {seed}" for seed in range(12)}
    complete = [trial.user_attrs["label"] for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(complete) == sorted(labels)
    assert set(counting) == labels
    assert {trial.state.name for trial in counting.values()} == {"COMPLETE"}


def test_only_runs_that_were_disturbed_were_begun_again(disturbed):
    _, begun, *_ = disturbed
    assert set(begun) == set(range(12))
    assert 13 <= len(begun) <= 12 + 3  # the killed worker's, and one of each when the server ended


def test_a_server_that_cannot_be_reached_is_one_line_without_the_password():
    url = "postgresql+psycopg://me:secret@127.0.0.1:9/postgres"
    with pytest.raises(StorageError, match=r"me:\*\*\*@127.0.0.1:9/postgres failed: ") as caught:
        open_study("study", url)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg://me@here:port/x", "the storage is no URL of a database"),
        ("postgresql+nothing://me@here/x", "a database or driver that is unknown here"),
    ],
)
def test_an_url_that_cannot_be_is_one_line(url, message):
    with pytest.raises(UserError, match=message):
        open_study("study", url)


def test_a_worker_gives_up_on_a_server_that_stays_away(monkeypatch, capsys):
    attempts = []

    def fail(*arguments):
        attempts.append(arguments)
        raise StorageError("the study's database failed.")

    monkeypatch.setattr(many_runs, "open_study", lambda *_: None)
    monkeypatch.setattr(many_runs, "work_on", fail)
    monkeypatch.setattr(many_runs.time, "sleep", lambda _: None)
    with pytest.raises(UserError, match="failed"):
        many_runs.run_all("study", {}, "postgresql://me@here/x")
    assert len(attempts) == many_runs.RECONNECTIONS + 1
    attempts.clear()
    with pytest.raises(UserError, match="failed"):
        many_runs.run_all("study", {}, "sqlite:///x.db")  # a file does not come back
    assert len(attempts) == 1
