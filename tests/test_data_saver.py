import errno
import hashlib
import json
import os
import shutil
import threading

import keras
import pytest

import _04_data_saver as saver
from _04_data_saver import Record, load_record, parse_record, update_record
from safe_files import write_atomically
from user_error import UserError

PARAMETERS = {
    "architecture": "tiny",
    "seed": 3,
    "networks": 1,
    "epochs_trained": 5,
    "train_seconds": 9.5,
}
GERMAN_RECORD = {
    "test_loss": 0.008994079194962978,
    "test_accuracy": 0.996999979019165,
    "parameters": {
        "angegebene epochs": 150,
        "tatsaelich benoetigte epochs": 41,
        "batch_size": 64,
        "Split der Validierungsdaten:": 0.1,
        "Seed": 2,
    },
}


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"the first model")
    return path


def update(folder, loss, accuracy, model_file, dataset="mnist"):
    return update_record(folder, dataset, loss, accuracy, PARAMETERS, model_file)


def agreement(folder):
    """Return whether model and parameters on the disk belong together."""
    content = json.loads((folder / "best_parameters.json").read_text())
    model = (folder / "best_model.keras").read_bytes()
    return hashlib.sha256(model).hexdigest() == content["model_sha256"]


# --- The rule ---


@pytest.mark.parametrize(
    ("loss", "accuracy", "beats"),
    [
        (0.02, 0.9971, True),  # more accurate, though at a higher loss
        (0.001, 0.9969, False),  # better on loss alone
        (0.008, 0.997, True),  # as accurate, at a lower loss
        (0.009, 0.997, False),  # the same again
        (0.02, 0.997, False),
    ],
)
def test_accuracy_decides_and_loss_only_between_equals(loss, accuracy, beats):
    assert Record(0.009, 0.997, {}).is_beaten_by(loss, accuracy) is beats


def test_first_run_is_a_record_and_a_worse_one_leaves_it_alone(tmp_path, model_file):
    assert load_record(tmp_path, "mnist") is None
    assert update(tmp_path, 0.03, 0.99, model_file)
    before = (tmp_path / "best_parameters.json").read_bytes()
    model_file.write_bytes(b"a worse model")
    assert not update(tmp_path, 0.01, 0.98, model_file)
    assert (tmp_path / "best_parameters.json").read_bytes() == before
    assert (tmp_path / "best_model.keras").read_bytes() == b"the first model"
    record = load_record(tmp_path, "mnist")
    assert (record.test_loss, record.test_accuracy) == (0.03, 0.99)
    assert record.parameters == PARAMETERS


def test_a_training_that_diverged_is_no_record(tmp_path, model_file):
    assert not update(tmp_path, float("nan"), 0.098, model_file)
    assert load_record(tmp_path, "mnist") is None


def test_each_data_set_has_its_own_record(tmp_path, model_file):
    assert update(tmp_path, 0.03, 0.99, model_file)
    assert update(tmp_path, 0.3, 0.9, model_file, dataset="digits")
    assert load_record(tmp_path, "mnist").test_accuracy == 0.99
    assert load_record(tmp_path, "digits").test_accuracy == 0.9
    assert (tmp_path / "best_model_digits.keras").exists()


def test_the_courses_german_record_is_a_record_to_beat(tmp_path, model_file):
    (tmp_path / "best_parameters.json").write_text(json.dumps(GERMAN_RECORD))
    record = load_record(tmp_path, "mnist")
    assert record.test_accuracy == 0.996999979019165
    assert record.parameters == {
        "epochs": 150,
        "epochs_trained": 41,
        "batch_size": 64,
        "val_size": 0.1,
        "seed": 2,
    }
    assert not update(tmp_path, 0.001, 0.9969, model_file)
    assert update(tmp_path, 0.02, 0.9971, model_file)
    assert agreement(tmp_path)


# --- Damaged files ---


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ("[1, 2]", "not a JSON object"),
        ('{"test_loss": 0.1, "parameters": {}}', "lacks test_accuracy"),
        ('{"test_loss": NaN, "test_accuracy": 0.9, "parameters": {}}', "test_loss is nan"),
        ('{"test_loss": -1, "test_accuracy": 0.9, "parameters": {}}', "test_loss is -1"),
        ('{"test_loss": 0.1, "test_accuracy": 99.7, "parameters": {}}', "test_accuracy is 99.7"),
        ('{"test_loss": 0.1, "test_accuracy": "0.9", "parameters": {}}', "test_accuracy is '0.9'"),
        ('{"test_loss": 0.1, "test_accuracy": true, "parameters": {}}', "test_accuracy is True"),
        ('{"test_loss": 0.1, "test_accuracy": 0.9, "parameters": 5}', "parameters is not"),
    ],
)
def test_what_is_no_record_is_kept_aside(tmp_path, model_file, capsys, text, reason):
    (tmp_path / "best_parameters.json").write_text(text)
    assert load_record(tmp_path, "mnist") is None
    assert reason in capsys.readouterr().out
    (aside,) = tmp_path.glob("best_parameters.json.corrupt-*")
    assert aside.read_text() == text
    assert update(tmp_path, 0.5, 0.5, model_file)


# --- Crashes ---


def test_crash_at_any_moment_leaves_model_and_parameters_in_agreement(
    tmp_path, model_file, monkeypatch
):
    replace = os.replace
    model_file.write_bytes(b"the first model")
    assert update(tmp_path, 0.03, 0.99, model_file)
    for survived in range(5):
        folder = tmp_path / f"crash-{survived}"
        shutil.copytree(tmp_path, folder, ignore=shutil.ignore_patterns("crash-*", "*.lock"))
        (folder / "model.keras").write_bytes(b"the second model")
        calls = []

        def crash_later(*args, calls=calls, survived=survived):
            if len(calls) == survived:
                raise SystemError("the power fails")
            calls.append(args)
            replace(*args)

        monkeypatch.setattr(os, "replace", crash_later)
        try:
            is_record = update(folder, 0.02, 0.995, folder / "model.keras")
        except SystemError:
            is_record = None
        monkeypatch.setattr(os, "replace", replace)

        # The next start of the program, whatever it does:
        record = load_record(folder, "mnist")
        assert agreement(folder)
        assert record.test_accuracy in (0.99, 0.995)
        if is_record:
            assert record.test_accuracy == 0.995
        assert list(folder.glob("*.pending")) == []
        # Two files are made ready, then put in place: from the second on, the change counts.
        assert (record.test_accuracy == 0.995) == (survived >= 2)


def full_disk(*_args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_loses_nothing(tmp_path, model_file, monkeypatch):
    assert update(tmp_path, 0.03, 0.99, model_file)
    before = sorted((p.name, p.read_bytes()) for p in tmp_path.iterdir() if p.suffix != ".lock")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(UserError, match=r"cannot write .*No space left.*--output-dir"):
            update(tmp_path, 0.02, 0.995, model_file)
    after = sorted((p.name, p.read_bytes()) for p in tmp_path.iterdir() if p.suffix != ".lock")
    assert before == after
    assert load_record(tmp_path, "mnist").test_accuracy == 0.99


def test_atomic_write_replaces_whole_files_only(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomically(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(UserError, match="cannot write"):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    write_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"] and path.read_text() == "new"


def test_folder_that_cannot_be_written(tmp_path, tiny_settings, model_file):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot write"):
        saver.create_run_folder(
            saver.dataclasses.replace(tiny_settings, output_dir=str(blocked)), {}
        )
    with pytest.raises(UserError, match="cannot write"):
        load_record(blocked, "mnist")


def test_runs_that_is_a_file(tmp_path, tiny_settings):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        saver.create_run_folder(
            saver.dataclasses.replace(tiny_settings, output_dir=str(tmp_path)), {}
        )


# --- Several programs at once ---


def test_parallel_runs_keep_the_best(tmp_path):
    def run(number):
        model = tmp_path / f"model-{number}.keras"
        model.write_bytes(f"model {number}".encode())
        update(tmp_path, 0.1, number / 100, model)

    threads = [threading.Thread(target=run, args=(number,)) for number in (3, 9, 1, 7, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert load_record(tmp_path, "mnist").test_accuracy == 0.09
    assert (tmp_path / "best_model.keras").read_bytes() == b"model 9" and agreement(tmp_path)


def test_a_lock_that_stays_held_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(saver, "LOCK_TIMEOUT_SECONDS", 0.1)
    held = saver.FileLock(tmp_path / "best_parameters.lock")
    with held, pytest.raises(UserError, match="another run has held"):
        load_record(tmp_path, "mnist")


# --- README and run folder ---


def test_readme_block_is_rewritten_and_nothing_else(tmp_path, model_file):
    readme = tmp_path / "README.md"
    begin, end = saver.BLOCK_BEGIN, saver.BLOCK_END
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    assert update(tmp_path, 0.0123456, 0.9971, model_file)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{begin}\n") and text.endswith(f"\n{end}\nafter\n")
    assert "99.71 %" in text and "0.012346" in text and "`tiny`" in text and "old" not in text
    assert update(tmp_path, 0.3, 0.999, model_file, dataset="digits")
    assert readme.read_text(encoding="utf-8") == text


def test_the_records_text_says_how_many_networks_it_averages(tmp_path, model_file):
    readme = tmp_path / "README.md"
    for networks, text in ((1, "by `tiny` with seed"), (5, "by 5 × `tiny` with seed")):
        readme.write_text(f"{saver.BLOCK_BEGIN}\n{saver.BLOCK_END}\n", encoding="utf-8")
        parameters = {**PARAMETERS, "networks": networks}
        update_record(tmp_path, "mnist", 0.01, 0.99 + networks / 1000, parameters, model_file)
        assert text in readme.read_text(encoding="utf-8")


def test_run_folders_are_named_and_never_shared(tiny_settings, monkeypatch):
    monkeypatch.setattr(saver.time, "strftime", lambda _format: "20260102-030405")
    first, second = (saver.create_run_folder(tiny_settings, {"device": "x"}) for _ in range(2))
    assert first.name == "20260102-030405-digits-tiny-seed2"
    assert second.name == "20260102-030405-digits-tiny-seed2-2"
    content = json.loads((first / "settings.json").read_text())
    assert content["settings"]["architecture"] == "tiny"
    assert content["machine"] == {"device": "x"}
    assert "git_commit" in content


def test_no_git_is_no_error(monkeypatch):
    def missing(*_args, **_kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(saver.subprocess, "run", missing)
    assert saver.git_commit() is None


def test_commit_is_dirty_when_a_python_file_differs(monkeypatch):
    answers = {"rev-parse": "abc123", "status": ""}
    monkeypatch.setattr(saver, "_git", lambda command, *_: answers[command])
    assert saver.git_commit() == "abc123"
    answers["status"] = " M _00_main.py"
    assert saver.git_commit() == "abc123-dirty"
    answers["rev-parse"] = ""
    assert saver.git_commit() is None


def test_saved_model_can_be_loaded(tmp_path, splits):
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    saver.save_model(model, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.predict(splits.x_test[:2], verbose=0).shape == (2, 784)
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def test_model_that_cannot_be_saved(tmp_path):
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    with pytest.raises(UserError, match="cannot write"):
        saver.save_model(model, tmp_path / "missing" / "model.keras")


def test_record_that_is_parsed_has_floats():
    record = parse_record('{"test_loss": 0, "test_accuracy": 1, "parameters": {}}')
    assert record == Record(0.0, 1.0, {})


def test_json_of_a_run_folder(tmp_path):
    with pytest.raises(UserError, match="is .* a run folder"):
        saver.read_json(tmp_path / "settings.json")
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        saver.read_json(tmp_path / "settings.json")
