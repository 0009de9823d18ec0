import json

import pytest

from _00_main import RECIPES
from experiments import speedrun
from user_error import UserError


def result(accuracy, seconds):
    return {
        "test_accuracy": [0.5, accuracy],
        "process_seconds": [1, seconds],
        "train_seconds": [1, seconds - 5],
    }


def test_targets_are_recipes():
    assert speedrun.TARGETS.keys() <= RECIPES.keys()


def test_table_counts_the_seeds_that_reach_the_target():
    by_recipe = {"speedrun_990": [result(0.991, 10), result(0.989, 14), result(0.993, 11)]}
    row = speedrun.make_table(by_recipe).splitlines()[-1]
    cells = ["speedrun_990", "99.0 %", "3", "11.0 (10.0 to 14.0)", "6.0"]
    cells += ["99.100 ± 0.200", "99.10", "2 of 3"]
    assert row == f"| {' | '.join(cells)} |"


def test_recipes_take_turns_and_go_on_where_they_were(tmp_path, monkeypatch, capsys):
    trained = []

    def stand_in(recipe, seed, output, flags):
        trained.append((recipe, seed))
        output.write_text(json.dumps(result(0.995, 12)))

    monkeypatch.setattr(speedrun, "train_in_own_process", stand_in)
    (tmp_path / "speedrun_990-0.json").write_text(json.dumps(result(0.99, 9)))
    speedrun.main(["--n", "2", "--folder", str(tmp_path)])
    assert trained == [("speedrun_995", 0), ("speedrun_990", 1), ("speedrun_995", 1)]
    assert "| speedrun_990 | 99.0 % | 2 | 10.5 (9.0 to 12.0) |" in capsys.readouterr().out


def test_one_seed_has_no_deviation():
    with pytest.raises(UserError, match="2 or more"):
        speedrun.main(["--n", "1"])
