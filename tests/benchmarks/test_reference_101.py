import pytest

from _00_main import make_settings
from benchmarks import reference_101
from benchmarks.reference_101 import RECIPE, train_reference
from common.recipes import RECIPES
from common.user_error import UserError
from tests.tiny import tiny
from training import batches as batches_module


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # ImageDataGenerator's
def test_reference_is_trained_as_its_project_did(splits, monkeypatch):
    pytest.importorskip("tensorflow")
    few = splits._replace(
        x_train=splits.x_train[:96], y_train=splits.y_train[:96], x_val=splits.x_val[:16],
        y_val=splits.y_val[:16], x_test=splits.x_test[:20], y_test=splits.y_test[:20],
    )  # fmt: skip
    monkeypatch.setattr("_02_data_preprocess.load_splits", lambda settings: few)
    monkeypatch.setattr("studies.costs.matrix_product_peak", lambda dtype: 1e9)
    fitted, fit = [], reference_101.fit
    # A small network in its place: network 101 takes long to compile.
    monkeypatch.setattr("_03_model_training.build_network", lambda settings: built(settings))
    monkeypatch.setattr(reference_101, "fit", lambda *given: (fitted.append(given[0]), fit(*given)))

    orders, pipeline = [], batches_module.input_pipeline

    def note_the_order_after_each_epoch(batches):
        if hasattr(batches, "index_array"):  # the training images' iterator
            draw = batches.on_epoch_end
            batches.on_epoch_end = lambda: (draw(), orders.append(batches.index_array.tolist()))
        return pipeline(batches)

    monkeypatch.setattr(batches_module, "input_pipeline", note_the_order_after_each_epoch)

    def built(settings):
        assert settings.architecture == RECIPE
        return tiny((28, 28, 1), 10)

    # Whatever --architecture says, it is the reference.
    changes = {"dataset": "digits", "epochs": 2, "architecture": "fast_cnn", "precision": "float32"}
    kept = train_reference(make_settings(RECIPE, **changes), process_started=0.0)
    (network,) = fitted
    assert kept["n_parameters"] == network.count_params()
    assert kept["flops_per_epoch"] == 6 * kept["multiply_adds"] * 96
    assert len(kept["test_accuracy"]) == len(kept["train_seconds"]) == 2
    assert kept["train_seconds"][0] < kept["train_seconds"][1] < kept["process_seconds"][1]
    assert kept["machine"]["backend"].startswith("tensorflow")
    assert int(network.optimizer.iterations) == 2 * 2  # two batches of 64 per epoch
    assert len(orders) == 2 and orders[0] != orders[1]  # each epoch has an order of its own
    assert sorted(orders[0]) == list(range(96))
    assert type(network.optimizer).__name__ == "Adam"
    assert float(network.optimizer.learning_rate) == pytest.approx(1e-3)


def test_recipe_of_the_same_name_is_what_the_project_states():
    recipe = RECIPES[RECIPE]
    assert (recipe["batch_size"], recipe["learning_rate"], recipe["epochs"]) == (64, 1e-3, 150)


def test_other_back_ends_are_refused(monkeypatch):
    monkeypatch.setattr("common.keras_start.prepare", lambda *_: {"backend": "jax 0.10"})
    with pytest.raises(UserError, match="TensorFlow's ImageDataGenerator only"):
        train_reference(make_settings(RECIPE), process_started=0.0)
