import csv
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from apps import predict
from apps.answers import MOST_ROWS, Reading, answer_of, as_table
from apps.seen import plot_seen, rows_of, what_is_drawn
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


def test_a_page_of_text_or_a_texture_is_answered_with_what_is_wrong(tmp_path, capsys):
    letter = np.full((14, 12), 255, "uint8")
    letter[2:12, 4:7] = letter[9:12, 4:10] = 0
    Image.fromarray(np.tile(letter, (40, 40))).save(tmp_path / "text.png")
    save_digit(tmp_path / "digit.png", 4)
    assert run(tmp_path / "text.png", tmp_path / "digit.png") == 2
    printed = capsys.readouterr()
    assert "text.png has more than 1,000 parts of ink, as a page of text" in printed.err
    assert printed.err.count("\n") == 1 and printed.out.splitlines()[2].split()[1] == "4"


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


@pytest.mark.parametrize(
    "names",
    [("x", "y"), ("x_test", "y_test"), ("x_train", "y_train"), ("images", None), ("", None)],
)
def test_archives_need_no_more_than_images(tmp_path, digits, names):
    images, labels = digits.x_test[:5], digits.y_test[:5]
    given, named = ([], {names[0]: images}) if names[0] else ([images], {})
    np.savez(tmp_path / "a.npz", *given, **named, **({names[1]: labels} if names[1] else {}))
    table = read_table(tmp_path / "a.npz", 10)
    np.testing.assert_array_equal(table.images, images)
    assert (table.labels is None) == (names[1] is None)


def test_of_an_archive_with_both_parts_the_test_part_is_read(tmp_path, digits):
    arrays = dict(zip(digits._fields, (array[:9] for array in digits), strict=True))
    np.savez(tmp_path / "a.npz", **arrays)
    np.testing.assert_array_equal(read_table(tmp_path / "a.npz", 10).images, digits.x_test[:9])


def archive_that_claims(path, n_images):
    """Write an .npz file of a few bytes whose arrays announce so many images."""
    head = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (n_images, 28, 28)}
    np.lib.format.write_array_header_1_0(head, shape)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x_test", "y_test"):
            archive.writestr(f"{name}.npy", head.getvalue())
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": (5, 20, 28)}, "a.npz: the images are uint8 (5, 20, 28); expected uint8 (n, 28, 28)"),
        ({"x": (5, 28, 28), "y": (4,)}, "has 5 images, but 4 labels"),
        ({"foo": (5, 28, 28), "bar": (5,)}, "has no array x of images; it has foo, bar. Expected"),
        ({"x": (0, 28, 28)}, "the images are none: 0 images"),
        ({"y": (5,)}, "the images are uint8 (5,)"),
    ],
)
def test_archives_that_hold_something_else_are_one_line(tmp_path, capsys, arrays, message):
    path = tmp_path / "a.npz"
    np.savez(path, **{name: np.zeros(shape, "uint8") for name, shape in arrays.items()})
    assert run(path) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "x_train" not in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels + 5, "run from 5 to 14; expected 0 to 9. The network knows 10 cla"),
        (lambda labels: -labels.astype(int), "run from -9 to 0; expected 0 to 9"),
        (lambda labels: labels + 0.5, "are not all whole numbers"),
    ],
)
def test_labels_that_the_network_does_not_know_are_one_line(
    tmp_path, digits, capsys, change, message
):
    labels = change(np.arange(10, dtype="uint8"))
    np.savez(tmp_path / "a.npz", x=digits.x_test[:10], y=labels)
    rows = np.c_[labels, digits.x_test[:10].reshape(10, -1)]
    pd.DataFrame(rows, columns=["label", *map(str, range(784))]).to_csv(
        tmp_path / "a.csv", index=False
    )
    for name in ("a.npz", "a.csv"):
        assert run(tmp_path / name) == 2
        error = capsys.readouterr().err
        assert f"{name}: the labels {message}" in error and error.count("\n") == 1


def test_an_archive_that_claims_ten_gigabytes_is_one_line(tmp_path, capsys):
    assert run(archive_that_claims(tmp_path / "a.npz", 12_755_102)) == 2
    error = capsys.readouterr().err
    assert "is damaged: x_test is announced as uint8 (12755102, 28, 28)" in error
    assert error.count("\n") == 1


def test_a_single_array_is_told_how_to_be_saved(tmp_path, digits, capsys):
    np.save(tmp_path / "a.npy", digits.x_test[:3])
    assert run(tmp_path / "a.npy") == 2
    assert "np.savez(path, x=images)" in capsys.readouterr().err


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


def test_the_figure_says_what_it_leaves_out(pictures, capsys, monkeypatch):
    monkeypatch.setattr(predict, "MOST_SHOWN", 2)
    assert run("digit_2.png", "digit_4.png", "digit_7.png", "--show") == 0
    assert "seen.png (2 of 3 pictures and 2 of 3 digits drawn)" in capsys.readouterr().err
    assert run("digit_2.png", "digit_4.png", "--show") == 0
    assert capsys.readouterr().err.endswith("seen.png\n")


def seen_of(path, n_digits):
    """Return the reading of a picture in which so many digits were found."""
    images = [np.eye(28, dtype="float32")] * n_digits
    boxes, lines = [(0, 0, 9, 9)] * n_digits, [0] * n_digits
    return Reading(path.name, path, None, images, boxes, lines, np.eye(10)[[3] * n_digits])


def test_so_many_digits_and_pictures_are_drawn_and_no_more(pictures):
    many, empty = (seen_of(pictures / "digit_2.png", n) for n in (9, 0))
    rows = rows_of([many, empty], 4)
    assert [row.n_digits for row in rows] == [4] and len(plot_seen(rows).axes) == 1 + 4
    assert what_is_drawn(rows, [many, empty]) == "1 of 2 pictures and 4 of 9 digits drawn"
    rows = rows_of(20 * [empty], 4)
    assert len(plot_seen(rows).axes) == 4
    assert what_is_drawn(rows, 20 * [empty]) == "4 of 20 pictures drawn"
    assert what_is_drawn(rows_of([many, empty], 10), [many, empty]) == ""


def test_the_figure_shows_white_ink_on_black_as_the_network_sees_it(pictures):
    figure = plot_seen(rows_of([seen_of(pictures / "digit_2.png", 1)], 4), "1 of 2 drawn")
    drawn = figure.axes[1].images[0]
    assert drawn.to_rgba(np.array([[0.0, 1.0]]))[0, :, 0].tolist() == [0, 1]
    assert "white ink on black\n1 of 2 drawn" in figure.get_suptitle()


def test_a_picture_of_one_row_is_drawn(tmp_path):
    Image.new("L", (50, 1), 255).save(tmp_path / "line.png")
    assert plot_seen(rows_of([seen_of(tmp_path / "line.png", 0)], 4)).axes


def test_show_says_that_tables_are_not_drawn(tmp_path, digits, capsys):
    path = write_table(tmp_path / "my_digits.csv", digits, n=3)
    assert run(path, "--show", "--output-dir", tmp_path) == 0
    assert "Not drawn: --show draws pictures, not tables" in capsys.readouterr().err
    assert not (tmp_path / "seen.png").exists()


@pytest.mark.parametrize("empty", ["", " "])
def test_empty_paths_are_refused_and_not_taken_for_the_working_directory(pictures, capsys, empty):
    assert run("digit_2.png", empty) == 2
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2 and "expected a picture or a folder" in printed.err
    for flag in ("--output-dir", "--model"):
        assert run("digit_2.png", "--show", flag, empty) == 2
        assert f"argument {flag}: expected a path" in capsys.readouterr().err
    assert not list(pictures.glob("*/*.png")) and not (pictures / "seen.png").exists()


def test_a_mistyped_flag_is_answered_with_the_nearest(pictures, capsys):
    assert run("digit_2.png", "--shwo") == 2
    expected = "error: unknown flag '--shwo'. Did you mean '--show'? --help lists all.\n"
    assert capsys.readouterr().err == expected


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
