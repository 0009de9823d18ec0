import pandas as pd
import pytest

from benchmarks import study_scaling
from common.user_error import UserError

pytest.importorskip("optuna")


def test_ratios_are_those_within_a_turn():
    seconds = {1: [10.0, 40.0, 20.0], 2: [5.0, 10.0, 20.0]}
    one, two = study_scaling.rows_of(seconds, 12)
    assert (one["workers"], one["seconds, median"], one["times as fast"]) == (1, 20, 1)
    assert (two["seconds, median"], two["times as fast"]) == (10, 2)


def test_a_study_is_made_by_its_workers(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(study_scaling, "WORKER", "tests.benchmarks.stub_program")
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    flags = ["--workers", "1", "--n=2", "--turns=1", f"--folder={tmp_path}", "--epochs=1"]
    study_scaling.main([f"--storage={storage}", *flags, "--architecture=keras_example"])
    (row,) = pd.read_csv(tmp_path / "study_scaling.csv").to_dict("records")
    (each,) = pd.read_csv(tmp_path / "study_scaling_each.csv").to_dict("records")
    assert each == {"workers": 1, "turn": 1, "runs": 2, "seconds": row["seconds, median"]}
    (log,) = tmp_path.glob("scaling-*.log")
    assert log.read_text().count("=== scaling-") == 2  # each run once
    assert "|         1 |" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--study=x", "--output-dir=x"])
def test_what_it_sets_itself_is_refused(flag):
    with pytest.raises(UserError, match=r"--study|leave --output-dir out: --folder says where"):
        study_scaling.main(["--storage=sqlite://", flag])


def test_a_worker_that_fails_is_named_with_its_reason(tmp_path):
    flags = ["--storage=nonsense", "--workers=1", "--turns=1", f"--folder={tmp_path}"]
    with pytest.raises(UserError, match=r"a worker failed: error: the storage is no URL.* See "):
        study_scaling.main(flags)


@pytest.mark.parametrize("flags", [["--n=1"], ["--workers", "0"], ["--turns=0"]])
def test_numbers_that_cannot_be(flags):
    with pytest.raises(UserError, match="must be 1 or more, and --n 2 or more"):
        study_scaling.main(["--storage=sqlite://", *flags])
