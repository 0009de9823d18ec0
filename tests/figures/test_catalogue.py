"""Each figure as the catalogue draws it: the right arrays of a run must reach the right place."""

import keras
import numpy as np
import pytest

from common.user_error import UserError
from figures.catalogue import (
    DEFAULT_OPTIONS,
    FIGURES,
    FigureOptions,
    check_options,
    choose_figures,
)
from figures.layers import outputs_of
from figures.projections import reduce_by_pca
from figures.report import CHAPTERS
from tests.figures.conftest import HISTORY, MISTAKES, NAMES
from training.augmentation import RandomAffine


def images_in(figure):
    return [panel.images[0].get_array() for panel in figure.axes if panel.images]


def test_every_figure_is_drawn(drawn):
    assert list(drawn.figures) == list(FIGURES) and len(FIGURES) == 12
    assert {path.stem for path in drawn.folder.glob("*.png")} == set(FIGURES)
    for spec in FIGURES.values():
        assert spec.chapter in CHAPTERS and spec.caption.endswith((".", "?"))


def test_curves_are_of_the_history_less_the_entropy_and_by_the_monitor(drawn):
    figure = drawn.figures["curves"]
    loss, accuracy, rate = figure.axes
    entropy = -0.91 * np.log(0.91) - 9 * 0.01 * np.log(0.01)  # of labels smoothed by 0.1
    above = np.array([entropy, entropy, 0])
    np.testing.assert_allclose(loss.lines[0].get_ydata(), HISTORY["loss"] - above)
    np.testing.assert_allclose(loss.lines[1].get_ydata(), HISTORY["val_loss"] - above)
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), 100 * HISTORY["accuracy"])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), 100 * HISTORY["val_accuracy"])
    np.testing.assert_allclose(rate.lines[0].get_ydata(), HISTORY["learning_rate"])
    assert "highest validation accuracy after epoch 2" in figure.get_suptitle()


def test_curves_of_a_run_without_smoothing_in_its_settings(known_run):
    settings = dict(known_run.settings)
    del settings["label_smoothing"]
    description = known_run.description._replace(settings=settings)
    assert known_run._replace(description=description).label_entropy == 0


def test_confusion_matrix_has_true_classes_in_rows_and_predicted_ones_in_columns(drawn):
    panel = drawn.figures["confusion_matrix"].axes[0]
    expected = np.diag([6] * 10)
    for index, predicted in MISTAKES.items():
        true = index % 10
        expected[true, true] -= 1
        expected[true, predicted] += 1
    assert expected[3, 5] == 2 and expected[5, 3] == 0  # a transposed matrix would be another
    cells = np.zeros((10, 10), int)
    for text in panel.texts:
        column, row = (int(coordinate) for coordinate in text.get_position())
        cells[row, column] = int(text.get_text())
    np.testing.assert_array_equal(cells, expected)
    for labels in (panel.get_xticklabels(), panel.get_yticklabels()):
        assert [label.get_text() for label in labels] == list(NAMES)
    assert "3 of 60 test images misclassified" in drawn.figures["confusion_matrix"].get_suptitle()


def test_misclassified_images_come_with_their_own_classes(drawn):
    figure, run = drawn.figures["misclassified"], drawn.run
    panels = [panel for panel in figure.axes if panel.images]
    assert len(panels) == 3
    confidence = np.linspace(0.3, 0.999, 60)
    for panel, index in zip(panels, sorted(MISTAKES, reverse=True), strict=True):  # surest first
        np.testing.assert_array_equal(panel.images[0].get_array(), run.splits.x_test[index, ..., 0])
        difference = confidence[index] - (1 - confidence[index]) / 9
        predicted, true = NAMES[MISTAKES[index]], NAMES[index % 10]
        assert panel.get_title() == f"pred. {predicted}\ntrue {true}\ndiff. {difference:.2f}"


def test_precision_and_recall_are_not_swapped(drawn):
    panel = drawn.figures["per_class"].axes[0]
    precision, recall = (points.get_offsets()[:, 0] for points in panel.collections[1:])
    expected_precision, expected_recall = np.full((2, 10), 100.0)
    expected_precision[5], expected_precision[8] = 100 * 6 / 8, 100 * 6 / 7
    expected_recall[3], expected_recall[1] = 100 * 4 / 6, 100 * 5 / 6
    np.testing.assert_allclose(precision, expected_precision)
    np.testing.assert_allclose(recall, expected_recall)
    assert [text.get_text() for text in panel.get_legend().texts] == ["precision", "recall"]
    assert "lowest recall: three, 66.67 %" in drawn.figures["per_class"].get_suptitle()


def test_reliability_compares_confidence_with_being_right(drawn):
    top, bottom = drawn.figures["reliability"].axes
    confidence = np.linspace(0.3, 0.999, 60)
    counts, edges = np.histogram(confidence, 15, (0, 1))
    assert [bar.get_height() for bar in bottom.patches] == list(counts)
    right = np.ones(60, bool)
    right[list(MISTAKES)] = False
    hits, _ = np.histogram(confidence[right], edges)
    filled = counts > 0
    heights = np.array([bar.get_height() for bar in top.patches])
    np.testing.assert_allclose(heights[filled], hits[filled] / counts[filled])
    assert np.isnan(heights[~filled]).all()


def test_network_and_filters_are_of_the_runs_network(drawn):
    network = drawn.run.network
    title = drawn.figures["network"].get_suptitle()
    assert title == f"small: {network.count_params():,} parameters"
    kernel = np.asarray(network.get_layer("first").kernel)
    filters = images_in(drawn.figures["filters"])
    np.testing.assert_array_equal(filters, kernel[:, :, 0].transpose(2, 0, 1))
    assert drawn.figures["filters"].get_suptitle() == "first: its 5 filters of 3 × 3"


def test_activations_are_of_the_first_test_image(drawn):
    run, figure = drawn.run, drawn.figures["activations"]
    image, *maps = images_in(figure)
    np.testing.assert_array_equal(image, run.splits.x_test[0, ..., 0])
    expected = outputs_of(run.network, run.network.get_layer("first"), run.splits.x_test[:1])[0]
    np.testing.assert_allclose(maps, expected.transpose(2, 0, 1), atol=1e-6)
    assert figure.get_suptitle() == "first: its 5 maps of 13 × 13, for test image 0 (zero)"


def test_embeddings_place_each_test_image_and_ring_the_misclassified(drawn):
    run, figure = drawn.run, drawn.figures["embeddings"]
    assert figure.get_suptitle() == "hidden: 6 values per image, of 60 test images"
    # Misclassified images come first, the others in an order of chance.
    *clouds, rings = figure.axes[0].collections
    chosen = [*MISTAKES, *_others_in_order(60)]
    vectors = outputs_of(run.network, run.network.get_layer("hidden"), run.splits.x_test[chosen])
    points, labels = reduce_by_pca(vectors), run.splits.y_test[chosen]
    for number, cloud in enumerate(clouds):
        np.testing.assert_allclose(cloud.get_offsets(), points[labels == number], atol=1e-4)
    np.testing.assert_allclose(rings.get_offsets(), points[:3], atol=1e-4)
    for panel in figure.axes:
        assert [text.get_text() for text in panel.texts] == list(NAMES)
        assert [len(cloud.get_offsets()) for cloud in panel.collections] == [6] * 10 + [3]
        assert np.isfinite(panel.collections[0].get_offsets()).all()


def _others_in_order(n):
    others = np.setdiff1d(np.arange(n), list(MISTAKES))
    return np.random.default_rng(0).choice(others, len(others), replace=False)


def test_samples_and_clusters_are_of_the_training_images(drawn):
    splits = drawn.run.splits
    (panel,) = drawn.figures["samples"].axes
    picture = panel.images[0].get_array()
    assert [text.get_text() for text in panel.get_yticklabels()] == list(NAMES)
    for number in range(10):
        first = splits.x_train[splits.y_train == number][0, ..., 0]
        np.testing.assert_array_equal(picture[28 * number : 28 * (number + 1), :28], first)
    figure = drawn.figures["clusters"]
    assert figure.get_suptitle() == "150 raw training images, without any network"
    for panel in figure.axes[:2]:
        counts = [len(cloud.get_offsets()) for cloud in panel.collections]
        assert counts == list(np.bincount(splits.y_train))
        assert [text.get_text() for text in panel.texts] == list(NAMES)


def test_augmentation_is_the_runs_own_of_its_first_training_image(drawn):
    run, figure = drawn.run, drawn.figures["augmentation"]
    first, *variations = images_in(figure)
    np.testing.assert_array_equal(first, run.splits.x_train[0, ..., 0])
    expected = RandomAffine(12, 0.1, 0.1, 8, seed=7)(
        np.repeat(run.splits.x_train[:1], len(variations), axis=0), training=True
    )
    np.testing.assert_allclose(variations, np.asarray(expected)[..., 0], atol=1e-6)
    assert figure.get_suptitle().endswith(f"variations of one {NAMES[run.splits.y_train[0]]}")


@pytest.mark.parametrize(
    ("name", "options", "title"),
    [
        ("filters", FigureOptions("second"), "second: its 7 filters of 3 × 5, each with 5 input"),
        ("activations", FigureOptions("second"), "second: its 7 maps of 11 × 9, for test image 0"),
        ("activations", FigureOptions(image=12), "first: its 5 maps of 13 × 13, for test image 12"),
        ("embeddings", FigureOptions("pool"), "pool: 140 values per image"),
    ],
)
def test_options_choose_layer_and_image(known_run, quick_tsne, name, options, title):
    figure = FIGURES[name].draw(known_run, options)
    assert figure.get_suptitle().startswith(title)
    if options.image is not None:
        np.testing.assert_array_equal(images_in(figure)[0], known_run.splits.x_test[12, ..., 0])
        assert figure.get_suptitle().endswith("(two)")


@pytest.mark.parametrize("image", [-1, 60])
def test_an_image_that_is_not_there(known_run, image):
    with pytest.raises(UserError, match=f"--image must be from 0 to 59, got {image}"):
        FIGURES["activations"].draw(known_run, FigureOptions(image=image))


def test_options_name_the_file():
    assert FigureOptions().file_suffix == ""
    assert FigureOptions("conv2d_1").file_suffix == "-conv2d_1"
    assert FigureOptions("conv2d_1", 7).file_suffix == "-conv2d_1-image7"
    assert FigureOptions(image=0).file_suffix == "-image0"


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["filters"], FigureOptions("nope"), "unknown layer for filters 'nope'. Valid: first, sec"),
        (
            ["embeddings"],
            FigureOptions("output"),
            "for embeddings 'output'. Valid: flat, hidden, p",
        ),
        (["curves"], FigureOptions("first"), "'curves' takes no --layer"),
        (["activations", "filters"], FigureOptions(image=3), "'filters' takes no --image"),
    ],
)
def test_options_that_a_figure_lacks_are_refused(known_run, names, options, message):
    check_options(names, DEFAULT_OPTIONS, known_run.network)
    with pytest.raises(UserError) as caught:
        check_options(names, options, known_run.network)
    assert message in str(caught.value)


def test_quick_leaves_out_tsne_alone(known_run):
    slow = {"embeddings", "clusters"}
    assert choose_figures(known_run.network, "all") == list(FIGURES)
    quick = choose_figures(known_run.network, "quick")
    assert quick == [name for name in FIGURES if name not in slow]


def test_a_network_without_convolutions_draws_the_rest():
    dense = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    assert set(FIGURES) - set(choose_figures(dense, "all")) == {"filters", "activations"}
    linear = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
    assert "embeddings" not in choose_figures(linear, "all")
