import json
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from common.data import Arrays
from common.user_error import UserError
from experiments.numpy_networks import __main__ as program
from experiments.numpy_networks import reading, runs, summary
from experiments.numpy_networks.layers import Maker
from experiments.numpy_networks.network import Network
from experiments.numpy_networks.optimizers import Adam, GradientDescent
from experiments.numpy_networks.recipes import BATCHES, BEYOND, PER_IMAGE, Recipe
from experiments.numpy_networks.runs import Training, data_for, file_of
from experiments.numpy_networks.training import evaluate, rate_at, shifted, train
from experiments.numpy_networks.weights_file import load, save
from tests.studies import timed_functions

SPECS = (("Dense", 784, 12), ("Sigmoid",), ("Dense", 12, 10))
QUICK = Recipe(SPECS, batch_size=20, learning_rate=0.5, epochs=2, deviation=None, dtype="float32")


@pytest.fixture
def small(digits):
    """A few hundred digits, as MNIST would come."""
    return Arrays(digits.x_train[:300], digits.y_train[:300], digits.x_test, digits.y_test)


def trained(recipe, arrays, seed=0):
    *_, (network, row) = train(recipe, data_for(Training("", "", recipe, seed, True), arrays), seed)
    return network, row


# --- Learning -----------------------------------------------------------------------------------


def test_the_networks_are_those_of_the_document():
    sizes = {name: [s[1:] for s in r.layers if s[0] == "Dense"] for name, r in PER_IMAGE.items()}
    assert list(sizes.values()) == [[(784, 100), (100, 10)]] * 3 + [
        [(784, 256), (256, 128), (128, 10)]
    ]
    for recipe in PER_IMAGE.values():
        assert (recipe.batch_size, recipe.learning_rate, recipe.epochs) == (1, 0.01, 30)
        assert recipe.deviation == 0.01
        names = [spec[0] for spec in recipe.layers]
        assert names.count("Sigmoid") == names.count("Dense") - (recipe.loss != "MeanSquaredError")


def test_a_batch_makes_the_sum_of_the_steps_of_its_images(small):
    """The rule that the mini-batches follow, to the last digits of float64."""
    recipe = replace(BATCHES["2 softmax, cross-entropy"], dtype="float64")
    n = recipe.batch_size
    images, labels = small.x_train[:n].reshape(n, -1) / 255, small.y_train[:n]
    rng = np.random.default_rng(0)
    network = Network(recipe.layers, recipe.loss, Maker(rng, "float64", 0.01))
    before = [parameter.copy() for parameter, _ in network.parameters_and_gradients()]
    sums = [np.zeros_like(parameter) for parameter in before]
    for k in range(n):
        network.forward_backward(images[k : k + 1], labels[k : k + 1])
        for total, (_, gradient) in zip(sums, network.parameters_and_gradients(), strict=True):
            total += 0.01 * gradient
    network.forward_backward(images, labels)
    GradientDescent().step(network, rate_at(recipe, 0, 0))
    for parameter, old, total in zip(
        network.named_parameters().values(), before, sums, strict=True
    ):
        np.testing.assert_allclose(parameter, old - total, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "floor"), [("2 softmax, cross-entropy", 0.85), ("one cycle", 0.9)]
)
def test_it_learns_to_read(name, floor, digits):
    tricks = replace(
        BEYOND["5 dense, all tricks"],
        layers=(("Dense", 784, 40), ("ReLU",), ("Dense", 40, 10)),
        batch_size=20,
        epochs=15,
    )
    recipe = {"one cycle": tricks}.get(name) or replace(BATCHES[name], epochs=15, deviation=None)
    network, _ = trained(recipe, digits)
    images = digits.x_test.reshape(len(digits.x_test), -1)
    assert evaluate(network, images, digits.y_test)["accuracy"] > floor


def test_a_small_convolutional_network_learns(small):
    layers = (("Reshape", 28, 28, 1), ("Conv2D", 5, 1, 3), ("MaxPool", 4), ("ReLU",),
              ("Reshape", 108), ("Dropout", 0.1), ("Dense", 108, 10))  # fmt: skip
    recipe = replace(BEYOND["6 convolutions"], layers=layers, batch_size=20, epochs=8)
    losses = [row["loss"] for _, row in train(recipe, data_for(
        Training("", "", recipe, 0, True), small), 0)]  # fmt: skip
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("recipe", [QUICK, replace(QUICK, optimizer="Adam", shift=1, warm_up=0.3)])
def test_equal_seeds_give_equal_weights(recipe, small):
    one, same, other = (trained(recipe, small, seed)[0].named_parameters() for seed in (1, 1, 2))
    for name in one:
        assert (one[name] == same[name]).all() and one[name].dtype == np.float32
    assert (one["0 weights"] != other["0 weights"]).any()


def test_adam_steps_as_keras_does():
    network = Network(SPECS, "SoftmaxCrossEntropy", Maker(np.random.default_rng(0), "float64", 1))
    parameters = network.named_parameters().values()
    variables = [keras.Variable(parameter, dtype="float64") for parameter in parameters]
    adam, keras_adam = Adam(), keras.optimizers.Adam(0.01, epsilon=1e-8)
    images = np.random.default_rng(1).random((5, 784))
    for step in range(5):
        network.forward_backward(images, (np.arange(5) + step) % 10)
        gradients = [gradient.copy() for _, gradient in network.parameters_and_gradients()]
        keras_adam.apply(gradients, variables)
        adam.step(network, 0.01)
        for parameter, variable in zip(parameters, variables, strict=True):
            # Keras keeps its rate and its averages in float32.
            np.testing.assert_allclose(parameter, variable.numpy(), rtol=1e-4, atol=1e-5)


def test_rates_decay_or_go_through_one_cycle():
    decaying = PER_IMAGE["3 rate x 0.95 per epoch"]
    assert rate_at(decaying, 0, 0.7) == 0.01 and rate_at(decaying, 2, 0) == pytest.approx(0.009025)
    cycle = replace(QUICK, warm_up=0.25, epochs=4, learning_rate=1.0)
    rates = [rate_at(cycle, epoch, share) for epoch in range(4) for share in (0, 0.5)]
    assert rates[:3] == [0, 0.5, 1] and np.diff(rates[2:]).max() < 0
    assert rates[-1] == pytest.approx(1 / 6)


def test_shifts_move_images_and_lose_nothing_of_the_middle():
    images = np.zeros((200, 28, 28), "uint8")
    images[:, 13, 14] = np.arange(1, 201)
    moved = shifted(images.reshape(200, -1), 2, np.random.default_rng(0)).reshape(200, 28, 28)
    which, rows, columns = np.nonzero(moved)
    assert which.tolist() == list(range(200))
    assert (moved[which, rows, columns] == np.arange(1, 201)).all()
    assert set(rows - 13) == set(columns - 14) == {-2, -1, 0, 1, 2}
    assert shifted(images, 0, np.random.default_rng(0)) is images


def test_validation_images_are_the_last_and_never_the_test_images(small):
    data = data_for(Training("", "", QUICK, 0, False), small)
    assert len(data.images) == 250 and len(data.evaluation_images) == 50
    assert (data.evaluation_images == small.x_train[250:].reshape(50, -1)).all()
    final = data_for(Training("", "", QUICK, 0, True), small)
    assert len(final.images) == 300 and len(final.evaluation_labels) == len(small.y_test)


# --- The file of weights ------------------------------------------------------------------------


@pytest.fixture
def network():
    return Network(SPECS, "SoftmaxCrossEntropy", Maker(np.random.default_rng(3), "float32", None))


@pytest.mark.parametrize("loss", ["SoftmaxCrossEntropy", "MeanSquaredError"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_network_comes_back_as_it_was(loss, dtype, tmp_path):
    specs = (("Reshape", 28, 28, 1), ("Conv2D", 5, 1, 2), ("MaxPool", 2), ("ReLU",),
             ("Reshape", 288), ("Dropout", 0.5), ("Dense", 288, 10), ("Sigmoid",))  # fmt: skip
    before = Network(specs, loss, Maker(np.random.default_rng(3), dtype, None))
    save(before, tmp_path / "network.npz")
    after = load(tmp_path / "network.npz")
    images = np.random.default_rng(4).random((3, 784))
    assert (after.predict(images) == before.predict(images)).all()
    assert after.specs == specs and after.loss_name == loss and after.dtype == dtype


def changed(path, **changes):
    """Write a network's file again with other content; None leaves an array out."""
    with np.load(path) as file:
        arrays = {**file, **{name.replace("_", " "): value for name, value in changes.items()}}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def described(layers, loss="SoftmaxCrossEntropy"):
    return np.array(json.dumps({"layers": layers, "loss": loss}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0_weights": np.zeros((700, 12), "f4")}, r"'0 weights' has the shape \(700, 12\)"),
        ({"0_weights": np.full((784, 12), np.nan)}, "no finite numbers"),
        ({"0_weights": np.full((784, 12), "x")}, "no finite numbers"),
        ({"0_weights": None}, "other weights than its layers need: 0 weights"),
        ({"7_weights": np.zeros(3)}, "other weights than its layers need: 7 weights"),
        ({"network": None}, "says nothing of layers"),
        ({"network": np.array("not JSON")}, "list of layers cannot be read"),
        ({"network": np.array("[]")}, "list of layers cannot be read"),
        ({"network": described([[]])}, "list of layers cannot be read"),
        ({"network": described([["Attention", 3]])}, "layer 'Attention'.*not known here"),
        ({"network": described([["Layer"]])}, "layer 'Layer'.*not known here"),
        ({"network": described(SPECS, "Hinge")}, "loss 'Hinge'.*not known here"),
        ({"network": described([["Dense", 784, 12], ["Dense", 13, 10]])}, "do not fit each other"),
        ({"network": described([["Dense", 784]])}, "do not fit each other"),
        ({"network": described([["Sigmoid"]])}, "do not fit each other"),
        ({"network": described([["Dense", 784, 10**12]])}, "do not fit each other"),
        ({"network": described([["Dense", 784, -1]])}, "do not fit each other"),
        ({"network": described([["MaxPool", 0]])}, "do not fit each other"),
        ({"network": described([["Dense", 784, 12]])}, "tells 12 classes apart"),
        ({"network": np.array([{}], object)}, "cannot be read as the .npz file"),
    ],
)
def test_a_file_of_another_network_is_refused_in_one_line(changes, message, network, tmp_path):
    path = tmp_path / "network.npz"
    save(network, path)
    changed(path, **changes)
    with pytest.raises(UserError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value) and "network.npz" in str(caught.value)


def test_damaged_and_missing_files_are_refused_in_one_line(network, tmp_path):
    path = tmp_path / "network.npz"
    save(network, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"hello", whole[:1000] + whole[1100:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as the .npz file of a network"):
            load(path)
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "nowhere.npz")
    with pytest.raises(UserError, match="is a folder"):
        load(tmp_path)


# --- Reading a picture --------------------------------------------------------------------------


def knows_the_bright_half():
    """A network that says 1 where the lower half has more ink than the upper one, else 7."""
    network = Network(
        [("Dense", 784, 10)], "SoftmaxCrossEntropy", Maker(np.random.default_rng(0), "float32", 0)
    )
    weights = network.layers[0].parameters["weights"]
    weights[:392, 7] = weights[392:, 1] = 1
    return network


def test_a_picture_is_read_line_by_line(tmp_path):
    save(knows_the_bright_half(), tmp_path / "network.npz")
    page = np.full((200, 200), 255, "uint8")
    page[20:40, 30:60] = page[20:80, 41:49] = 0  # T: ink above
    page[60:80, 120:150] = page[20:80, 131:139] = 0  # the same upside down
    page[160:180, 30:60] = page[120:180, 41:49] = 0
    Image.fromarray(page).save(tmp_path / "page.png")
    answer = reading.read(tmp_path / "page.png", tmp_path / "network.npz")
    first, second = answer.splitlines()
    assert "page.png reads 71: " in first and "the least certain one" in first
    assert "page.png reads 1: " in second and second.endswith("%")


def test_the_program_reads_with_the_network_that_is_named(tmp_path, capsys):
    save(knows_the_bright_half(), tmp_path / "network.npz")
    page = np.full((100, 100), 255, "uint8")
    page[20:40, 30:60] = page[20:80, 41:49] = 0
    Image.fromarray(page).save(tmp_path / "page.png")
    program.main([f"--read={tmp_path / 'page.png'}", f"--weights={tmp_path / 'network.npz'}"])
    assert "reads 7: " in capsys.readouterr().out
    Image.fromarray(np.full((50, 50), 255, "uint8")).save(tmp_path / "empty.png")
    with pytest.raises(UserError, match="no digit was found"):
        reading.read(tmp_path / "empty.png", tmp_path / "network.npz")


# --- The program --------------------------------------------------------------------------------


@pytest.fixture
def stand_ins(monkeypatch, small):
    """Let a few small digits stand for MNIST's, and networks of two epochs for the real ones."""
    monkeypatch.setattr("_01_data_loader.load_data", lambda _: small)
    for recipes in (PER_IMAGE, BATCHES, BEYOND):
        for name, recipe in recipes.items():
            quick = replace(QUICK, loss=recipe.loss, batch_size=min(10, recipe.batch_size))
            monkeypatch.setitem(recipes, name, quick)
    return small


def test_the_program_trains_writes_and_goes_on(stand_ins, tmp_path, capsys, monkeypatch):
    arguments = ["--n=2", "--as-published", "--workers=1", f"--folder={tmp_path}"]
    program.main(arguments)
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "numpy_networks.csv")
    assert len(table) == 10 and (table["seeds"] == 2).all()
    assert table["published %"].dropna().tolist() == [
        93.36,
        93.36,
        97.9,
        97.9,
        97.73,
        97.73,
        97.99,
        97.99,
    ]
    assert table["trained"].tolist() == ["per image", "mini-batches"] * 4 + ["mini-batches"] * 2
    assert (tmp_path / "numpy_networks.md").read_text() in printed
    raw = pd.read_csv(tmp_path / "numpy_networks_seeds.csv")
    mean = raw[(raw["evaluated on"] == "test") & (raw["network"] == table["network"][0])]
    per_image = mean[mean["trained"] == "per image"]["accuracy"].mean()
    assert table["test %"][0] == pytest.approx(100 * per_image)
    curves = pd.read_csv(tmp_path / "numpy_networks_epochs.csv")
    assert len(curves) == 6 * 2 and curves["evaluation_loss"].notna().all()
    with Image.open(tmp_path / "numpy_networks.png") as figure:
        assert figure.width > 1000

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(runs, "train", refuse)
    program.main(arguments)  # all is finished
    again = pd.read_csv(tmp_path / "numpy_networks.csv")
    assert (again["test %"] == table["test %"]).all()


def test_what_is_finished_counts_only_for_its_recipe_and_its_data(small, tmp_path):
    training = Training("a name", "mini-batches", QUICK, 0, True)
    result = runs.make(training, small, tmp_path)
    data_hash = result["made of"]["data"]
    assert runs.finished(training, data_hash, tmp_path) == result
    assert runs.finished(training, "other", tmp_path) is None
    other = training._replace(recipe=replace(QUICK, epochs=3))
    assert runs.finished(other, data_hash, tmp_path) is None
    file_of(training, tmp_path).with_suffix(".json").write_text("{")
    with pytest.raises(UserError, match="Delete it; it is then trained again"):
        runs.finished(training, data_hash, tmp_path)
    file_of(training, tmp_path).unlink()
    assert runs.finished(training, data_hash, tmp_path) is None


def test_two_workers_find_what_one_finds(small, tmp_path):
    trainings = [Training("a", "mini-batches", QUICK, seed, True) for seed in (0, 1)]
    cost = {QUICK: [1.0]}
    one = runs.make_all(trainings, small, tmp_path / "1", 1, cost)
    two = runs.make_all(trainings, small, tmp_path / "2", 2, cost)
    for training in trainings:
        assert one[training]["accuracy"] == two[training]["accuracy"]
        assert [row["loss"] for row in one[training]["history"]] == [
            row["loss"] for row in two[training]["history"]
        ]


def test_the_ratio_is_the_median_over_the_turns():
    name = next(iter(PER_IMAGE))
    slow, fast = PER_IMAGE[name], BATCHES[name]
    seconds = {slow: [10.0, 30.0, 10.0], fast: [1.0, 1.0, 0.5]}
    row = summary.summary_row(name, "mini-batches", fast, {}, seconds)
    assert row["times as fast"] == 20 and row["CPU s per epoch"] == 1


def test_a_training_whose_process_is_ended_is_named(small, tmp_path, monkeypatch):
    trainings = [Training("a", "mini-batches", QUICK, seed, True) for seed in (0, 1)]
    monkeypatch.setattr(runs, "_make_in_process", timed_functions.be_killed)
    message = "the run 'a, mini-batches, seed [01]' failed: its process was ended by SIGKILL"
    with pytest.raises(UserError, match=message):
        runs.make_all(trainings, small, tmp_path, 2, {QUICK: [1.0]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n=0"], "--n must be from 1 to 100, got 0"),
        (["--workers=0"], "--workers must be from 1 to 100"),
        (["--only=7"], "unknown network '7'.*1, 2, 3, 4, 5, 6"),
        (["--weights=x.npz"], "--weights goes with --read"),
        (["--read=x.png", "--folder=nowhere"], "no trained network.*--only 6"),
        (["--read=x.png", "--weights=nowhere.npz"], "nowhere.npz does not exist"),
        (["--write-docs"], "for the documented results: give --as-published alone"),
        (["--write-docs", "--as-published", "--n=1"], "give --as-published alone"),
        (["--as-publishd"], "Did you mean '--as-published'"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(arguments, message, stand_ins):
    with pytest.raises(UserError, match=message) as caught:
        program.main(arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_mini_batches_reach_the_published_accuracy():
    from _01_data_loader import load_data

    arrays = load_data("mnist")
    network, _ = trained(BATCHES["2 softmax, cross-entropy"], arrays)
    images = arrays.x_test.reshape(len(arrays.x_test), -1)
    assert evaluate(network, images, arrays.y_test)["accuracy"] > 0.975
