import keras
import numpy as np
import pytest

from _03_model_training import evaluate
from common.user_error import UserError
from studies import accuracy_curve
from studies.accuracy_curve import WeightsAfterEachEpoch


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that is set by hand."""
    now = [0.0]
    monkeypatch.setattr(accuracy_curve, "seconds_since", lambda started: now[0] - started)
    return now


@pytest.fixture
def network():
    return keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    )


def favour(network, digit):
    """Let the network answer every image with this digit."""
    network.set_weights([np.zeros((784, 10)), np.eye(10)[digit]])


def test_curve_has_each_epochs_accuracy_and_both_clocks(network, clock, splits):
    images, labels = splits.x_test, splits.y_test
    keeper = WeightsAfterEachEpoch(process_started=100.0)
    trainer = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Rescaling(1.0), network])
    keeper.set_model(trainer)
    clock[0] = 105.0
    keeper.on_train_begin()
    for epoch, (seconds, digit) in enumerate([(107.0, 3), (110.5, 4), (112.0, 5)]):
        if epoch == 2:
            keeper.on_train_begin()  # the second phase: the clock goes on
        clock[0] = seconds
        favour(network, digit)
        keeper.on_epoch_end(epoch)
    favour(network, 7)  # as EarlyStopping may: other weights than the last epoch's
    curve = keeper.curve(network, images, labels)
    assert curve["process_seconds"] == [7.0, 10.5, 12.0]
    assert curve["train_seconds"] == [2.0, 5.5, 7.0]
    assert curve["test_accuracy"] == [np.mean(labels == digit) for digit in (3, 4, 7)]
    assert evaluate(network, images, labels).accuracy == np.mean(labels == 3)


def test_weights_of_another_network_can_be_kept(network, clock, splits):
    other = keras.models.clone_model(network)
    keeper = WeightsAfterEachEpoch(0.0, network)
    keeper.set_model(other)
    keeper.on_train_begin()
    favour(network, 1)
    keeper.on_epoch_end(0)
    favour(network, 2)
    np.testing.assert_array_equal(keeper.weights[0][1], np.eye(10)[1])


def test_network_whose_cost_is_not_known_is_refused_before_training():
    keeper = WeightsAfterEachEpoch(0.0)
    odd = keras.Sequential([keras.Input((28, 28)), keras.layers.GRU(10)])
    keeper.set_model(keras.Sequential([keras.Input((28, 28)), odd]))
    with pytest.raises(UserError, match="GRU"):
        keeper.on_train_begin()
