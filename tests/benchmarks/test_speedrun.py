import pandas as pd
import pytest

from benchmarks import speedrun
from common.recipes import RECIPES
from common.user_error import UserError
from studies.timed_recipes import train_with_curve
from tests.benchmarks.conftest import timed_result


def test_targets_are_recipes():
    assert speedrun.TARGETS == {"speedrun_990": 0.990, "speedrun_995": 0.995}
    assert speedrun.TARGETS.keys() <= RECIPES.keys()


def test_recipes_take_turns_and_go_on_where_they_were(tmp_path, timed, capsys):
    timed.answers["speedrun_990-0"] = timed_result([0.9899, 0.991], 10)
    timed.answers["speedrun_990-1"] = timed_result([0.9899, 0.9898], 12)
    speedrun.main(["--n", "2", "--folder", str(tmp_path), "--epochs", "3"])
    assert [label for label, *_ in timed.calls] == [
        "speedrun_990-0",
        "speedrun_995-0",
        "speedrun_990-1",
        "speedrun_995-1",
    ]
    assert {function for _, function, _ in timed.calls} == {train_with_curve}
    assert {settings.epochs for *_, settings in timed.calls} == {3}
    assert (tmp_path / "table.md").read_text() in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "table.csv").set_index("recipe")
    ours = table.loc["speedrun_990"]
    assert ours["target in %"] == 99.0 and ours["n"] == 2 and ours["seeds at the target"] == 1
    assert ours["process in s, median"] == 27 and ours["training in s, max"] == 24
    assert table.loc["speedrun_995", "target in %"] == 99.5

    speedrun.main(["--n", "3", "--folder", str(tmp_path), "--epochs", "3"])
    assert [label for label, *_ in timed.calls[4:]] == ["speedrun_990-2", "speedrun_995-2"]


@pytest.mark.parametrize(
    "flags", [["--seed", "5"], ["--recipe=default"], ["--output-dir=x"], ["--resume=x"]]
)
def test_flags_that_the_speedrun_sets_itself_are_refused(tmp_path, timed, flags):
    with pytest.raises(UserError, match=f"leave {flags[0].split('=')[0]} out"):
        speedrun.main(["--folder", str(tmp_path), *flags])
    assert not timed.calls


def test_one_seed_has_no_deviation():
    with pytest.raises(UserError, match="2 or more"):
        speedrun.main(["--n", "1"])
