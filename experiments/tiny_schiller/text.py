"""The text: where it comes from, its characters as numbers, and its three parts."""

import codecs
import hashlib
import http.client
import urllib.request
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.safe_files import write_atomically, writing
from common.user_error import UserError, reason_of

EXCERPT = Path(__file__).with_name("excerpt.txt")
# A fixed version of the public file: Schiller's plays are in the public domain, the repository is
# under the MIT licence.
URL = (
    "https://raw.githubusercontent.com/schutera/tiny_schiller/"
    "8ea5f65975421fb2f8933fdfdae4186d89da421f/tiny_schiller.txt"
)
SHA256 = "a767c050a85a0b3e188ad51531f6b24a4f81b0bc8eec094b6525c66be98dac9b"
TIMEOUT = 30  # seconds
SHORTEST = 5000  # characters: its tenths for validation and test then have 500
TRAINING_SHARE, VALIDATION_SHARE = 0.8, 0.1  # the rest is for the test
MOST_CHARACTERS = 255  # so that a byte holds each number, and one is left over
RARE = 100  # a character that is rarer in the training part is merged with the other rare ones
RARE_SIGN = "\N{REPLACEMENT CHARACTER}"


# --- Reading ------------------------------------------------------------------------------------


def read_text(source: str, folder: Path, encoding: str = "utf-8-sig") -> str:
    """Return a text.

    Args:
        source: excerpt, tiny_schiller (downloaded once), or the path of a file.
        folder: keeps what was downloaded.
        encoding: of the file. The default is UTF-8, with or without a mark at its beginning.

    Raises:
        UserError: there is no such file, it cannot be downloaded, or it is no text that a network
            could learn from.
    """
    path = EXCERPT if source == "excerpt" else Path(source)
    if source == "tiny_schiller":
        path = folder / "tiny_schiller.txt"
        if not (path.exists() and is_public_file(read_bytes(path))):
            download(path)
    content = read_bytes(path)
    text = decode(content, encoding, path).replace("\r\n", "\n")
    check(text, path)
    return text


def read_bytes(path: Path) -> bytes:
    """Return what a file holds, or raise UserError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


def download(path: Path) -> None:
    """Fetch the public file, check that it is the one this program means, and keep it.

    Raises:
        UserError: it cannot be fetched, or is another file.
    """
    print(f"Downloading {URL} ...", flush=True)
    advice = "Save the file yourself and give it with --text FILE; or leave --text out."
    try:
        with urllib.request.urlopen(URL, timeout=TIMEOUT) as answer:
            content = answer.read()
    except (OSError, http.client.HTTPException) as error:  # the latter if it breaks off
        raise UserError(f"cannot download the text: {reason_of(error)}. {advice}") from error
    if not is_public_file(content):
        raise UserError(f"{URL} is not the file that it was. {advice}")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def is_public_file(content: bytes) -> bool:
    """Return whether this is the file that URL means."""
    return hashlib.sha256(content).hexdigest() == SHA256


def decode(content: bytes, encoding: str, path: Path) -> str:
    """Return bytes as text.

    Raises:
        UserError: they are none in this encoding, or the encoding is unknown.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise UserError(f"unknown encoding '{encoding}'. Try utf-8, latin-1 or cp1252.") from None
    if b"\0" in content and not name.startswith(("utf-16", "utf-32")):
        raise UserError(f"{path} is no text: it holds zero bytes. (For UTF-16: --encoding utf-16.)")
    try:
        return content.decode(encoding)
    except LookupError:  # an encoding that Python has, but not of text, such as base64
        raise UserError(f"'{encoding}' is no encoding of text. Try utf-8 or latin-1.") from None
    except UnicodeError as error:
        where = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise UserError(
            f"{path} is no text in {encoding}{where}. Name its encoding, for example "
            "--encoding latin-1."
        ) from None


def check(text: str, path: Path) -> None:
    """Raise UserError for a text that nothing can be learned from."""
    if not text.strip():
        raise UserError(f"{path} is empty. Expected a text of {SHORTEST:,} characters or more.")
    if len(set(text.strip())) == 1:  # an editor has put the end of a line behind them
        raise UserError(f"{path} repeats a single character, {text[0]!r}: nothing to learn.")
    if len(text) < SHORTEST:
        raise UserError(
            f"{path} has {len(text):,} characters, expected {SHORTEST:,} or more: a tenth is for "
            "validation, a tenth for the test."
        )


# --- Fewer labels -------------------------------------------------------------------------------


def reduce_labels(text: str, how: str) -> str:
    """Return a text with fewer different characters.

    Args:
        how: as-is, lower (all letters small) or merged (small, and all characters that the
            training part has fewer than RARE times become one).
    """
    if how == "as-is":
        return text
    # One character for each: a few letters would become two.
    text = "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
    if how == "merged":
        counts = Counter(text[: int(TRAINING_SHARE * len(text))])
        text = "".join(sign if counts[sign] >= RARE else RARE_SIGN for sign in text)
    return text


def reduce_prompt(prompt: str, how: str, characters: str) -> str:
    """Return a prompt in the characters of a network that has learned with fewer labels."""
    prompt = reduce_labels(prompt, "as-is" if how == "as-is" else "lower")
    if how != "merged":
        return prompt
    return "".join(sign if sign in characters else RARE_SIGN for sign in prompt)


def bits_to_restore(primer: str, reduced_primer: str, test: str, reduced_test: str) -> float:
    """Return the bits per character that a text with fewer labels has lost, at most.

    They are the bits needed to restore the original by someone who has counted, in the primer,
    which original character stood for each reduced one behind each other reduced one. (A capital
    comes behind a full stop, or a blank.) So what different labels need can be compared. More
    context would make them fewer.

    Args:
        primer, reduced_primer: what is counted, of equal lengths; each original once more.
        test, reduced_test: what is restored, of equal lengths.
    """
    originals: dict[str, set[str]] = {}
    pairs: Counter[tuple[str, str, str]] = Counter()
    singles: Counter[tuple[str, str]] = Counter()
    for before, short, long in zip("\n" + reduced_primer, reduced_primer, primer, strict=False):
        originals.setdefault(short, set()).add(long)
        pairs[before, short, long] += 1
        singles[before, short] += 1
    shares = []
    for before, short, long in zip("\n" + reduced_test, reduced_test, test, strict=False):
        n = len(originals.get(short, set()) | {long})
        shares.append((pairs[before, short, long] + 1) / (singles[before, short] + n))
    return float(np.log2(1 / np.array(shares)).mean())  # 0.0, not -0.0


# --- Numbers ------------------------------------------------------------------------------------


class Vocabulary:
    """The different characters of a text in their order in Unicode, and a number for each.

    Raises:
        UserError: they are too many.
    """

    def __init__(self, text: str) -> None:
        self.characters = "".join(sorted(set(text)))
        if len(self.characters) > MOST_CHARACTERS:
            advice = "" if RARE_SIGN in self.characters else " Try --labels merged."
            raise UserError(
                f"the text has {len(self.characters)} different characters, at most "
                f"{MOST_CHARACTERS} are allowed.{advice}"
            )
        if len(self.characters) == 1:  # all were rare, and are merged
            raise UserError("the text has a single character left. Leave --labels out.")
        self._numbers = {sign: number for number, sign in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """Return the numbers of the characters, int32 (n,).

        Raises:
            UserError: a character is not in the vocabulary; all such ones are named.
        """
        unknown = sorted(set(text) - self._numbers.keys())
        if unknown:
            named = " ".join(repr(sign) for sign in unknown)
            raise UserError(f"the network has never seen {named}. Leave it out.")
        return np.array([self._numbers[sign] for sign in text], np.int32)

    def decode(self, numbers: np.ndarray) -> str:
        """Return the characters of numbers (n,)."""
        return "".join(self.characters[number] for number in numbers)


class Parts(NamedTuple):
    """The text in numbers, int32 (n,): first what is learned from, at the end what is for tests."""

    training: np.ndarray  # the first 80 %
    validation: np.ndarray  # the next 10 %: all choices are made on it
    test: np.ndarray  # the last 10 %


def split(numbers: np.ndarray) -> Parts:
    """Return the three parts of a text, in its order."""
    first = int(TRAINING_SHARE * len(numbers))
    second = int((TRAINING_SHARE + VALIDATION_SHARE) * len(numbers))
    return Parts(numbers[:first], numbers[first:second], numbers[second:])
