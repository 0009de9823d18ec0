"""The programs that compare networks: what they list, and what they draw."""

import keras
import pandas as pd
import pytest

from architectures import build_architecture
from experiments import classic_networks, lecture_networks
from studies import comparison
from tests.conftest import make_tiny_settings

pytest.importorskip("optuna")


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Replace all trainings; return what was asked for."""
    asked = {}

    def run_all(study, runs, storage, may_diverge):
        asked.update(runs)
        return {
            label: {
                "test_accuracy": 0.9 + number / 1000, "test_loss": 0.1, "val_accuracy": 0.9,
                "run_folder": tmp_path, "epochs_trained": 6, "train_seconds": 1.0 + number,
            }
            for number, label in enumerate(runs)
        }  # fmt: skip

    monkeypatch.setattr(comparison, "run_all", run_all)
    monkeypatch.setattr(
        comparison,
        "seconds_per_epoch",
        lambda entries: pd.Series(1.5, [one.name for one in entries]),
    )
    return asked


def test_lecture_networks_are_trained_as_published(stand_in, tmp_path):
    lecture_networks.main(["--n=1", f"--folder={tmp_path}"])
    table = pd.read_csv(tmp_path / "lecture_networks.csv").set_index("name")
    published = table["published, in %"].dropna().to_dict()
    assert published == {
        "simple_conv": 98.95, "drop_conv": 99.21, "drop_move_conv": 99.21, "drop_full_conv": 99.27,
        "sweep_baseline": 99.47, "sweep_best": 99.64, "cnn_mnist_101": 99.7,
    }  # fmt: skip
    losses = table["published loss"].dropna().to_dict()
    assert losses == {
        "simple_conv": 0.1163, "drop_conv": 0.0359, "drop_move_conv": 0.0293,
        "drop_full_conv": 0.025, "cnn_mnist_101": 0.009,
    }  # fmt: skip
    runs = {label.split(",")[0]: settings for label, settings in stand_in.items()}
    lecture = [runs[name] for name in published if "conv" in name]
    assert {(one.optimizer, one.batch_size, one.epochs) for one in lecture} == {("adam", 64, 10)}
    moved = [(one.shift, one.rotation) for one in lecture]
    assert moved == [(0, 0), (0, 0), (0.18, 0), (0.18, 30)]
    best, baseline = runs["sweep_best"], runs["sweep_baseline"]
    assert (best.rate_decay, best.batch_size, best.monitor) == (0.975, 32, "val_accuracy")
    assert (best.learning_rate, best.optimizer, best.epochs) == (1e-3, "adam", 100)
    assert (best.rotation, best.zoom, best.shift, best.shear) == (15, 0.15, 0.1, 0.1)
    assert best.early_stopping_enabled and best.early_stopping_patience == 10
    assert best.plateau_patience > best.epochs
    assert (baseline.learning_rate, baseline.batch_size, baseline.epochs) == (3e-3, 512, 100)
    assert not baseline.early_stopping_enabled and not (baseline.rotation or baseline.shift)
    assert runs["default"].optimizer == "muon"


def test_classic_networks_differ_in_network_and_optimizer_alone(stand_in, tmp_path):
    classic_networks.main(["--n=1", "--epochs=3", f"--folder={tmp_path}"])
    settings = {label.split(", seed")[0]: one for label, one in stand_in.items()}
    assert len({one.architecture for one in settings.values()}) == 6
    assert {(one.epochs, one.rotation) for one in settings.values()} == {(3, 12)}
    by_adam = {name for name, one in settings.items() if one.optimizer == "adam"}
    assert by_adam == {"AlexNet, 1/4 wide", "VGG16, 1/4 wide", "GoogLeNet, 1/4 wide"}
    assert {settings[name].learning_rate for name in by_adam} == {1e-3}
    assert (tmp_path / "classic_networks_costs.png").exists()
    table = pd.read_csv(tmp_path / "classic_networks.csv")
    assert list(table["name"]) == list(classic_networks.NETWORKS)


def test_the_networks_that_train_by_adam_are_the_deep_ones_without_normalisation():
    for name, architecture in classic_networks.NETWORKS.items():
        network = build_architecture(architecture, (28, 28, 1), 10)
        is_normalised = any(
            isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers
        )
        is_deep = len(network.layers) > 10
        assert (is_deep and not is_normalised) == (name in classic_networks.BY_ADAM)


def test_a_dry_run_draws_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "print_forecast", lambda *_: None)
    classic_networks.main(["--dry-run", f"--folder={tmp_path}"])
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_trains_for_real(tmp_path, monkeypatch):
    tiny = make_tiny_settings(tmp_path)
    entries = [comparison.Entry("tiny", tiny, n=1)]
    result = comparison.compare("name", "", [f"--folder={tmp_path}"], lambda changes: entries)
    assert result.table.loc[0, "epochs"] == 3 and result.table.loc[0, "test accuracy in %"] > 20
