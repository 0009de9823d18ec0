"""The data that people bring: IDX files, an .npz file, tables or pictures, found and read.

`read_arrays` takes a folder or a file as people have them: MNIST, Fashion-MNIST or EMNIST as
published or as on Kaggle, `train.csv` and `test.csv`, or arrays that they saved themselves.
What could be read in two ways is refused with a line that says what to name.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from common.array_checks import Labelled, check_part, hold_out
from common.csv_files import find_csv_files, parse_csv_name, read_csv
from common.data import Arrays
from common.data_files import entries, is_folder, open_content, type_of, words_of
from common.idx_files import MAGIC_OF_ROLE, file_name, find_idx_files, parse_idx_name, read_idx
from common.npz_files import find_npz_files, read_npz
from common.picture_files import PICTURE_ENDS
from common.picture_folders import find_picture_folders, read_picture_folder
from common.user_error import UserError

READABLE = (
    "Expected four IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte; or .gz), one .npz file (x_train, y_train, "
    "x_test, y_test), train.csv and test.csv (label and 784 pixels), or folders 0 to 9 of pictures."
)
MORE_CLASSES = "(For more classes, list their names in DATA_SETS.)"
Parts = tuple[Labelled, Labelled | None]  # training and test data, as stored
Sets = Mapping[tuple[str, ...], Mapping[str, list[Path]]]  # files by data set, then by role


def read_arrays(path: Path, data_set: str, n_classes: int) -> Arrays:
    """Read the user's data.

    Args:
        path: a folder, or one of the files in it. A folder may hold several data sets, each in a
            subfolder of its name; where they lie side by side, a file says which.
        data_set: the name to look for.
        n_classes: labels run from 0 to n_classes - 1.

    Returns:
        Images uint8 (n, 28, 28), white on black, and labels of the smallest unsigned type: the
        same, whatever they were stored in. Without labels for the test, the last seventh of each
        class is set aside for it, and that is printed.

    Raises:
        UserError: there is no such data, it is damaged, or it could mean more than one thing.
    """
    train, test = read_parts(path, data_set, n_classes)
    train = check_part(train, n_classes, f"{path}: the train", MORE_CLASSES)
    if test is None:
        train, test = hold_out(train, path)
    else:
        test = check_part(test, n_classes, f"{path}: the test", MORE_CLASSES)
    return Arrays(*train, *test)


def read_parts(path: Path, data_set: str, n_classes: int) -> Parts:
    """Read the training part and, if there is one, the test part, as they are stored.

    Args and errors: as `read_arrays`.
    """
    if type_of(path) == "file":
        return _read_file(path, n_classes)
    return _read_folder(_subfolder(path, data_set), data_set, n_classes)


# --- Finding ------------------------------------------------------------------------------------


def _subfolder(folder: Path, data_set: str) -> Path:
    """Return the subfolder of the data set's name, however it is written, or the folder itself.

    PyTorch's torchvision keeps the files in FashionMNIST/raw. Kaggle packs each file into a
    folder of its name; if that is what was given, the others lie beside it.
    """
    if parse_idx_name(folder.name):
        return folder.absolute().parent
    named = [path for path in entries(folder) if _letters(path.name) == _letters(data_set)]
    folder = next(filter(is_folder, named), folder)
    has_data = any(find(folder) for find in (find_npz_files, find_idx_files, find_csv_files))
    return folder / "raw" if is_folder(folder / "raw") and not has_data else folder


def _letters(name: str) -> str:
    """Return a name as it compares with others: Fashion-MNIST and fashion_mnist are one."""
    return "".join(words_of(name.replace("_", "-")))


def _read_file(path: Path, n_classes: int) -> Parts:
    """Read a file and, if it is one of several, those that belong to it."""
    idx_name, csv_name = parse_idx_name(path.name), parse_csv_name(path.name)
    folder = path.absolute().parent
    if idx_name:
        if parse_idx_name(folder.name) == idx_name:
            folder = folder.parent
        files = find_idx_files(folder).get(idx_name.data_set, {})
        return _read_idx_files({**files, idx_name.role: [path]}, idx_name.data_set, folder)
    if csv_name:
        files = find_csv_files(folder).get(csv_name.data_set, {}) if csv_name.part != "all" else {}
        return _read_tables({**files, csv_name.part: [path]}, folder, n_classes)
    if path.suffix.lower() in PICTURE_ENDS:
        raise UserError(
            f"{path} is a single picture. Give a folder with folders 0 to 9 of pictures."
        )
    return read_npz(path)


def _read_folder(folder: Path, data_set: str, n_classes: int) -> Parts:
    """Read what a folder holds: it must be of one kind."""
    archives, idx_files = find_npz_files(folder), find_idx_files(folder)
    tables = find_csv_files(folder)
    if archives or idx_files or any("train" in files for files in tables.values()):
        tables = {words: files for words, files in tables.items() if "train" in files}
    kinds = [path for sets in (archives, idx_files, tables) for path in _first_file(sets)]
    if len(kinds) > 1:
        names = " and ".join(path.name for path in kinds)
        raise UserError(f"{folder} has data of several kinds: {names}. Give the path of one file.")
    if archives:
        return read_npz(_only(_choose(archives, data_set, folder)[1]["all"]))
    if idx_files:
        complete = {words: files for words, files in idx_files.items() if len(files) == 4}
        words, files = _choose(complete or idx_files, data_set, folder)
        return _read_idx_files(files, words, folder)
    if tables:
        return _read_tables(_choose(tables, data_set, folder)[1], folder, n_classes)
    if parts := find_picture_folders(folder):
        if "all" not in parts and "train" not in parts:
            raise UserError(f"{folder} has pictures for the test, but none for training.")
        train = read_picture_folder(parts.get("all") or parts["train"])
        return train, read_picture_folder(parts["test"]) if "test" in parts else None
    raise _nothing_to_read(folder)


def _first_file(sets: Sets) -> list[Path]:
    """Return the first file of all, in a list, which is empty if there is none."""
    return [path for files in sets.values() for paths in files.values() for path in paths][:1]


def _choose(sets: Sets, data_set: str, folder: Path) -> tuple[tuple[str, ...], Mapping]:
    """Return the only data set of a folder, or the one of the name that is looked for."""
    if len(sets) > 1:
        name = _letters(data_set)
        sets = {words: files for words, files in sets.items() if "".join(words) == name} or sets
    if len(sets) > 1:
        files = [_first_file({words: files})[0] for words, files in sets.items()]
        listed = ", ".join(path.name for path in files[:6])
        raise UserError(
            f"{folder} has {len(sets)} data sets side by side, with {listed}. Say which by the "
            f'path of one file: --data-dir "{files[0]}"'
        )
    return next(iter(sets.items()))


def _only(paths: list[Path]) -> Path:
    """Return the one file of a role; copies of it, packed or not, may lie beside it."""
    if len(paths) > 1 and len({_hash_of(path) for path in paths}) > 1:
        names = " and ".join(str(path) for path in paths)
        raise UserError(f"{names} differ, and only one can be meant. Remove the other.")
    return paths[0]


def _hash_of(path: Path) -> bytes:
    with open_content(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


def _nothing_to_read(folder: Path) -> UserError:
    """Return (not raise) the error for a folder without data, with what it holds instead."""
    held = entries(folder)
    if any(path.suffix.lower() in PICTURE_ENDS for path in held):
        return UserError(
            f"{folder} holds pictures without labels. Put them into folders named 0 to 9."
        )
    listed = ", ".join(path.name for path in held[:8]) + (", ..." if len(held) > 8 else "")
    return UserError(f"data folder {folder} has no data; it has {listed or 'no files'}. {READABLE}")


# --- Reading ------------------------------------------------------------------------------------


def _read_idx_files(
    files: Mapping[str, list[Path]], data_set: tuple[str, ...], folder: Path
) -> Parts:
    """Read the four IDX files of a data set."""
    arrays = {}
    for role, magic in MAGIC_OF_ROLE.items():
        if not files.get(role):
            name = file_name(data_set, role)
            raise UserError(f"data folder {folder} has no file {name} (or .gz). {READABLE}")
        arrays[role] = read_idx(_only(files[role]), magic)
    train = Labelled(arrays["x_train"], arrays["y_train"])
    return _upright((train, Labelled(arrays["x_test"], arrays["y_test"])), data_set)


def _read_tables(files: Mapping[str, list[Path]], folder: Path, n_classes: int) -> Parts:
    """Read a training table, and the test table beside it if that has labels.

    Kaggle's `test.csv` has none: they are its competition's secret.
    """
    paths = files.get("train") or files.get("all")
    if not paths:
        raise UserError(f"{folder} has a table for the test, but none for training. {READABLE}")
    path = _only(paths)
    train = _read_table(path, n_classes)
    if train is None:
        raise UserError(f"{path} has 784 columns: pixels, but no label. Add a column: label.")
    test = _read_table(_only(files["test"]), n_classes) if "test" in files else None
    return _upright((train, test), words_of(path.name))


def _read_table(path: Path, n_classes: int) -> Labelled | None:
    """Return images (n, 28, 28) and labels of a table, or None if it has no labels."""
    images, labels = read_csv(path, n_classes)
    return None if labels is None else Labelled(images.reshape(-1, 28, 28), labels)


def _upright(parts: Parts, words: tuple[str, ...]) -> Parts:
    """Turn EMNIST's images, which are stored with rows and columns exchanged.

    Source: "inverted horizontally and rotated 90 anti-clockwise", the catalogue of TensorFlow
    Datasets on emnist; that is a transposed image.

    Args:
        parts: images (n, rows, columns).
        words: of the files' names, which tell whose they are.
    """
    if "emnist" not in words:
        return parts
    print("EMNIST's images are stored transposed; they are turned upright.", flush=True)
    train, test = parts
    train = train._replace(images=train.images.transpose(0, 2, 1))
    return train, test and test._replace(images=test.images.transpose(0, 2, 1))
