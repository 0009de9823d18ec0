"""The program: flags, models that it refuses, and the file that it writes."""

import hashlib
import json
import re
import webbrowser

import keras
import pytest
from keras import layers

from apps import draw_a_digit
from apps.draw_a_digit import (
    DIGITS_FILE,
    PREDICT_COMMAND,
    TRAIN_COMMAND,
    known_accuracy,
    main,
)
from architectures.fast_cnn import fast_cnn_small
from common.classifier import DEFAULT_MODEL, model_file
from common.command_line import PROJECT_DIR, run_program
from common.csv_files import parse_csv_name
from common.pictures import BOX, SIDE, STROKE_WIDTH


def error_of(capsys, *arguments):
    """Return the one line that the program ends with."""
    assert run_program(main, [str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1
    return printed


def saved(model, folder):
    model.save(folder / "odd.keras")
    return folder / "odd.keras"


def sequential(*middle, shape=(28, 28, 1)):
    return keras.Sequential([keras.Input(shape), *middle])


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "model.keras"
    fast_cnn_small((28, 28, 1), 10).save(path)
    return path


@pytest.fixture(scope="module")
def text(small_model):
    """Return the page of the small network."""
    output = small_model.with_name("draw.html")
    line = draw_a_digit.write_page(small_model, output)
    assert re.fullmatch(r"\S+draw\.html \(\d+ KB; 1 pass, kernels in int16\)", line)
    return output.read_text(encoding="utf-8")


def test_it_writes_one_small_file_and_opens_it(small_model, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.chdir(tmp_path)
    assert run_program(main, ["--model", str(small_model)]) == 0
    assert capsys.readouterr().out.startswith(f"Page:       {tmp_path / 'draw.html'} (")
    assert opened == [(tmp_path / "draw.html").as_uri()]
    assert [path.name for path in tmp_path.glob("*.*")] == ["draw.html"]


def test_the_page_is_small_and_says_what_it_holds(text):
    assert len(text.encode()) < 250_000
    assert "45,778" in text and "fast_cnn_small" in text
    assert PREDICT_COMMAND in text and TRAIN_COMMAND in text


def test_the_page_names_no_other_place(text):
    text = re.sub(r'<script type="text/plain".*?</script>', "", text, flags=re.DOTALL)
    assert not re.findall(r"https?:|//\w+\.\w+|@import|url\(|\bsrc=|fetch\(|XMLHttp", text)
    assert re.findall(r'href="(.*?)"', text) == ["data:,", "#collection"]
    assert "default-src 'none'" in text and "getImageData" not in text


def test_geometry_has_one_source(text):
    picture = {"side": SIDE, "box": BOX, "strokeWidth": STROKE_WIDTH}
    found = re.search(r'<script type="application/json".*?>(.*?)</script>', text)
    assert json.loads(found[1])["picture"] == picture


def test_no_open_leaves_the_browser_alone(small_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("opened"))
    output = tmp_path / "other.html"
    arguments = ["--model", small_model, "--output", output, "--no-open"]
    assert run_program(main, [str(argument) for argument in arguments]) == 0
    assert output.exists() and str(output) in capsys.readouterr().out


def test_where_there_is_no_browser_it_says_so(small_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    main(["--model", str(small_model), "--output", str(tmp_path / "a.html")])
    assert "Not opened: no browser was found" in capsys.readouterr().out


def test_the_default_model_is_the_one_that_predict_uses():
    given = draw_a_digit.parse_command_line([])
    assert given.model == DEFAULT_MODEL and given.open
    assert str(given.output) == "draw.html"


def test_help_is_plain_and_quick(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert "--no-open" in printed and "python -m apps.draw_a_digit" in printed


def test_the_file_of_digits_is_read_as_training_data():
    assert parse_csv_name(DIGITS_FILE).part == "all"  # neither train nor test: all of it
    assert f"--dataset custom --data-dir {DIGITS_FILE}" in TRAIN_COMMAND


# --- What it refuses ----------------------------------------------------------------------------


def test_a_wrong_flag_is_one_line(capsys):
    expected = "error: unknown flag '--modle'. Did you mean '--model'? --help lists all.\n"
    assert error_of(capsys, "--modle", "x") == expected
    for flag in ("--model", "--output"):
        assert f"argument {flag}: expected a path, got ''" in error_of(capsys, flag, "")


def test_a_missing_model_is_one_line(capsys, tmp_path):
    assert "there is no model" in error_of(capsys, "--model", tmp_path / "none.keras")
    assert "there is no model" in error_of(capsys, "--model", tmp_path)


def test_other_formats_are_not_read(capsys, tmp_path):
    (tmp_path / "model.h5").write_bytes(b"\x89HDF")
    assert "expected a .keras file" in error_of(capsys, "--model", tmp_path / "model.h5")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 and then nothing"])
def test_a_damaged_file_is_one_line(capsys, tmp_path, content):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert f"{path} cannot be loaded" in error_of(capsys, "--model", path)


def test_code_in_a_model_is_not_run(capsys, tmp_path):
    model = sequential(layers.Lambda(lambda x: x), layers.Flatten(), layers.Dense(10))
    printed = error_of(capsys, "--model", saved(model, tmp_path))
    assert "cannot be loaded" in printed and "lambda" in printed.lower()


@pytest.mark.parametrize(
    "model, reason",
    [
        (sequential(layers.Flatten(), layers.Dense(10), shape=(32, 32, 3)), "shape (32, 32, 3)"),
        (sequential(layers.Conv2D(3, 3)), "outputs of shape (26, 26, 3), expected"),
        (sequential(layers.Flatten(), layers.Dense(1)), "outputs of shape (1,), expected"),
        (sequential(layers.Flatten(), layers.Dense(10)), "expected probabilities"),
        (
            sequential(layers.DepthwiseConv2D(3, name="deep"), layers.Flatten(), layers.Dense(10)),
            "layer 'deep' (DepthwiseConv2D)",
        ),
        (
            sequential(layers.LayerNormalization(name="norm"), layers.Flatten(), layers.Dense(10)),
            "layer 'norm' (LayerNormalization) cannot be put into the page. The page knows Conv2D",
        ),
        (
            sequential(layers.Reshape((28, 28), name="rows"), layers.LSTM(8), layers.Dense(10)),
            "layer 'rows' (Reshape) cannot be put into the page",
        ),
    ],
)
def test_what_is_no_classifier_of_digits_is_one_line(model, reason, capsys, tmp_path):
    output = tmp_path / "draw.html"
    path = saved(model, tmp_path)
    assert reason in error_of(capsys, "--model", path, "--output", output, "--no-open")
    assert not output.exists()


def test_two_inputs_are_one_line(capsys, tmp_path):
    images = [keras.Input((28, 28, 1), name=name) for name in "ab"]
    flat = layers.Flatten()(layers.Add()(images))
    model = keras.Model(images, layers.Dense(10)(flat))
    assert "(28, 28, 1) and (28, 28, 1)" in error_of(capsys, "--model", saved(model, tmp_path))


def test_a_place_that_cannot_be_written_is_one_line(capsys, tmp_path, small_model):
    for output in (tmp_path, tmp_path / "none" / "draw.html"):
        printed = error_of(capsys, "--model", small_model, "--output", output, "--no-open")
        assert f"cannot write {output}: " in printed and "--output FILE" in printed


def test_other_numbers_of_classes_are_numbered(tmp_path):
    model = sequential(layers.Flatten(), layers.Dense(12, activation="softmax"))
    draw_a_digit.write_page(saved(model, tmp_path), tmp_path / "draw.html")
    assert 'aria-label="This was a 11"' in (tmp_path / "draw.html").read_text(encoding="utf-8")


# --- The test accuracy --------------------------------------------------------------------------


def record_in(folder, model=b"the model", **changes):
    """Write a record into a folder, and return the path of its model."""
    (folder / "best_model.keras").write_bytes(b"the model")
    content = {"test_accuracy": 0.9978, "model_sha256": hashlib.sha256(model).hexdigest()}
    (folder / "best_parameters.json").write_text(json.dumps(content | changes))
    return folder / "best_model.keras"


def test_the_records_accuracy_is_known(tmp_path):
    assert known_accuracy(record_in(tmp_path)) == 0.9978


def test_the_accuracy_of_another_model_is_not_taken(tmp_path):
    assert known_accuracy(record_in(tmp_path, model=b"another")) is None
    path = record_in(tmp_path)
    assert known_accuracy(path.rename(tmp_path / "mine.keras")) is None


@pytest.mark.parametrize("content", ["", "[1]", '{"model_sha256": 3}', '{"test_accuracy": "high"}'])
def test_a_damaged_record_is_passed_over(tmp_path, content):
    path = record_in(tmp_path)
    (tmp_path / "best_parameters.json").write_text(content)
    assert known_accuracy(path) is None
    assert known_accuracy(record_in(tmp_path, test_accuracy=99.78)) is None


def test_the_accuracy_of_a_run_is_in_its_folder(tmp_path):
    (tmp_path / "metrics.json").write_text('{"test_accuracy": 0.99}')
    assert known_accuracy(tmp_path / "model.keras") == 0.99


@pytest.mark.parametrize("path", [PROJECT_DIR / "best_model.keras", DEFAULT_MODEL])
def test_what_the_project_ships_has_its_accuracy(path):
    assert known_accuracy(model_file(path)) > 0.99


# --- The committed page -------------------------------------------------------------------------


def test_the_page_in_docs_is_made_of_the_present_sources():
    page = (PROJECT_DIR / "docs" / "draw.html").read_text(encoding="utf-8")
    assert len(page.encode()) <= 500_000
    for name in (*draw_a_digit.SCRIPTS, "style.css"):
        source = (draw_a_digit.PAGE_DIR / name).read_text(encoding="utf-8")
        assert source.strip() in page, f"write docs/draw.html anew: {name} has changed"
    assert f'"strokeWidth": {STROKE_WIDTH}' in page and draw_a_digit.TRAIN_COMMAND in page
