import hashlib
import http.client
import io

import numpy as np
import pytest

from common.user_error import UserError
from experiments.tiny_schiller import text as module
from experiments.tiny_schiller.text import (
    EXCERPT,
    RARE_SIGN,
    Vocabulary,
    bits_to_restore,
    read_text,
    reduce_labels,
    reduce_prompt,
    split,
)

SENTENCE = "Die Axt im Haus erspart den Zimmermann. "


def write(folder, content):
    path = folder / "text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_the_excerpt_is_a_whole_play(tmp_path):
    text = read_text("excerpt", tmp_path)
    assert text.startswith("Friedrich Schiller\nWilhelm Tell\n")
    assert text.endswith("fällt der Vorhang.\n")
    assert EXCERPT.stat().st_size < 200_000


def test_a_file_may_have_a_mark_and_line_ends_of_windows(tmp_path):
    expected = "Zeile für Zeile\n" * 500
    path = write(tmp_path, b"\xef\xbb\xbf" + expected.replace("\n", "\r\n").encode())
    assert read_text(path, tmp_path) == expected


def test_a_file_of_another_encoding_is_read_when_it_is_named(tmp_path):
    expected = "Grüße " * 1000
    path = write(tmp_path, expected.encode("latin-1"))
    assert read_text(path, tmp_path, "latin-1") == expected
    with pytest.raises(UserError, match=r"no text in utf-8-sig \(byte 2\).*--encoding latin-1"):
        read_text(path, tmp_path)
    with pytest.raises(UserError, match="unknown encoding 'klingon'"):
        read_text(path, tmp_path, "klingon")
    with pytest.raises(UserError, match="'base64' is no encoding of text"):
        read_text(path, tmp_path, "base64")
    utf_16 = write(tmp_path, expected.encode("utf-16"))
    assert read_text(utf_16, tmp_path, "utf-16") == read_text(utf_16, tmp_path, "U16") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n\n" * 5000, "is empty"),
        (b"\x7fELF\0\0\0" * 5000, "is no text: it holds zero bytes"),
        ("a" * 10_000, "repeats a single character, 'a'"),
        ("a" * 10_000 + "\n", "repeats a single character, 'a'"),
        (SENTENCE * 10, "has 400 characters, expected 5,000 or more"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(content, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_text(write(tmp_path, content), tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.txt: No such file"):
        read_text(str(tmp_path / "none.txt"), tmp_path)


class TestDownload:
    @pytest.fixture
    def served(self, monkeypatch):
        """Serve this instead of the public file."""
        content = (SENTENCE * 200).encode()
        asked = []

        def open_url(url, timeout):
            asked.append(url)
            return io.BytesIO(content)

        monkeypatch.setattr(module.urllib.request, "urlopen", open_url)
        monkeypatch.setattr(module, "SHA256", hashlib.sha256(content).hexdigest())
        return content.decode(), asked

    def test_it_happens_once(self, served, tmp_path):
        expected, asked = served
        for _ in range(2):
            assert read_text("tiny_schiller", tmp_path / "new") == expected
        assert len(asked) == 1

    def test_a_damaged_copy_is_fetched_again(self, served, tmp_path):
        expected, asked = served
        (tmp_path / "tiny_schiller.txt").write_text("half")
        assert read_text("tiny_schiller", tmp_path) == expected and len(asked) == 1

    def test_another_file_is_refused_and_not_kept(self, served, monkeypatch, tmp_path):
        monkeypatch.setattr(module, "SHA256", "0" * 64)
        with pytest.raises(UserError, match="is not the file that it was"):
            read_text("tiny_schiller", tmp_path)
        assert not list(tmp_path.iterdir())

    def test_without_a_network_it_says_what_to_do(self, monkeypatch, tmp_path):
        def fail(url, timeout):
            raise OSError("no route to host")

        monkeypatch.setattr(module.urllib.request, "urlopen", fail)
        with pytest.raises(UserError, match="no route to host. Save the file yourself"):
            read_text("tiny_schiller", tmp_path)

    def test_one_that_breaks_off_is_told_in_one_line(self, monkeypatch, tmp_path):
        class HalfAnAnswer(io.BytesIO):
            def read(self, *_):
                raise http.client.IncompleteRead(b"half")

        monkeypatch.setattr(module.urllib.request, "urlopen", lambda *_, **__: HalfAnAnswer())
        with pytest.raises(UserError, match="cannot download the text: IncompleteRead"):
            read_text("tiny_schiller", tmp_path)

    def test_a_folder_in_its_place_is_told(self, tmp_path):
        (tmp_path / "tiny_schiller.txt").mkdir()
        with pytest.raises(UserError, match=r"cannot read .*tiny_schiller\.txt"):
            read_text("tiny_schiller", tmp_path)


def test_fewer_labels():
    text = "Äpfel und äpfel. " * 200 + "Q" + "Ende. " * 400
    lower = reduce_labels(text, "lower")
    assert reduce_labels(text, "as-is") == text
    assert lower == text.lower() and "ä" in lower
    merged = reduce_labels(text, "merged")
    assert len(merged) == len(text)
    assert merged[text.index("Q")] == RARE_SIGN  # it comes once
    assert merged.replace(RARE_SIGN, "") == lower.replace("q", "")


def test_a_prompt_is_reduced_as_the_text_was():
    characters = "abel" + RARE_SIGN
    assert reduce_prompt("Abel!", "as-is", characters) == "Abel!"
    assert reduce_prompt("Abel!", "lower", characters) == "abel!"
    assert reduce_prompt("Abel!", "merged", characters) == "abel" + RARE_SIGN


def test_bits_to_restore_by_hand():
    # Behind a blank, A came twice and a once; behind a, a came three times.
    primer = " A A aaaa"
    bits = bits_to_restore(primer, primer.lower(), " Aa", " aa")
    assert bits == pytest.approx(-(np.log2(3 / 5) + np.log2(4 / 5)) / 3)
    assert f"{bits_to_restore('ab', 'ab', 'ba', 'ba'):.3f}" == "0.000"
    # B was never seen, and b once, behind an a: of b's, there are two kinds in all.
    assert bits_to_restore("ab", "ab", "aB", "ab") == pytest.approx(-np.log2(1 / 3) / 2)


def test_characters_have_numbers_and_unknown_ones_are_named():
    vocabulary = Vocabulary("banane")
    numbers = vocabulary.encode("banane")
    assert len(vocabulary) == 4
    np.testing.assert_array_equal(numbers, [1, 0, 3, 0, 3, 2])
    assert vocabulary.decode(numbers) == "banane"
    with pytest.raises(UserError, match="a single character left"):
        Vocabulary(RARE_SIGN * 9)
    with pytest.raises(UserError, match="256 different characters, at most 255 are allowed. Try"):
        Vocabulary("".join(map(chr, range(256))))
    with pytest.raises(UserError, match="never seen 'x' '€'"):
        vocabulary.encode("ban€x")


def test_the_parts_are_in_the_texts_order():
    parts = split(np.arange(1000))
    assert [len(part) for part in parts] == [800, 100, 100]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(1000))
