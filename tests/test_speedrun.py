import json
from dataclasses import asdict

import pytest

from _00_main import RECIPES
from benchmarks import time_to_accuracy
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

    def stand_in(recipe, seed, output, flags, outcome=(0.995, 12)):
        trained.append((recipe, seed))
        settings = asdict(time_to_accuracy.worker_settings(recipe, seed, output, flags))
        output.write_text(json.dumps(result(*outcome) | {"settings": settings}))

    monkeypatch.setattr(time_to_accuracy, "train_in_own_process", stand_in)
    stand_in("speedrun_990", 0, tmp_path / "speedrun_990-0.json", [], (0.99, 9))
    trained.clear()
    speedrun.main(["--n", "2", "--folder", str(tmp_path)])
    assert trained == [("speedrun_995", 0), ("speedrun_990", 1), ("speedrun_995", 1)]
    assert "| speedrun_990 | 99.0 % | 2 | 10.5 (9.0 to 12.0) |" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--seed", "5"], ["--recipe=default"]])
def test_flags_that_the_speedrun_sets_itself_are_refused(tmp_path, flags):
    with pytest.raises(UserError, match=f"leave {flags[0].split('=')[0]} out"):
        speedrun.main(["--folder", str(tmp_path), *flags])


def test_one_seed_has_no_deviation():
    with pytest.raises(UserError, match="2 or more"):
        speedrun.main(["--n", "1"])
