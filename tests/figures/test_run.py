import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from figures.run import (
    N_BINS,
    best_epoch,
    calibrate,
    plot_confusion_matrix,
    plot_curves,
    plot_misclassified,
    plot_per_class,
    plot_reliability,
    rank_misclassified,
    smoothed_label_entropy,
)
from figures.style import BLUE, ORANGE

HISTORY = pd.DataFrame(
    [
        (1, "augmented", 0.5, 0.80, 0.40, 0.90, 3e-3),
        (2, "augmented", 0.2, 0.90, 0.05, 0.95, 2e-3),
        (3, "polish", 0.1, 0.97, 0.10, 0.99, 1e-3),
    ],
    columns=["epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"],
)


@pytest.fixture
def predictions(splits):
    """Random probabilities, right for some nine images of ten."""
    random = np.random.default_rng(0)
    labels = splits.y_test
    logits = random.normal(size=(len(labels), 10))
    logits[np.arange(len(labels)), labels] += 3
    exponentials = np.exp(logits)
    return labels, (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def test_curves_show_the_history_and_mark_the_polish():
    loss, accuracy, rate = plot_curves(HISTORY).axes
    lines = {line.get_label(): line for line in accuracy.lines}
    np.testing.assert_allclose(lines["training"].get_ydata(), [80, 90, 97])
    np.testing.assert_allclose(lines["validation"].get_ydata(), [90, 95, 99])
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [0.5, 0.2, 0.1])
    np.testing.assert_allclose(loss.lines[1].get_ydata(), [0.4, 0.05, 0.1])
    np.testing.assert_array_equal(loss.lines[1].get_xdata(), [1, 2, 3])
    assert loss.get_yscale() == "log"
    for panel in (loss, accuracy):
        looks = {(line.get_color(), line.get_marker()) for line in panel.lines[:2]}
        assert looks == {(BLUE, "o"), (ORANGE, "s")}
    np.testing.assert_allclose(rate.lines[0].get_ydata(), [3e-3, 2e-3, 1e-3])
    for panel in (loss, accuracy, rate):
        (shade,) = panel.patches
        assert (shade.get_x(), shade.get_width()) == (2.5, 1.0)
    assert [text.get_text() for text in accuracy.get_legend().texts] == [
        "training",
        "validation",
        "polish",
        "best epoch",
    ]


@pytest.mark.parametrize(("monitor", "expected"), [("val_loss", 2), ("val_accuracy", 3)])
def test_curves_mark_the_best_epoch(monitor, expected):
    assert best_epoch(HISTORY, monitor) == expected
    figure = plot_curves(HISTORY, monitor)
    for panel in figure.axes:
        (mark,) = (line for line in panel.lines if line.get_label() == "best epoch")
        assert list(mark.get_xdata()) == [expected, expected]
    best = {"val_loss": "lowest validation loss", "val_accuracy": "highest validation accuracy"}
    expected_title = f"Training over 3 epochs; {best[monitor]} after epoch {expected}"
    assert figure.get_suptitle() == expected_title


def test_best_epoch_is_the_first_of_equals_and_none_that_diverged():
    history = HISTORY.assign(val_loss=[np.nan, 0.2, 0.2], val_accuracy=[0.5, 0.9, 0.9])
    assert best_epoch(history, "val_loss") == best_epoch(history, "val_accuracy") == 2
    assert best_epoch(history.assign(val_loss=np.nan), "val_loss") == 1


def test_epochs_are_told_by_their_column_not_by_their_row():
    history = HISTORY.iloc[1:].reset_index(drop=True)  # an old history that lost its first row
    figure = plot_curves(history)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [2, 3])
    assert "after epoch 2" in figure.get_suptitle()


def test_curves_of_a_single_epoch():
    figure = plot_curves(HISTORY[:1])
    assert figure.get_suptitle().startswith("Training over 1 epoch;")
    for panel in figure.axes:
        assert list(panel.get_xlim()) == [0.5, 1.5] and 1 in panel.get_xticks()
        assert all(tick == round(tick) for tick in panel.get_xticks())


def test_curves_of_many_epochs_have_no_points_that_cover_one_another():
    many = pd.concat([HISTORY] * 20).assign(epoch=range(60))
    for history, size in ((HISTORY, 4), (many, 0)):
        lines = [line for panel in plot_curves(history).axes for line in panel.lines]
        sizes = {line.get_markersize() for line in lines if line.get_marker() in ("o", "s")}
        assert sizes == {size}


def test_curves_count_the_loss_from_the_entropy_of_smoothed_labels():
    panel = plot_curves(HISTORY, label_entropy=0.15).axes[0]
    np.testing.assert_allclose(panel.lines[0].get_ydata(), [0.35, 0.05, 0.1])
    np.testing.assert_allclose(panel.lines[1].get_ydata(), [0.25, -0.1, 0.1])
    assert "smoothed" in panel.get_title() and HISTORY["loss"][0] == 0.5
    assert plot_curves(HISTORY).axes[0].get_title() == ""


def test_entropy_of_smoothed_labels():
    expected = -0.91 * np.log(0.91) - 9 * 0.01 * np.log(0.01)
    assert smoothed_label_entropy(0.1, 10) == pytest.approx(expected)
    assert smoothed_label_entropy(0.0, 10) == 0.0


def test_curves_without_polish_have_no_shade():
    assert all(not panel.patches for panel in plot_curves(HISTORY[:2]).axes)


@pytest.mark.parametrize("accuracy", [0.0, 0.1, 0.5, 0.9934, 1.0])
def test_accuracy_axis_holds_every_value(accuracy):
    history = HISTORY.assign(accuracy=accuracy, val_accuracy=accuracy)
    panel = plot_curves(history).axes[1]
    low, high = panel.get_ylim()
    assert low <= 100 * accuracy <= high + 0.01
    ticks = panel.get_yticks()
    assert len(ticks) > 1 and (low, high) == (ticks[0], ticks[-1])


def test_accuracy_axis_gives_every_tenth_of_the_error_the_same_height():
    panel = plot_curves(HISTORY.assign(accuracy=0.5, val_accuracy=0.9995)).axes[1]
    heights = panel.transScale.transform([(1, value) for value in (0, 90, 99, 99.9)])[:, 1]
    np.testing.assert_allclose(np.diff(heights), 1, atol=1e-9)
    labels = [tick.get_text() for tick in panel.get_yticklabels()]
    assert labels == ["50", "80", "90", "95", "98", "99", "99.5", "99.8", "99.9", "99.99"]


def test_confusion_matrix_is_scikit_learns(predictions):
    labels, probabilities = predictions
    predicted = probabilities.argmax(axis=1)
    figure = plot_confusion_matrix(labels, predicted, "0123456789")
    panel = figure.axes[0]
    expected = confusion_matrix(labels, predicted)
    drawn = panel.collections[0].get_array().reshape(10, 10)
    np.testing.assert_array_equal(drawn.filled(0), expected)
    # Only cells that are not 0 carry a number, each in its own place.
    for text in panel.texts:
        column, row = (int(coordinate) for coordinate in text.get_position())
        assert int(text.get_text()) == expected[row, column]
    assert len(panel.texts) == np.count_nonzero(expected)
    assert f"{(labels != predicted).sum()} of {len(labels)}" in figure.get_suptitle()


def test_confusion_matrix_names_long_classes():
    panel = plot_confusion_matrix(np.array([0, 1]), np.array([0, 0]), ["Ankle boot", "Bag"]).axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["Ankle boot", "Bag"]
    assert [label.get_rotation() for label in panel.get_xticklabels()] == [45, 45]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("predicted class", "true class")
    short = plot_confusion_matrix(np.array([0, 1]), np.array([0, 0]), "01").axes[0]
    assert [label.get_rotation() for label in short.get_xticklabels()] == [0, 0]


def test_confusion_matrix_has_a_logarithmic_scale_of_whole_numbers():
    labels = np.repeat([0, 1], [30, 1])
    figure = plot_confusion_matrix(labels, labels, "01")
    figure.canvas.draw()
    bar = figure.axes[1]
    low, high = bar.get_ylim()
    ticks = [tick for tick in bar.get_yticks() if low <= tick <= high]
    assert (low, high) == pytest.approx((1, 30)) and bar.get_yscale() == "log"
    assert ticks == [1, 2, 5, 10, 20]
    assert {"1", "2", "5", "10", "20"} <= {tick.get_text() for tick in bar.get_yticklabels()}


def test_misclassified_are_ranked_by_probability_difference(predictions):
    labels, probabilities = predictions
    wrong, differences = rank_misclassified(labels, probabilities)
    recomputed = sorted(
        (
            (max(p) - p[label], index)
            for index, (p, label) in enumerate(zip(probabilities.tolist(), labels, strict=True))
            if p.index(max(p)) != label
        ),
        key=lambda pair: -pair[0],
    )
    assert len(wrong) > 10
    np.testing.assert_array_equal(wrong, [index for _, index in recomputed])
    np.testing.assert_allclose(differences, [d for d, _ in recomputed], rtol=1e-5)


def test_gallery_shows_each_error_with_its_own_labels(splits, predictions):
    labels, probabilities = predictions
    wrong, differences = rank_misclassified(labels, probabilities)
    figure = plot_misclassified(splits.x_test, labels, probabilities, "0123456789")
    panels = [panel for panel in figure.axes if panel.images]
    assert len(panels) == min(len(wrong), 48)
    for panel, index, difference in zip(panels, wrong, differences, strict=False):
        np.testing.assert_array_equal(panel.images[0].get_array(), splits.x_test[index, ..., 0])
        assert panel.get_title() == (
            f"pred. {probabilities[index].argmax()}\ntrue {labels[index]}\ndiff. {difference:.2f}"
        )


def test_gallery_of_a_faultless_model(splits):
    probabilities = np.eye(10, dtype=np.float32)[splits.y_test]
    figure = plot_misclassified(splits.x_test, splits.y_test, probabilities, "0123456789")
    assert figure.get_suptitle() == f"All {len(splits.y_test)} test images are right"
    assert not any(panel.images for panel in figure.axes)


def test_gallery_of_many_errors_says_how_many_it_leaves_out(splits):
    probabilities = np.eye(10, dtype=np.float32)[(splits.y_test + 1) % 10]
    figure = plot_misclassified(splits.x_test, splits.y_test, probabilities, "0123456789")
    assert f"the first 48 of {len(splits.y_test)}" in figure.get_suptitle()


def test_per_class_figures_are_scikit_learns(predictions):
    labels, probabilities = predictions
    predicted = probabilities.argmax(axis=1)
    figure = plot_per_class(labels, predicted, "0123456789")
    _, precision, recall = figure.axes[0].collections
    for points, score in ((precision, precision_score), (recall, recall_score)):
        expected = 100 * score(labels, predicted, average=None)
        np.testing.assert_allclose(points.get_offsets()[:, 0], expected)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names[3] == f"3  ({(labels == 3).sum()})"


def test_per_class_figures_of_a_class_that_is_never_predicted():
    figure = plot_per_class(np.array([0, 1, 1]), np.array([0, 0, 0]), "01")
    assert "lowest recall: 1, 0.00 %" in figure.get_suptitle()


def test_a_class_without_test_images_has_no_recall():
    figure = plot_per_class(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), "0123")
    _, precision, recall = figure.axes[0].collections
    np.testing.assert_allclose(precision.get_offsets()[:, 0].filled(-1), [100, 100, 0, -1])
    np.testing.assert_allclose(recall.get_offsets()[:, 0].filled(-1), [50, 100, -1, -1])
    assert "lowest recall: 0, 50.00 %" in figure.get_suptitle()


def test_a_diverged_model_is_not_sure_of_anything():
    calibration = calibrate(np.array([0, 1]), np.full((2, 3), np.nan))
    assert calibration.counts[0] == 2 and calibration.error == 0.5


def over_and_underconfident():
    """Return labels and probabilities of two classes: too sure above 0.8, not sure enough below."""
    random = np.random.default_rng(1)
    confidence = random.uniform(0.5, 1.0, 600)
    right = random.random(600) < np.where(confidence > 0.8, confidence - 0.3, confidence + 0.15)
    predicted = random.integers(0, 2, 600)
    probabilities = np.stack([1 - confidence, confidence], axis=1)
    probabilities[predicted == 0] = probabilities[predicted == 0, ::-1]
    return np.where(right, predicted, 1 - predicted), probabilities


def test_calibration_counts_are_numpys_histogram_and_gaps_are_of_both_signs():
    labels, probabilities = over_and_underconfident()
    confidence = probabilities.max(axis=1)
    right = (probabilities[:, 1] > 0.5) == labels
    counts, edges = np.histogram(confidence, N_BINS, (0, 1))
    hits, _ = np.histogram(confidence[right], edges)
    sums, _ = np.histogram(confidence, edges, weights=confidence)
    calibration = calibrate(labels, probabilities)
    np.testing.assert_array_equal(calibration.counts, counts)
    assert N_BINS == 15 and counts.sum() == 600 and np.count_nonzero(counts) == 8
    filled = counts > 0
    np.testing.assert_allclose(calibration.accuracy[filled], hits[filled] / counts[filled])
    np.testing.assert_allclose(calibration.confidence[filled], sums[filled] / counts[filled])
    gaps = (hits - sums)[filled]
    assert (gaps < -1).any() and (gaps > 1).any()  # else, a sum of signed gaps would do as well
    assert calibration.error == pytest.approx(np.abs(gaps).sum() / 600)


def test_calibration_error_equals_a_recomputation(predictions):
    labels, probabilities = predictions
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    hits, edges = np.histogram(confidence[right], N_BINS, (0, 1))
    sums, _ = np.histogram(confidence, edges, weights=confidence)
    expected = np.abs(hits - sums).sum() / len(labels)
    assert calibrate(labels, probabilities).error == pytest.approx(expected, rel=1e-5)


def test_a_model_that_is_sure_and_right_is_calibrated():
    calibration = calibrate(np.array([0, 1]), np.eye(2))
    assert calibration.error == 0 and calibration.counts[-1] == 2
    assert np.isnan(calibration.accuracy[:-1]).all()


def test_a_model_that_is_sure_and_wrong_is_not():
    assert calibrate(np.array([1, 0]), np.eye(2)).error == 1


def test_reliability_diagram_shows_the_bins():
    labels, probabilities = over_and_underconfident()
    calibration = calibrate(labels, probabilities)
    figure = plot_reliability(labels, probabilities)
    accuracies, counts = ([bar.get_height() for bar in panel.patches] for panel in figure.axes)
    np.testing.assert_allclose(accuracies, calibration.accuracy)
    assert counts == list(calibration.counts) and sum(counts) == len(labels)
    for panel in figure.axes:
        edges = [(bar.get_x(), bar.get_width()) for bar in panel.patches]
        np.testing.assert_allclose(edges, [(n / N_BINS, 1 / N_BINS) for n in range(N_BINS)])
    (dots,) = figure.axes[0].collections
    expected = np.stack([calibration.confidence, calibration.accuracy], axis=1)
    np.testing.assert_allclose(dots.get_offsets().filled(np.nan), expected)
    assert f"{100 * calibration.error:.2f} percentage points" in figure.get_suptitle()
