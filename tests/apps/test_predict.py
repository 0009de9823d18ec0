import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from apps import predict
from apps.answers import MOST_ROWS, Reading, answer_of, as_table
from apps.seen import plot_seen
from apps.sources import find_pictures, is_table, read_table
from common.command_line import PROJECT_DIR, run_program
from tests.handwriting import draw_digit

pytest.importorskip("ai_edge_litert")


def save_digit(path, digit, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_digit(digit, **options)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder with digits 2, 4 and 7, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    for digit in (2, 4, 7):
        save_digit(tmp_path / f"digit_{digit}.png", digit)
    return tmp_path


def run(*arguments):
    return run_program(predict.main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("digit", range(10))
def test_drawn_digits_are_read(tmp_path, digit, capsys):
    assert run(save_digit(tmp_path / "drawn.png", digit), "--json") == 0
    (record,) = json.loads(capsys.readouterr().out)
    (answer,) = record["digits"]
    assert answer["digit"] == digit and answer["probability"] > 0.5


def test_the_table_names_picture_digit_and_runner_up(pictures, capsys):
    assert run("digit_4.png", "digit_7.png") == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["picture", "reads"]
    assert first.split()[:2] == ["digit_4.png", "4"] and second.split()[:2] == ["digit_7.png", "7"]
    assert float(first.split()[2]) > 90 and len(first.split()) == 5


def test_json_and_csv_say_the_same(pictures, capsys):
    assert run(".", "--json") == 0
    records = json.loads(capsys.readouterr().out)
    assert run(".", "--csv") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [record["digits"][0]["digit"] for record in records] == [2, 4, 7]
    for record, row in zip(records, rows, strict=True):
        (digit,) = record["digits"]
        assert row["picture"] == record["picture"] and int(row["digit"]) == digit["digit"]
        assert float(row["probability"]) == pytest.approx(digit["probability"])
        assert [int(row[side]) for side in ("left", "top", "right", "bottom")] == digit["box"]


def test_several_digits_are_read_line_by_line(tmp_path, capsys):
    sheet = np.full((300, 420), 230, "uint8")
    for number, row in enumerate(("742", "08")):
        for k, digit in enumerate(row):
            sheet[20 + 140 * number :, 20 + 130 * k :][:120, :120] = draw_digit(
                int(digit), 120, 4, corner=(0.05, 0.05), extent=0.9
            )
    Image.fromarray(sheet).save(tmp_path / "page.png")
    assert run(tmp_path / "page.png") == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split()[1].replace("?", "") == "742"
    assert second.split()[0].replace("?", "") == "08"


def test_an_empty_picture_has_no_digit(tmp_path, capsys):
    Image.new("L", (90, 60), 255).save(tmp_path / "empty.png")
    assert run(tmp_path / "empty.png") == 0
    assert "no digit found" in capsys.readouterr().out
    assert run(tmp_path / "empty.png", "--csv") == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert row["digit"] == ""


def test_labelled_folders_are_evaluated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for digit in (3, 5):
        save_digit(tmp_path / "mine" / str(digit) / "a.png", digit)
    save_digit(tmp_path / "mine" / "8" / "wrong.png", 1)
    Image.new("L", (50, 50), 255).save(tmp_path / "mine" / "8" / "empty.png")
    assert run("mine") == 0
    printed = capsys.readouterr().out
    assert "Accuracy: 50.00 %, 2 of 4 are right (1 without a digit)" in printed
    assert "1 (not 8)" in printed
    for name in ("confusion_matrix", "misclassified"):
        assert (tmp_path / "predictions" / f"{name}.png").stat().st_size > 5_000


def test_in_a_labelled_folder_each_picture_holds_one_digit(tmp_path):
    broken = np.full((100, 100), 255, "uint8")
    broken[20:80, 30:34] = broken[20:80, 60:64] = 0
    (tmp_path / "0").mkdir()
    Image.fromarray(broken).save(tmp_path / "0" / "a.png")
    classifier = predict.load_classifier(PROJECT_DIR / "best_model.keras")
    (reading,) = predict.read_pictures(find_pictures([str(tmp_path)], []), classifier, False, [])
    assert len(reading.images) == 1


def write_table(path, digits, n=20, dtype=int):
    rows = np.c_[digits.y_test[:n], digits.x_test[:n].reshape(n, -1)]
    header = ["label", *(f"pixel{k}" for k in range(784))]
    pd.DataFrame(rows, columns=header).astype(dtype).to_csv(path, index=False)
    return path


def test_tables_and_archives_of_images_are_read(tmp_path, digits, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_table(tmp_path / "my_digits.csv", digits)
    archive = tmp_path / "my_digits.npz"
    np.savez(archive, x=digits.x_test[:20], y=digits.y_test[:20])
    accuracies = []
    for path in (table, archive):
        assert run(path) == 0
        accuracies.append(capsys.readouterr().out.split("Accuracy: ")[1].split()[0])
    assert accuracies[0] == accuracies[1] and float(accuracies[0]) >= 80
    images = read_table(archive, 10).images
    assert images.dtype == np.uint8 and len(images) == 20


def test_black_on_white_images_in_a_table_are_refused_not_misread(tmp_path, digits, capsys):
    np.savez(tmp_path / "a.npz", x=255 - digits.x_test[:50], y=digits.y_test[:50])
    assert run(tmp_path / "a.npz") == 2
    assert "dark on a light ground" in capsys.readouterr().err


def test_a_table_edited_by_hand_is_refused_with_its_line(tmp_path, digits, capsys):
    path = write_table(tmp_path / "my_digits.csv", digits)
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace(",0,", ",zero,", 1)
    path.write_text("\n".join(lines))
    assert run(path) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "zero" in error


def test_what_cannot_be_read_is_named_and_the_rest_is_read(pictures, capsys):
    (pictures / "half.png").write_bytes((pictures / "digit_2.png").read_bytes()[:200])
    (pictures / "text.jpg").write_text("no picture")
    assert run(pictures) == 2
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1 + 3
    assert printed.err.count("error: ") == 2 and "Traceback" not in printed.err


def found_at(*paths):
    """Return the pictures at some paths, and the errors."""
    errors = []
    return find_pictures([str(path) for path in paths], errors), errors


def test_patterns_are_resolved_where_the_shell_does_not(pictures):
    (pictures / "notes.txt").write_text("no picture")
    (pictures / "empty").mkdir()
    names = [picture.path.name for picture in found_at("*")[0]]
    assert names == ["digit_2.png", "digit_4.png", "digit_7.png"]
    assert len(found_at(pictures / "*_[24].png")[0]) == 2
    for pattern in ("none*.png", "*.txt"):
        assert found_at(pattern) == ([], [f"no picture matches {pattern}. Check the path."])
    assert len(found_at("digit_2**.png")[0] or found_at("digit_2**.png")[1]) == 1  # by the Python


def test_sources(tmp_path):
    assert is_table("a.CSV") and is_table("x/my.csv.gz") and not is_table("a.png")
    (error,) = found_at(tmp_path)[1]
    assert "has no pictures" in error
    (error,) = found_at(tmp_path / "none.png")[1]
    assert "there is no picture" in error
    save_digit(tmp_path / "7" / "deep.png", 7)
    save_digit(tmp_path / "others" / "a.png", 7)
    labels = {picture.name: picture.label for picture in found_at(tmp_path)[0]}
    assert labels == {"7/deep.png": 7, "a.png": None}
    assert found_at(tmp_path / "7" / "deep.png")[0][0].label == 7


def test_one_bad_argument_does_not_stop_the_others(pictures, capsys):
    (pictures / "empty").mkdir()
    assert run("none.png", "digit_4.png", "none.csv", "empty", "--csv") == 2
    printed = capsys.readouterr()
    assert [row["digit"] for row in csv.DictReader(printed.out.splitlines())] == ["4"]
    lines = printed.err.splitlines()
    assert len(lines) == 3 and all(line.startswith("error: ") for line in lines)


def test_errors_are_named_when_a_figure_cannot_be_written_either(pictures, capsys):
    (pictures / "text.png").write_text("no picture")
    (pictures / "file").write_text("in the way")
    assert run("digit_2.png", "text.png", "--show", "--output-dir", "file") == 2
    error = capsys.readouterr().err
    assert "text.png is not a picture" in error and "cannot write" in error
    assert run("text.png", "--show") == 2
    assert "text.png is not a picture" in capsys.readouterr().err


def test_odd_names_are_printed_on_one_line_and_drawn(pictures, capsys):
    for name in ("$x_{b$.png", "a\nb.png"):
        (pictures / "digit_2.png").rename(pictures / name)
        assert run(name, "--show") == 0
        table = capsys.readouterr().out.splitlines()
        assert len(table) == 2 and table[1].split()[1] == "2"
        (pictures / name).rename(pictures / "digit_2.png")
    (pictures / "x\ny.png").write_text("no picture")
    assert run("x\ny.png", "none.png") == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_doubt_is_a_near_runner_up():
    sure = answer_of(np.array([0.1, 0.8, 0.1]))
    assert (sure.digit, sure.probability) == (1, 0.8) and not sure.is_doubtful
    doubtful = answer_of(np.array([0.3, 0.2, 0.5]))
    assert (doubtful.digit, doubtful.runner_up) == (2, 0) and doubtful.is_doubtful


def reading(name, probabilities, label=None):
    images = [np.zeros((28, 28), "float32")]
    return Reading(name, None, label, images, [None], [0], np.array([probabilities]))


def test_of_many_the_table_shows_those_that_need_a_look():
    sure, doubtful = [0.9, 0.1], [0.5, 0.5]
    many = [reading(f"sure {k}", sure) for k in range(MOST_ROWS)]
    table = as_table([*many, reading("doubtful", doubtful), reading("wrong", sure, label=1)])
    lines = table.splitlines()
    assert len(lines) == 4 and "doubtful" in lines[1] and "0 (not 1)" in lines[2]
    assert lines[3].startswith(f"(2 of {MOST_ROWS + 2}")


def test_show_without_a_screen_writes_the_figure(pictures, capsys):
    assert run("digit_2.png", "digit_7.png", "--show") == 0
    assert "no screen" in capsys.readouterr().err
    with Image.open(pictures / "predictions" / "seen.png") as figure:
        assert figure.width > 300


def test_the_figure_shows_so_many_pictures_and_no_more(pictures):
    Image.new("L", (50, 50), 255).save(pictures / "empty.png")
    empty = Reading("empty.png", pictures / "empty.png", None, [], [], [], np.zeros((0, 10)))
    assert len(plot_seen(20 * [empty], most_digits=4).axes) == 4


def test_from_another_folder_as_a_program(pictures):
    """And an answer starts neither Keras nor TensorFlow."""
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from apps import predict\n"
        "predict.main(sys.argv[1:])\n"
        "assert not {'keras', 'tensorflow', 'matplotlib', 'pandas'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(PROJECT_DIR), "digit_7.png"]
    result = subprocess.run(command, cwd=pictures, capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.splitlines()[1].split()[:2] == ["digit_7.png", "7"]
