import gzip
import os

import numpy as np
import pytest

from common import csv_files, data_files
from common.csv_files import find_csv_files, parse_csv_name, read_csv
from common.user_error import UserError
from tests.data_writers import table_lines

PIXELS = ",".join(["0"] * 784)


@pytest.fixture(scope="module")
def images(digits):
    return digits.x_train[:25]


@pytest.fixture(scope="module")
def labels(digits):
    return digits.y_train[:25].tolist()


def write(path, lines, encoding="utf-8", end="\n"):
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def assert_read(path, images, labels, dtype=np.uint8):
    found_images, found_labels = read_csv(path, 10)
    assert found_images.dtype == dtype and found_images.shape == (len(images), 784)
    np.testing.assert_array_equal(found_images, images.reshape(-1, 784))
    if labels is None:
        assert found_labels is None
    else:
        assert found_labels.tolist() == labels


# --- What is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_separators_with_and_without_header(
    tmp_path, images, labels, header, separator, monkeypatch
):
    monkeypatch.setattr(csv_files, "ROWS_AT_ONCE", 7)
    lines = table_lines(images, labels, header, separator)
    assert_read(write(tmp_path / "a.csv", lines), images, labels)


@pytest.mark.parametrize("header", [True, False])
def test_a_table_without_labels(tmp_path, images, header):
    assert_read(write(tmp_path / "a.csv", table_lines(images, header=header)), images, None)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines(tmp_path, images, labels, end):
    assert_read(write(tmp_path / "a.csv", table_lines(images, labels), end=end), images, labels)


def test_packed(tmp_path, images, labels):
    path = write(tmp_path / "a.csv", table_lines(images, labels))
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert_read(path, images, labels)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_byte_order_mark_and_latin_1(tmp_path, images, labels, header, encoding):
    lines = table_lines(images, labels, header)
    if header and encoding == "latin-1":
        lines[0] = lines[0].replace("pixel0,", "Größe,")
    assert_read(write(tmp_path / "a.csv", lines, encoding), images, labels)


@pytest.mark.parametrize(
    ("name", "place"),
    [("label", 1), ("Label", 784), ('"label"', 500), ("class", 784), ("TARGET", 0), (" y ", 2)],
)
def test_a_named_label_anywhere(tmp_path, images, labels, name, place):
    rows = [row.split(",") for row in table_lines(images, labels)]
    rows[0][0] = name
    lines = [",".join([*row[1 : place + 1], row[0], *row[place + 1 :]]) for row in rows]
    assert_read(write(tmp_path / "a.csv", lines), images, labels)


def test_numbers_of_rows_are_no_labels_and_no_pixels(tmp_path, images, labels):
    lines = table_lines(images, labels)
    numbered = [f"{i - 1 if i else ''},{line}" for i, line in enumerate(lines)]
    assert_read(write(tmp_path / "a.csv", numbered), images, labels)  # as pandas writes it
    lines = table_lines(images)
    numbered = [f"{i - 1 if i else 'id'},{line}" for i, line in enumerate(lines)]
    assert_read(write(tmp_path / "b.csv", numbered), images, None)  # as in Kannada-MNIST


@pytest.mark.parametrize("first", ["0", "label"])
def test_a_header_of_numbers_is_one(tmp_path, images, labels, first):
    lines = table_lines(images, labels, header=False)
    start = 1 if first == "0" else 0
    header = ",".join([first, *map(str, range(start, start + 784))])
    assert_read(write(tmp_path / "a.csv", [header, *lines]), images, labels)


def test_headers_in_use(tmp_path, images, labels):
    lines = table_lines(images, labels, header=False)
    by_row = ",".join(f"{i}x{j}" for i in range(1, 29) for j in range(1, 29))
    for header in (f"label,{by_row}", f"# label,{by_row}", "number," + by_row):
        assert_read(write(tmp_path / "a.csv", [header, *lines]), images, labels)


def test_quoted_numbers_spaces_and_blank_lines(tmp_path, images, labels):
    quoted = [
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in table_lines(images, labels)
    ]
    assert_read(write(tmp_path / "a.csv", quoted), images, labels)
    spaced = [line.replace(",", " , ") for line in table_lines(images, labels)]
    assert_read(write(tmp_path / "b.csv", spaced), images, labels)
    blank = [*table_lines(images, labels, header=False), "", ""]
    blank.insert(3, "")
    assert_read(write(tmp_path / "c.csv", blank), images, labels)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("blank", ["", "  ", "\t", "{separators}"])
def test_blank_lines_are_passed_over_wherever_they_stand(
    tmp_path, images, labels, header, separator, blank
):
    lines = table_lines(images, labels, header, separator)
    blank = blank.format(separators=separator * 784)
    lines = [blank, blank, *(text for line in lines for text in (line, blank)), blank]
    assert_read(write(tmp_path / "a.csv", lines), images, labels)


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r\n"])
def test_doubled_ends_of_lines(tmp_path, images, labels, end):
    """The last is what Windows makes of lines that end as its own already."""
    assert_read(write(tmp_path / "a.csv", table_lines(images, labels), end=end), images, labels)


@pytest.mark.parametrize("header", [True, False])
def test_blank_lines_count_where_a_message_names_a_line(tmp_path, images, labels, header):
    lines = table_lines(images, labels, header)
    wrong = changed(lines, 4, cell(7, "abc"))
    with pytest.raises(UserError, match="line 9: column 7 is 'abc'"):
        read_csv(write(tmp_path / "a.csv", ["", *wrong], end="\n\n"), 10)
    longer = changed(lines, 4, lambda text: text + ",0")
    with pytest.raises(UserError, match="line 9 has 786 columns"):
        read_csv(write(tmp_path / "b.csv", ["", *longer], end="\n\n"), 10)
    with pytest.raises(UserError, match="has 3 columns in line 3. Expected 785"):
        read_csv(write(tmp_path / "c.csv", ["", "", "1,2,3"]), 10)


def test_numbers_as_floats(tmp_path, images, labels):
    np.savetxt(tmp_path / "a.csv", np.column_stack([labels, images.reshape(25, -1)]), delimiter=",")
    assert_read(tmp_path / "a.csv", images, labels)
    scaled = (images / 255).astype(np.float32)
    lines = table_lines(scaled, labels)
    assert_read(write(tmp_path / "b.csv", lines), scaled, labels, np.float32)
    lines = table_lines(scaled, labels, separator=";")
    german = [line.replace(".", ",") for line in lines]
    assert_read(write(tmp_path / "c.csv", german), scaled, labels, np.float32)


@pytest.mark.parametrize("value", [-1, 256, 1e30])
def test_pixels_out_of_range_are_not_wrapped(tmp_path, images, labels, value):
    rows = images.reshape(25, -1).astype(np.float64)
    rows[3, 100] = value
    found, _ = read_csv(write(tmp_path / "a.csv", table_lines(rows, labels)), 10)
    assert found[3, 100] == np.float32(value)


def test_a_block_after_the_other(tmp_path, images, labels):
    n = csv_files.ROWS_AT_ONCE // 25 + 1
    path = write(tmp_path / "a.csv", table_lines(images, labels, header=False) * n)
    found, found_labels = read_csv(path, 10)
    np.testing.assert_array_equal(found, np.tile(images.reshape(25, -1), (n, 1)))
    assert found_labels.tolist() == labels * n


# --- What is refused ----------------------------------------------------------------------------


def changed(lines, line, change):
    """Return lines with one, counted from 1, changed."""
    return [change(text) if i == line else text for i, text in enumerate(lines, 1)]


def cell(column, value):
    """Return a change of one cell of a line, its column counted from 1."""

    def change(line):
        cells = line.split(",")
        cells[column - 1] = value
        return ",".join(cells)

    return change


@pytest.mark.parametrize(("header", "line"), [(True, 2), (True, 14), (False, 25)])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cell(7, "abc"), "line {}: column 7 is 'abc'. Expected 785 numbers"),
        (cell(1, "seven"), "line {}: column 1 is 'seven'"),
        (cell(785, "0x10"), "line {}: column 785 is '0x10'"),
        (cell(7, ""), "line {}: column 7 is empty"),
        (cell(1, ""), "line {}: column 1 is empty"),
        (cell(7, "nan"), "line {}: column 7 is"),
        (cell(7, "inf"), "line {}: column 7 is 'inf'"),
        (cell(7, "1e999"), "line {}: column 7 is 'inf'"),
        (cell(7, "1" * 400), "line {}: column 7 is '111"),
        (cell(7, "True"), "line {}: column 7 is 'True'"),
        (lambda text: text.rpartition(",")[0], "line {}(: column 785 is empty| has 784 col)"),
        (lambda text: text + ",0", "line {} has 786 columns. Expected 785"),
    ],
)
def test_a_wrong_cell_or_number_of_columns_is_named_by_its_line(
    tmp_path, images, labels, header, line, change, message, monkeypatch
):
    monkeypatch.setattr(csv_files, "ROWS_AT_ONCE", 11)
    lines = changed(table_lines(images, labels, header), line, change)
    with pytest.raises(UserError, match=message.format(line)) as caught:
        read_csv(write(tmp_path / "a.csv", lines), 10)
    assert "\n" not in str(caught.value)


def test_a_wrong_cell_in_the_first_line_is_no_header(tmp_path, images, labels):
    for value in ("abc", ""):
        lines = changed(table_lines(images, labels, header=False), 1, cell(7, value))
        with pytest.raises(UserError, match="line 1: column 7 is"):
            read_csv(write(tmp_path / "a.csv", lines), 10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "has 1 columns in line 1. Expected 785"),
        ("label," + PIXELS.replace("0", "p"), "has no rows"),
        ("label," + PIXELS.replace("0", "p") + "\n\n\n", "has no rows"),
        ("1,2,3\n4,5,6\n", "has 3 columns in line 1. Expected 785"),
        ("ImageId,Label\n1,2\n", "has 2 columns in line 1"),
        (f"1,2,{PIXELS}\n", "has 786 columns in line 1"),
        (f"label,class,{PIXELS}\n".replace("0", "p"), "2 columns of labels .label, class.. Leave"),
        (
            f"label,{PIXELS.replace('0', 'p')}\n1,{PIXELS},0\n",
            "line 2 has 786 columns. Expected 785",
        ),
        ('{"message": "Not found"}', "columns in line 1"),
        (f'1,{PIXELS}\n"1,{PIXELS}\n', "is no table: EOF inside string"),
        (f"1,{PIXELS}\n1\0,{PIXELS}\n", "not a table of plain text"),
    ],
)
def test_what_is_no_table_of_labelled_images(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_csv(tmp_path / "a.csv", 10)
    assert "\n" not in str(caught.value)


def test_other_encodings_and_binary_files(tmp_path, images, labels):
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        path = write(tmp_path / "a.csv", table_lines(images, labels), encoding)
        with pytest.raises(UserError, match="not a table of plain text: save it as CSV in UTF-8"):
            read_csv(path, 10)
    for content in (os.urandom(100_000), b"PK\x03\x04" + bytes(100), b"\xff" * 200_000):
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(UserError):
            read_csv(tmp_path / "a.csv", 10)


def test_pixels_in_another_order(tmp_path, images, labels):
    lines = table_lines(images, labels)
    names = sorted(f"pixel{i}" for i in range(784))  # pixel0, pixel1, pixel10
    with pytest.raises(UserError, match=r"pixels in another order .*pixel0, pixel1, pixel10"):
        read_csv(write(tmp_path / "a.csv", [",".join(["label", *names]), *lines[1:]]), 10)


@pytest.mark.parametrize("header", [True, False])
def test_labels_in_the_last_column_without_a_name(tmp_path, images, labels, header):
    rows = [row.split(",") for row in table_lines(images, labels, header=False)]
    lines = [",".join([*row[1:], row[0]]) for row in rows]
    if header:
        lines.insert(0, ",".join(f"column{i}" for i in range(785)))
    with pytest.raises(UserError, match="the last one may be the label. Name the label's column"):
        read_csv(write(tmp_path / "a.csv", lines), 10)


def test_a_table_of_one_class_is_read(tmp_path, images):
    for header in (True, False):
        path = write(tmp_path / "a.csv", table_lines(images, [7] * 25, header))
        assert_read(path, images, [7] * 25)
    noisy = images.copy()
    noisy[:, -1, -1] = np.arange(25) % 10  # a corner that varies, beside labels that do
    assert_read(
        write(tmp_path / "a.csv", table_lines(noisy, list(range(5)) * 5, False)),
        noisy,
        list(range(5)) * 5,
    )
    noisy[:, -1, -1] = np.arange(25)  # more than there are classes: no labels
    assert_read(write(tmp_path / "a.csv", table_lines(noisy, [7] * 25, False)), noisy, [7] * 25)


def test_damaged_gzip_and_a_bomb(tmp_path, images, labels, monkeypatch):
    lines = table_lines(images, labels) * 20
    packed = gzip.compress("\n".join(lines).encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[:-100])
    with pytest.raises(UserError, match="damaged gzip file"):
        read_csv(tmp_path / "a.csv.gz", 10)
    monkeypatch.setattr(data_files, "MAX_BYTES", 1_000_000)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(f"1,{PIXELS}\n".encode() * 1000))
    with pytest.raises(UserError, match="unpacks to more than"):
        read_csv(tmp_path / "b.csv.gz", 10)


# --- Names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train.csv", ((), "train")),
        ("Test.CSV.gz", ((), "test")),
        ("mnist_train.csv", (("mnist",), "train")),
        ("fashion-mnist_test.csv", (("fashion", "mnist"), "test")),
        ("emnist-digits-train.csv", (("emnist", "digits"), "train")),
        ("training.tsv", ((), "train")),
        ("mnist_784.csv", (("mnist", "784"), "all")),
        ("train_test.csv", ((), "all")),
        ("train.csv.zip", None),
        ("train.txt", None),
        ("train", None),
    ],
)
def test_names(name, expected):
    assert parse_csv_name(name) == expected


def test_tables_are_found_by_data_set_and_part(tmp_path):
    names = ("mnist_train.csv", "mnist_test.csv", "mnist_test.csv.gz", "a.csv", "._a.csv", "b.txt")
    for name in names:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.csv").mkdir()
    assert find_csv_files(tmp_path) == {
        ("mnist",): {
            "train": [tmp_path / "mnist_train.csv"],
            "test": [tmp_path / "mnist_test.csv", tmp_path / "mnist_test.csv.gz"],
        },
        ("a",): {"all": [tmp_path / "a.csv"]},
    }
