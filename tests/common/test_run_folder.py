import json
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from common import run_folder
from common.command_line import PROJECT_DIR
from common.data import Arrays, sha256_of
from common.run_folder import (
    create_run_folder,
    git_commit,
    hint_when_interrupted,
    open_or_create,
    output_dir_of,
    read_description,
    read_finished,
    read_history,
    read_unfinished,
    resume_command,
)
from common.user_error import DivergedError, UserError
from tests.conftest import make_tiny_settings

ARRAYS = Arrays(*(np.full((2, 3), number, np.uint8) for number in range(4)))


@pytest.fixture
def folder(tiny_settings):
    """Return the folder of a run that has just begun."""
    return create_run_folder(tiny_settings, {"device": "x"}, sha256_of(*ARRAYS))


# --- Making one ---


def test_run_folders_are_named_and_never_shared(tiny_settings, monkeypatch):
    monkeypatch.setattr(run_folder.time, "strftime", lambda _format: "20260102-030405")
    first, second = (create_run_folder(tiny_settings, {}, "") for _ in range(2))
    assert first.name == "20260102-030405-digits-tiny-seed2"
    assert second.name == "20260102-030405-digits-tiny-seed2-2"
    assert first.parent == Path(tiny_settings.output_dir) / "runs"


def test_a_run_folder_says_what_the_run_depends_on(folder, tiny_settings):
    description = read_description(folder)
    assert description.settings["architecture"] == "tiny" and description.settings["seed"] == 2
    assert description.machine == {"device": "x"}
    assert description.data_sha256 == sha256_of(*ARRAYS)
    assert description.git_commit == git_commit()
    assert "output_dir" not in description.settings  # the folder may be moved
    assert tiny_settings.output_dir not in (folder / "settings.json").read_text()


@pytest.mark.parametrize("in_the_way", ["out", "out/runs"])
def test_folder_that_cannot_be_made(tmp_path, in_the_way):
    settings = make_tiny_settings(tmp_path / "out")
    (tmp_path / in_the_way).parent.mkdir(exist_ok=True)
    (tmp_path / in_the_way).write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot write"):
        create_run_folder(settings, {}, "")


def test_other_data_are_refused_when_a_run_goes_on(folder, tiny_settings):
    assert open_or_create(folder, tiny_settings, {}, ARRAYS) == folder
    for number in range(4):
        changed = list(ARRAYS)
        changed[number] = changed[number] + 1
        with pytest.raises(
            UserError, match=r"was begun with other data .* Give the same with --data-d"
        ):
            open_or_create(folder, tiny_settings, {}, Arrays(*changed))
    new = open_or_create(None, tiny_settings, {}, ARRAYS)
    assert new != folder and read_description(new).data_sha256 == sha256_of(*ARRAYS)


# --- Git ---


def test_no_git_is_no_error(monkeypatch):
    def missing(*_args, **_kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(run_folder.subprocess, "run", missing)
    assert git_commit() is None


def test_a_folder_outside_git_has_no_commit(monkeypatch):
    def refuse(command, **_):
        return subprocess.CompletedProcess(command, 128, stdout="fatal: not a git repository")

    monkeypatch.setattr(run_folder.subprocess, "run", refuse)
    assert git_commit() is None


def test_commit_is_dirty_when_a_python_file_differs(monkeypatch):
    answers = {"rev-parse": "abc123", "status": ""}
    monkeypatch.setattr(run_folder, "_git", lambda command, *_: answers[command])
    assert git_commit() == "abc123"
    answers["status"] = " M _00_main.py"
    assert git_commit() == "abc123-dirty"
    answers["rev-parse"] = ""
    assert git_commit() is None


# --- Reading one ---


def test_an_interrupted_run_is_read_with_all_its_settings(folder, tiny_settings):
    settings = read_unfinished(folder).settings
    assert settings["epochs"] == tiny_settings.epochs and "output_dir" not in settings


def change_settings(folder, **changes):
    path = folder / "settings.json"
    content = json.loads(path.read_text())
    content["settings"] |= changes
    content["settings"] = {k: v for k, v in content["settings"].items() if v != "drop"}
    path.write_text(json.dumps(content))


def test_a_run_of_another_version_is_not_gone_on_with(folder):
    change_settings(folder, label_smoothing="drop")
    with pytest.raises(UserError, match="lacks label_smoothing: it is of another version"):
        read_unfinished(folder)
    change_settings(folder, label_smoothing=0.05, momentum=0.9)
    with pytest.raises(UserError, match="has the unknown momentum"):
        read_unfinished(folder)
    change_settings(folder, momentum="drop", output_dir="/where/it/was")  # of earlier versions
    assert "output_dir" not in read_unfinished(folder).settings


def test_a_finished_run_is_not_resumed_and_an_unfinished_not_drawn(folder):
    with pytest.raises(UserError, match=r"is not finished. Go on with: python .*--resume"):
        read_finished(folder)
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match=r"is complete.*_05_model_plot.py"):
        read_unfinished(folder)
    for name in ("model.keras", "history.csv"):
        with pytest.raises(UserError, match=f"has no {name}"):
            read_finished(folder)
        (folder / name).write_text("")
    assert read_finished(folder).settings["architecture"] == "tiny"


@pytest.mark.parametrize("content", ["{}", '{"settings": 3}', "[]", "null", "3"])
def test_a_settings_file_without_settings(tmp_path, content):
    with pytest.raises(UserError, match="is no run folder: it has no settings.json"):
        read_description(tmp_path)
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(UserError, match="holds no settings of a run"):
        read_description(tmp_path)


def test_history_is_a_row_per_epoch(tmp_path):
    (tmp_path / "history.csv").write_text(
        "epoch,phase,loss,val_loss\n1,augmented,0.1234567890123456,0.5\n2,polish,0.25,0.5\n"
    )
    history = read_history(tmp_path)
    assert list(history["epoch"]) == [1, 2] and list(history["phase"]) == ["augmented", "polish"]
    assert history["loss"][0] == pytest.approx(0.1234567890123456, rel=1e-12)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"a,b\n1,2,3\n4\n", b"epoch\n1\n", None])
def test_a_damaged_history_gets_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"history\.csv"):
        read_history(tmp_path)


# --- Going on ---


def test_a_run_belongs_where_its_folder_lies(tmp_path):
    assert output_dir_of(tmp_path / "here" / "runs" / "a") == tmp_path / "here"
    assert output_dir_of(tmp_path / "alone") == tmp_path


def test_the_resume_command_works_from_everywhere(tmp_path, monkeypatch):
    folder = tmp_path / "a folder" / "runs" / "x"
    monkeypatch.chdir(PROJECT_DIR)
    assert shlex.split(resume_command(folder)) == ["python", "_00_main.py", "--resume", str(folder)]
    monkeypatch.chdir(tmp_path)
    script = str(PROJECT_DIR / "_00_main.py")
    assert shlex.split(resume_command(folder)) == ["python", script, "--resume", str(folder)]


def test_on_windows_the_command_is_quoted_for_windows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("common.command_line.platform.system", lambda: "Windows")
    monkeypatch.setattr("common.command_line.PROJECT_DIR", tmp_path)
    assert resume_command("C:\\My runs\\x") == 'python _00_main.py --resume "C:\\My runs\\x"'


def test_interruption_and_full_disk_name_the_command(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt), hint_when_interrupted(tmp_path):
        raise KeyboardInterrupt
    assert f"--resume {tmp_path}" in capsys.readouterr().err
    what = r"disk full. Then go on with: python .*--resume"
    with pytest.raises(UserError, match=what), hint_when_interrupted(tmp_path):
        raise UserError("disk full.")


def test_a_training_that_diverged_is_not_to_be_resumed(tmp_path):
    with pytest.raises(DivergedError) as caught, hint_when_interrupted(tmp_path):
        raise DivergedError("it diverged")
    assert str(caught.value) == "it diverged"
