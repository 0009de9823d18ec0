"""What others need for a character: chance, frequencies, and two strong compressors of text.

A compressor is a predictor: what it writes for the test part, once it has read all that comes
before, is what it needed to know of each character. It goes on learning as it reads, so its fair
rival is a network that does the same.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from common.user_error import reason_of

# What `-m5` means for text. Given as `-m5`, zpaq decides anew for each file whether it is text, and
# the difference of two sizes would be that of two methods.
ZPAQ_METHOD = (
    "x6,0ci1,1,1,1,2aw2c0,1010,255i1c256ci1,1,1,1,1,1,2ac0,2,0,255i1c0,3,0,0,255i1"
    "c0,4,0,0,0,255i1mm16ts19t0"
)
PPMD_ORDER, PPMD_MEMORY = 8, 256 << 20  # bytes of context; bytes
TIMEOUT = 600  # seconds


def uniform_bits(n_symbols: int) -> float:
    """Return the bits per character of one who knows nothing but the alphabet."""
    return float(np.log2(n_symbols))


def unigram_bits(primer: np.ndarray, test: np.ndarray, n_symbols: int) -> float:
    """Return the bits per character of one who knows how common each character is.

    Args:
        primer: int (n,), what was counted; every symbol once more, so that none is impossible.
        test: int (m,), what is predicted.
        n_symbols: size of the vocabulary.
    """
    counts = np.bincount(primer, minlength=n_symbols) + 1
    return float(-np.log2(counts[test] / counts.sum()).mean())


def ppmd_bits(primer: str, test: str) -> float | None:
    """Return the bits per character of PPMd, the compressor of text in 7-Zip.

    None if the package `pyppmd` is not installed.
    """
    try:
        import pyppmd
    except ImportError:
        print("PPMd is left out: pip install pyppmd", flush=True)
        return None

    def size(text: str) -> int:
        encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, PPMD_MEMORY)
        return len(encoder.encode(text.encode())) + len(encoder.flush())

    return 8 * (size(primer + test) - size(primer)) / len(test)


def zpaq_bits(primer: str, test: str) -> float | None:
    """Return the bits per character of zpaq, which mixes many predictors; its slowest setting.

    None if the program `zpaq` is not installed, or fails: one rival less is no reason to stop.
    """
    program = shutil.which("zpaq")
    if program is None:
        print("zpaq is left out: it is not installed (Debian's package zpaq)", flush=True)
        return None

    def size(text: str, folder: Path) -> int:
        (folder / "text").write_bytes(text.encode())
        command = [program, "add", "archive.zpaq", "text", f"-m{ZPAQ_METHOD}", "-t1"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=TIMEOUT)
        written = (folder / "archive.zpaq").stat().st_size
        (folder / "archive.zpaq").unlink()
        return written

    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            return 8 * (size(primer + test, place) - size(primer, place)) / len(test)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"zpaq is left out: it failed ({reason_of(error)})", flush=True)
        return None
