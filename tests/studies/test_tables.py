import pandas as pd
import pytest

from common.user_error import UserError
from studies.tables import to_markdown, write_table

ROWS = [
    {"recipe": "a|b", "seconds": 1234.5678, "n": 3, "ratio": None, "never": None},
    {"recipe": "1e5", "seconds": 2 / 3, "n": 10, "ratio": 1.25, "never": None},
]
FORMATS = {"seconds": ",.1f", "ratio": ".1f", "never": ".1f"}


def test_markdown_shows_one_formatted_value_per_cell():
    head, rule, *rows = to_markdown(pd.DataFrame(ROWS), FORMATS).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in (head, *rows)]
    assert cells == [
        ["recipe", "seconds", "n", "ratio", "never"],
        ["a\\|b", "1,234.6", "3", "-", "-"],
        ["1e5", "0.7", "10", "1.2", "-"],
    ]
    # Text to the left, numbers to the right, also where none is there.
    assert [("left", "right")[part.endswith(":")] for part in rule.strip("|").split("|")] == [
        "left",
        *["right"] * 4,
    ]


def test_csv_has_every_digit(tmp_path):
    markdown = write_table(tmp_path / "new" / "v1.2", ROWS, FORMATS)
    assert (
        (tmp_path / "new" / "v1.2.md").read_text()
        == markdown
        == to_markdown(pd.DataFrame(ROWS), FORMATS)
    )
    lines = (tmp_path / "new" / "v1.2.csv").read_text().splitlines()
    assert lines[0] == "recipe,seconds,n,ratio,never"
    assert lines[1:] == [f"a|b,{1234.5678!r},3,,", f"1e5,{2 / 3!r},10,1.25,"]
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_table_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_table(tmp_path / "file" / "table", ROWS, {})
