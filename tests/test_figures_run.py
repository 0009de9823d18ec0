import numpy as np
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

KEYS = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
HISTORY = [
    dict(zip(KEYS, row, strict=True))
    for row in (
        (1.0, "augmented", 0.5, 0.80, 0.40, 0.90, 3e-3),
        (2.0, "augmented", 0.2, 0.90, 0.05, 0.95, 2e-3),
        (3.0, "polish", 0.1, 0.97, 0.10, 0.99, 1e-3),
    )
]


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
    np.testing.assert_array_equal(loss.lines[1].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(rate.lines[0].get_ydata(), [3e-3, 2e-3, 1e-3])
    (shade,) = accuracy.patches
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
    assert f"after epoch {expected}" in figure.get_suptitle()


def test_curves_count_the_loss_from_the_entropy_of_smoothed_labels():
    panel = plot_curves(HISTORY, label_entropy=0.15).axes[0]
    np.testing.assert_allclose(panel.lines[0].get_ydata(), [0.35, 0.05, 0.1])
    assert "smoothed" in panel.get_title() and HISTORY[0]["loss"] == 0.5
    assert plot_curves(HISTORY).axes[0].get_title() == ""


def test_entropy_of_smoothed_labels():
    expected = -0.91 * np.log(0.91) - 9 * 0.01 * np.log(0.01)
    assert smoothed_label_entropy(0.1, 10) == pytest.approx(expected)
    assert smoothed_label_entropy(0.0, 10) == 0.0


def test_curves_without_polish_have_no_shade():
    assert all(not panel.patches for panel in plot_curves(HISTORY[:2]).axes)


@pytest.mark.parametrize("accuracy", [0.0, 0.1, 0.5, 0.9934, 1.0])
def test_accuracy_axis_holds_every_value(accuracy):
    history = [{**row, "accuracy": accuracy, "val_accuracy": accuracy} for row in HISTORY]
    panel = plot_curves(history).axes[1]
    low, high = panel.get_ylim()
    assert low <= 100 * accuracy <= high + 0.01 and low < high


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
    assert "all 0" in figure.get_suptitle() and not any(panel.images for panel in figure.axes)


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


def test_calibration_error_equals_a_recomputation(predictions):
    labels, probabilities = predictions
    total = 0.0
    for low in np.arange(N_BINS) / N_BINS:
        confidence = probabilities.max(axis=1)
        inside = (confidence >= low) & (confidence < low + 1 / N_BINS)
        if inside.any():
            right = probabilities[inside].argmax(axis=1) == labels[inside]
            total += inside.sum() * abs(right.mean() - confidence[inside].mean())
    assert calibrate(labels, probabilities).error == pytest.approx(total / len(labels), rel=1e-5)


def test_a_model_that_is_sure_and_right_is_calibrated():
    calibration = calibrate(np.array([0, 1]), np.eye(2))
    assert calibration.error == 0 and calibration.counts[-1] == 2
    assert np.isnan(calibration.accuracy[:-1]).all()


def test_a_model_that_is_sure_and_wrong_is_not():
    assert calibrate(np.array([1, 0]), np.eye(2)).error == 1


def test_reliability_diagram_shows_the_bins(predictions):
    labels, probabilities = predictions
    calibration = calibrate(labels, probabilities)
    figure = plot_reliability(labels, probabilities)
    accuracies, counts = ([bar.get_height() for bar in panel.patches] for panel in figure.axes)
    np.testing.assert_allclose(accuracies, calibration.accuracy)
    assert counts == list(calibration.counts) and sum(counts) == len(labels)
    assert f"{100 * calibration.error:.2f} percentage points" in figure.get_suptitle()
