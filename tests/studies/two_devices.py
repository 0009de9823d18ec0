"""Train on one device and on two halves of a CPU: `python -m tests.studies.two_devices muon`.

Prints the test loss of each. As in docs/scaling.md: on TensorFlow by MirroredStrategy, on JAX by
keras.distribution. The network has neither dropout nor normalisation, so that the losses agree.
"""

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"  # read when JAX starts

import numpy as np

from _00_main import make_settings, run
from common.keras_start import load_keras


@contextmanager
def two_devices():
    """Let what is trained in the block be trained on two devices."""
    import keras

    if keras.backend.backend() == "jax":
        assert len(keras.distribution.list_devices()) == 2
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )
        yield
        keras.distribution.set_distribution(None)
    else:
        import tensorflow as tf

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        assert strategy.num_replicas_in_sync == 2
        with strategy.scope():
            yield


def cut_the_cpu_in_halves():
    """Let TensorFlow see two CPUs; JAX has read XLA_FLAGS."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], halves
        )


def count_devices(counts):
    """Return a callback that notes on how many devices each training's weights are."""
    import keras

    def note(_logs):
        model = callback.model
        if keras.backend.backend() == "jax":
            counts.append(len(model.trainable_variables[0].value.sharding.device_set))
        else:
            counts.append(model.distribute_strategy.num_replicas_in_sync)

    callback = keras.callbacks.LambdaCallback(on_train_begin=note)
    return callback


def write_even_data(folder):
    """Write digits whose parts can be divided by two: 1,152 for training, 128, and 320."""
    from _01_data_loader import load_data

    digits = load_data("digits")
    np.savez(
        folder / "even.npz",
        x_train=digits.x_train[:1280], y_train=digits.y_train[:1280],
        x_test=digits.x_test[:320], y_test=digits.y_test[:320],
    )  # fmt: skip
    return folder / "even.npz"


def main(optimizer):
    load_keras()
    cut_the_cpu_in_halves()
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings(
            "one_factor", dataset="custom", data_dir=write_even_data(Path(folder)), val_size=0.1,
            architecture="two_convolutions", epochs=1, optimizer=optimizer, figures="none",
            precision="float32", output_dir=folder,
        )  # fmt: skip
        counts = []
        one = run(settings, callbacks=[count_devices(counts)]).metrics["test_loss"]
        with two_devices():
            two = run(settings, callbacks=[count_devices(counts)]).metrics["test_loss"]
    print(f"one device: {one:.6f}\ntwo devices: {two:.6f}")
    assert counts == [1, 2], "the devices were not used"
    assert abs(one - two) < 1e-3 * one, "two devices train otherwise than one"


if __name__ == "__main__":
    main(sys.argv[1])
