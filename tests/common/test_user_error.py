import pytest

from common.user_error import LONGEST_REASON, reason_of, unknown_name


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("It failed.", "It failed"),
        ("\nthe first   line.\nadvice for those who write programs", "the first line"),
        ("", "ValueError"),
        ("no image file <_io.BytesIO object at 0x7f12ab00>", "no image file _io.BytesIO"),
        ("<PIL.Image.Image image mode=L> stays", "<PIL.Image.Image image mode=L> stays"),
    ],
)
def test_a_reason_is_one_line_without_addresses(message, reason):
    assert reason_of(ValueError(message)) == reason


def test_a_long_reason_is_cut_between_words():
    reason = reason_of(ValueError("word " * 100))
    assert len(reason) <= LONGEST_REASON + 4 and reason.endswith("word ...")


def test_the_nearest_name_is_proposed():
    error = unknown_name("flag", "--modle", ["--model", "--output"])
    assert "Did you mean '--model'?" in str(error) and "Valid: --model, --output." in str(error)
    assert "Did you mean" not in str(unknown_name("flag", "zzz", ["--model"]))
