import errno
import hashlib
import json
import os
import shutil
import threading

import keras
import numpy as np
import pytest

import _04_data_saver as saver
from _04_data_saver import (
    Record,
    load_record,
    parse_record,
    record_place,
    save_run,
    update_record,
)
from common.data import Arrays
from common.user_error import UserError
from tests.conftest import make_tiny_settings

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


DATA = Arrays(*(np.full((1, 2), number, np.uint8) for number in range(4)))


def place_in(folder, dataset="mnist", arrays=DATA):
    data_dir = folder if dataset == "custom" else None
    return record_place(make_tiny_settings(folder, dataset=dataset, data_dir=data_dir), arrays)


def update(folder, loss, accuracy, model_file, **which):
    return update_record(place_in(folder, **which), loss, accuracy, PARAMETERS, model_file)


def load(folder, **which):
    return load_record(place_in(folder, **which))


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
    assert load(tmp_path) is None
    assert update(tmp_path, 0.03, 0.99, model_file)
    before = (tmp_path / "best_parameters.json").read_bytes()
    model_file.write_bytes(b"a worse model")
    assert not update(tmp_path, 0.01, 0.98, model_file)
    assert (tmp_path / "best_parameters.json").read_bytes() == before
    assert (tmp_path / "best_model.keras").read_bytes() == b"the first model"
    record = load(tmp_path)
    assert (record.test_loss, record.test_accuracy) == (0.03, 0.99)
    assert record.parameters == PARAMETERS


def test_a_training_that_diverged_is_no_record(tmp_path, model_file):
    assert not update(tmp_path, float("nan"), 0.098, model_file)
    assert load(tmp_path) is None


def test_each_data_set_has_its_own_record(tmp_path, model_file):
    assert update(tmp_path, 0.03, 0.99, model_file)
    assert update(tmp_path, 0.3, 0.9, model_file, dataset="digits")
    assert load(tmp_path).test_accuracy == 0.99
    assert load(tmp_path, dataset="digits").test_accuracy == 0.9
    assert (tmp_path / "best_model_digits.keras").exists()


def test_the_courses_german_record_is_a_record_to_beat(tmp_path, model_file):
    (tmp_path / "best_parameters.json").write_text(json.dumps(GERMAN_RECORD))
    record = load(tmp_path)
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
    assert load(tmp_path) is None
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
        record = load(folder)
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
    assert load(tmp_path).test_accuracy == 0.99


def test_folder_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot write"):
        load(blocked)


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
    assert load(tmp_path).test_accuracy == 0.09
    assert (tmp_path / "best_model.keras").read_bytes() == b"model 9" and agreement(tmp_path)


def test_a_lock_that_stays_held_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(saver, "LOCK_TIMEOUT_SECONDS", 0.1)
    held = saver.FileLock(tmp_path / "best_parameters.lock")
    with held, pytest.raises(UserError, match="another run has held"):
        load(tmp_path)


# --- The user's own data ---


def test_data_of_ones_own_have_a_record_each(tmp_path, model_file):
    for number in range(4):  # each of the four arrays counts
        other = list(DATA)
        other[number] = other[number] + 1
        assert update(tmp_path, 0.0, 1.0, model_file, dataset="custom", arrays=Arrays(*other))
    assert load(tmp_path, dataset="custom") is None
    assert update(tmp_path, 0.5, 0.5, model_file, dataset="custom")
    assert load(tmp_path, dataset="custom").test_accuracy == 0.5
    assert len(list(tmp_path.glob("best_parameters_custom_*.json"))) == 5


# --- README ---

BEGIN, END = "<!-- record:begin -->", "<!-- record:end -->"


def test_readme_block_is_rewritten_and_nothing_else(tmp_path, model_file):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert update(tmp_path, 0.0123456, 0.9971, model_file)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"\n{END}\nafter\n")
    assert "99.71 %" in text and "0.012346" in text and "`tiny`" in text and "old" not in text
    assert update(tmp_path, 0.3, 0.999, model_file, dataset="digits")
    assert readme.read_text(encoding="utf-8") == text


def test_the_records_text_says_how_many_networks_it_averages(tmp_path, model_file):
    readme = tmp_path / "README.md"
    for networks, text in ((1, "by `tiny` with seed"), (5, "by 5 × `tiny` with seed")):
        readme.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
        parameters = {**PARAMETERS, "networks": networks}
        update_record(place_in(tmp_path), 0.01, 0.99 + networks / 1000, parameters, model_file)
        assert text in readme.read_text(encoding="utf-8")


def test_the_users_encoding_line_ends_rights_and_link_stay(tmp_path, model_file):
    real = tmp_path / "elsewhere.md"
    real.write_bytes(f"Größe\r\n{BEGIN}\r\nalt\r\n{END}\r\nEnde\r\n".encode("latin-1"))
    real.chmod(0o640)
    (tmp_path / "README.md").symlink_to(real)
    parameters = {**PARAMETERS, "networks": 5}
    assert update_record(place_in(tmp_path), 0.01, 0.99, parameters, model_file)
    text = real.read_bytes().decode("latin-1")
    assert text.startswith(f"Größe\r\n{BEGIN}\r\n**Record**")
    assert text.endswith(f"\r\n{END}\r\nEnde\r\n") and "5 &#215; `tiny`" in text
    assert text.count("\n") == text.count("\r\n")
    assert (tmp_path / "README.md").is_symlink() and real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("content", [b"", b"no markers", BEGIN.encode(), f"{END}{BEGIN}".encode()])
def test_a_readme_without_a_block_stays_as_it_is(tmp_path, model_file, content):
    (tmp_path / "README.md").write_bytes(content)
    assert update(tmp_path, 0.01, 0.99, model_file)
    assert (tmp_path / "README.md").read_bytes() == content


def test_a_readme_that_cannot_be_rewritten_costs_nothing(tmp_path, model_file, capsys):
    (tmp_path / "README.md").mkdir()
    assert update(tmp_path, 0.01, 0.99, model_file)
    assert "could not be brought up to date" in capsys.readouterr().out and agreement(tmp_path)


# --- What lies beside the record ---


def test_a_byte_order_mark_does_not_cost_the_record(tmp_path, model_file):
    assert update(tmp_path, 0.01, 0.99, model_file)
    path = tmp_path / "best_parameters.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(tmp_path).test_accuracy == 0.99 and not list(tmp_path.glob("*.corrupt-*"))
    assert not update(tmp_path, 0.01, 0.5, model_file)


def test_a_record_in_another_encoding_is_kept_aside(tmp_path, model_file):
    (tmp_path / "best_parameters.json").write_text("{}", encoding="utf-16")
    assert load(tmp_path) is None and len(list(tmp_path.glob("*.corrupt-*"))) == 1


def test_links_and_rights_of_the_record_stay(tmp_path, model_file):
    out, store = tmp_path / "out", tmp_path / "store"
    out.mkdir()
    store.mkdir()
    names = ("best_parameters.json", "best_model.keras")
    for name in names:
        (out / name).symlink_to(store / name)
    assert update(out, 0.03, 0.99, model_file)
    for name in names:
        (store / name).chmod(0o644)
    assert update(out, 0.01, 0.995, model_file) and agreement(out)
    for name in names:
        assert (out / name).is_symlink() and (store / name).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["best_parameters.json", "best_parameters.lock"])
def test_a_folder_in_the_place_of_a_file_gets_one_line(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=name):
        load(tmp_path)


# --- The order of saving ---

METRICS = {
    "test_loss": 0.1,
    "test_accuracy": 0.9,
    "n_misclassified": 36,
    "epochs_trained": 3,
    "train_seconds": 1.0,
}


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "runs" / "x"
    (folder / "network_2").mkdir(parents=True)
    for backup in (folder, folder / "network_2"):
        (backup / "backup.npz").write_bytes(b"")
    return folder


def save(tmp_path, folder):
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    settings = make_tiny_settings(tmp_path)
    return save_run(model, settings, METRICS, {"device": "x"}, folder, place_in(tmp_path, "digits"))


def test_a_saved_run_is_complete_and_its_backups_go(tmp_path, run_folder):
    result = save(tmp_path, run_folder)
    assert result.is_record and result.run_folder == run_folder and result.metrics == METRICS
    assert (result.test_loss, result.test_accuracy, result.n_misclassified) == (0.1, 0.9, 36)
    files = {str(path.relative_to(run_folder)) for path in run_folder.rglob("*.*")}
    assert files == {"model.keras", "metrics.json"}
    assert json.loads((run_folder / "metrics.json").read_text()) == {**METRICS, "is_record": True}
    record = json.loads((tmp_path / "best_parameters_digits.json").read_text())
    assert record["parameters"]["epochs_trained"] == 3 and record["parameters"]["seed"] == 2
    assert str(tmp_path) not in json.dumps(record)  # nobody's paths in a file that is shared
    assert (tmp_path / "best_model_digits.keras").read_bytes() == (
        run_folder / "model.keras"
    ).read_bytes()


@pytest.mark.parametrize("step", ["save_model", "update_record", "write_json"])
def test_whatever_fails_in_saving_the_run_can_go_on(tmp_path, run_folder, monkeypatch, step):
    def fail(*_):
        raise UserError("cannot write")

    monkeypatch.setattr(saver, step, fail)
    with pytest.raises(UserError, match="cannot write"):
        save(tmp_path, run_folder)
    assert not (run_folder / "metrics.json").exists()
    assert len(list(run_folder.rglob("backup.npz"))) == 2


# --- What a run says ---


def test_a_run_says_what_it_trains_and_what_there_is_to_beat(tmp_path, splits, capsys):
    settings = make_tiny_settings(tmp_path, networks=2)
    saver.announce(settings, splits, Record(0.1, 0.98765, {}))
    saver.announce(settings, splits, None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "Data:     digits: 1,149 training, 288 validation and 360 test images",
        "Training: 2 × tiny, epochs: at most 2 and 1 of polish, seed 2",
        "Record:   98.77 %",
    ]
    assert lines[5] == "Record:   none yet"


def test_a_run_says_what_came_out(tmp_path, capsys):
    result = saver.RunResult(0.25, 0.975, 9, True, tmp_path, {})
    saver.report(result, 360, Record(0.5, 0.9, {}))
    saver.report(result._replace(is_record=False), 10_000, None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:6] == [
        "Test loss:      0.25",
        "Test accuracy:  97.50 %",
        "Misclassified:  9 of 360 test images",
        "New record:     yes (before this run: 90.00 %)",
        f"Run folder:     {tmp_path}",
    ]
    assert lines[9:11] == [
        "Misclassified:  9 of 10,000 test images",
        "New record:     no (before this run: none)",
    ]


# --- Models and records ---


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
