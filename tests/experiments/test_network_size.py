# ruff: noqa: F401, F811 (fixtures are imported by name)
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from common.user_error import UserError
from experiments import network_size as experiment
from tests.apps.exporting import run, run_folder, trained

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory):
    """Return the folder of a run that has been exported."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(run_folder, folder, dirs_exist_ok=True)
    path = folder / experiment.EXPORT
    assert run("--format", "int8", "--model", folder, "--output", path) == 0
    return folder


@pytest.fixture
def stand_in(monkeypatch, exported):
    """Let runs of small digits, which are made, stand for all runs; return what was asked for."""
    asked, runs_of = {}, experiment.runs_of

    def run_all(study, runs, storage):
        asked.update(runs)
        shared = {"run_folder": exported, "n_parameters": 1_000, "epochs_trained": 21}
        return {
            label: {**shared, "test_accuracy": 0.9 + settings.seed / 100, "train_seconds": 7.0}
            for label, settings in runs.items()
        }

    def of_digits(n):
        return {label: replace(one, dataset="digits") for label, one in runs_of(n).items()}

    monkeypatch.setattr(experiment, "run_all", run_all)
    monkeypatch.setattr(experiment, "runs_of", of_digits)
    return asked


def test_tables_and_figure(stand_in, exported, trained, splits, tmp_path, capsys):
    experiment.main([f"--folder={tmp_path}"])
    table = pd.read_csv(tmp_path / "network_size.csv").set_index("network")
    assert table["n"].to_dict() == {
        "tiny_cnn_small": 1, "tiny_cnn": 5, "tiny_cnn_large": 1, "fast_cnn_small": 1
    }  # fmt: skip
    tiny = table.loc["tiny_cnn"]
    assert tiny["float accuracy in %"] == pytest.approx(92)  # of 90 to 94
    assert tiny["bytes"] == (exported / experiment.EXPORT).stat().st_size
    by_keras = (trained.predict(splits.x_test, verbose=0).argmax(1) == splits.y_test).mean()
    assert tiny["int8 accuracy in %"] == pytest.approx(100 * by_keras, abs=1)
    assert tiny["its standard deviation"] == pytest.approx(0)  # five times one file
    assert pd.isna(table.loc["tiny_cnn_small", "its standard deviation"])
    assert len(pd.read_csv(tmp_path / "network_size_each_seed.csv")) == 8
    assert (tmp_path / "network_size.md").read_text() in capsys.readouterr().out
    with Image.open(tmp_path / "network_size.png") as figure:
        assert figure.width > 600


def test_each_network_is_trained_by_its_recipe(stand_in, tmp_path):
    experiment.main(["--n=2", f"--folder={tmp_path}"])
    assert len(stand_in) == 8 and not any(one.average_shifts for one in stand_in.values())
    assert {one.epochs for label, one in stand_in.items() if "tiny" in label} == {20}
    assert stand_in["tiny_cnn_large seed 1"].architecture == "tiny_cnn_large"


def test_what_does_not_export_and_a_wrong_n_are_named(tmp_path, capfd):
    with pytest.raises(UserError, match="could not be exported"):
        experiment.export(tmp_path, tmp_path / "model.tflite")
    assert str(tmp_path) in capfd.readouterr().err
    with pytest.raises(UserError, match="--n must be 1 or more, got 0"):
        experiment.main(["--n=0"])
