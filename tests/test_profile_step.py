import keras
import pytest

from benchmarks import profile_step
from benchmarks.profile_step import Pass, make_table, measure_layer
from user_error import UserError


@pytest.fixture(autouse=True)
def few_repetitions(monkeypatch):
    monkeypatch.setattr(profile_step, "REPETITIONS", 2)
    monkeypatch.setattr(profile_step, "WARM_UPS", 1)


def test_passes_of_every_kind_of_layer_are_measured():
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            keras.layers.Conv2D(4, 3, strides=2),  # 5 x 5 x 4 outputs of 9 weights
            keras.layers.Conv2D(6, 3, padding="same"),  # 5 x 5 x 6 outputs of 36 weights
            keras.layers.Flatten(),
            keras.layers.Dense(10),  # of 150 inputs
        ]
    )
    layers = [layer for layer in model.layers if layer.weights]
    first, second, dense = (
        measure_layer(layer, 8, is_first=layer is layers[0]) for layer in layers
    )
    assert [one.name for one in first] == ["forward", "to weights"]  # none to the image
    for passes, multiply_adds in ((first, 900), (second, 5400), (dense, 1500)):
        assert {one.flops for one in passes} == {2 * 8 * multiply_adds}
        assert all(one.seconds > 0 for one in passes)
    assert [one.name for one in dense] == ["forward", "to inputs", "to weights"]


def test_table_adds_up():
    passes = [Pass("a", "forward", 0.010, 2e9), Pass("a", "to weights", 0.020, 2e9)]
    lines = make_table(passes, step_seconds=0.040, peak=400e9).splitlines()
    assert lines[0] == "Matrix-product peak: 400 GFLOP/s"
    assert lines[4] == "| a | forward | 10.00 | 25% | 200 | 50% |"
    assert lines[-3] == "| all of these |  | 30.00 | 75% | 133 | 33% |"
    assert lines[-2] == "| the rest |  | 10.00 | 25% |  |  |"
    assert lines[-1] == "| whole step |  | 40.00 | 100% | 100 | 25% |"


def test_profile_of_a_recipe(capsys, tiny_architecture):
    profile_step.main(["--architecture=tiny", "--batch-size=4"])
    printed = capsys.readouterr().out
    assert "| conv2d" in printed and "| dense" in printed and "| whole step |" in printed


@pytest.mark.parametrize(
    ("machine", "flags", "message"),
    [
        ({"backend": "jax 0.10", "device": "CPU (x)"}, [], "TensorFlow's kernels on a CPU"),
        ({"backend": "tensorflow 2.21", "device": "A GPU"}, [], "TensorFlow's kernels on a CPU"),
        (
            {"backend": "tensorflow 2.21", "device": "CPU (x)"},
            ["--precision=mixed_bfloat16"],
            "float32 only",
        ),
    ],
)
def test_what_cannot_be_measured(monkeypatch, machine, flags, message):
    monkeypatch.setattr("keras_backend.prepare", lambda *_: machine)
    with pytest.raises(UserError, match=message):
        profile_step.main(flags)
