import pytest

from common.user_error import UserError
from studies.settings_flags import parse_changes


def test_changes_are_those_of_the_flags():
    flags = parse_changes(["--epochs=3", "--val_size", "0.2", "--recipe", "best"], (), "")
    assert flags.changes == {"epochs": 3, "val_size": 0.2} and flags.recipe == "best"


@pytest.mark.parametrize(
    "arguments", [["--seed", "5"], ["--recipe=default"], ["--output_dir=x"], ["--output-dir", "x"]]
)
def test_flags_that_the_program_sets_itself_are_refused(arguments):
    flag = arguments[0].split("=")[0].replace("_", "-")
    with pytest.raises(UserError, match=f"^leave {flag} out: because.$"):
        parse_changes(arguments, ("seed", "recipe", "output_dir"), "because")


def test_resume_is_refused_and_unknown_flags_are_named():
    with pytest.raises(UserError, match="leave --resume out.*goes on where it was"):
        parse_changes(["--resume", "folder"], (), "")
    with pytest.raises(UserError, match="Did you mean '--epochs'"):
        parse_changes(["--epoch=3"], (), "")
