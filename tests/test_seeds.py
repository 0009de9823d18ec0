import numpy as np
import pytest
from scipy import stats

from benchmarks import seeds
from user_error import UserError

VALUES = [0.9971, 0.9968, 0.9974, 0.9969]


def test_summary_agrees_with_numpy_and_scipy():
    s = seeds.summarise(VALUES)
    assert (s.n, s.smallest, s.largest) == (4, 0.9968, 0.9974)
    assert s.mean == pytest.approx(np.mean(VALUES)) and s.median == pytest.approx(0.9970)
    assert s.deviation == pytest.approx(np.std(VALUES, ddof=1))
    interval = stats.t.interval(0.95, 3, np.mean(VALUES), stats.sem(VALUES))
    assert (s.low, s.high) == pytest.approx(interval)


def test_seeds_are_consecutive_and_all_in_the_table(tmp_path, monkeypatch, capsys):
    made = {}

    def run_all(study, runs, storage):
        made.update(runs)
        common = {"test_loss": 0.01, "val_accuracy": 0.99, "train_seconds": 9, "total_seconds": 10}
        return {
            label: {"test_accuracy": accuracy, **common}
            for label, accuracy in zip(runs, VALUES, strict=True)
        }

    (tmp_path / "runs").mkdir()
    monkeypatch.setattr(seeds, "PROJECT_DIR", tmp_path)
    monkeypatch.setattr(seeds, "run_all", run_all)
    seeds.main(["--n", "4", "--seed", "5", "--epochs", "3", "--study", "mine"])
    assert [settings.seed for settings in made.values()] == [5, 6, 7, 8]
    assert {settings.epochs for settings in made.values()} == {3}
    table = capsys.readouterr().out
    assert (
        "| test accuracy in % | 99.705 ± 0.026 | 99.700 | 99.680 | 99.740 | 99.663 to 99.747 |"
        in table
    )
    assert (tmp_path / "runs" / "mine.md").read_text() in table


def test_one_seed_has_no_deviation():
    with pytest.raises(UserError, match="2 or more"):
        seeds.main(["--n", "1"])
