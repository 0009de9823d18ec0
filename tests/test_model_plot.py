import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from _05_model_plot import (
    plot_confusion_matrix,
    plot_curves,
    plot_misclassified,
    plot_run,
    rank_misclassified,
)
from user_error import UserError

KEYS = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy")
HISTORY = [
    dict(zip(KEYS, row, strict=True))
    for row in (
        (1.0, "augmented", 0.5, 0.80, 0.40, 0.90),
        (2.0, "augmented", 0.2, 0.90, 0.10, 0.95),
        (3.0, "polish", 0.1, 0.97, 0.05, 0.99),
    )
]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


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
    loss, accuracy = plot_curves(HISTORY).axes
    lines = {line.get_label(): line for line in accuracy.lines}
    np.testing.assert_allclose(lines["training"].get_ydata(), [80, 90, 97])
    np.testing.assert_allclose(lines["validation"].get_ydata(), [90, 95, 99])
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [0.5, 0.2, 0.1])
    np.testing.assert_array_equal(loss.lines[1].get_xdata(), [1, 2, 3])
    (shade,) = accuracy.patches
    assert (shade.get_x(), shade.get_width()) == (2.5, 1.0)
    assert [text.get_text() for text in accuracy.get_legend().texts] == [
        "training",
        "validation",
        "polish",
    ]


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
    panel = plot_confusion_matrix(labels, predicted, "0123456789").axes[0]
    expected = confusion_matrix(labels, predicted)
    drawn = panel.collections[0].get_array().reshape(10, 10)
    np.testing.assert_array_equal(drawn.filled(0), expected)
    # Only cells that are not 0 carry a number, each in its own place.
    for text in panel.texts:
        column, row = (int(coordinate) for coordinate in text.get_position())
        assert int(text.get_text()) == expected[row, column]
    assert len(panel.texts) == np.count_nonzero(expected)
    assert f"{(labels != predicted).sum()} of {len(labels)}" in panel.get_title()


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


@pytest.mark.parametrize("show", [False, True])
def test_run_figures_are_saved_and_shown_on_demand(
    tmp_path, splits, predictions, monkeypatch, show
):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    labels, probabilities = predictions
    plot_run(tmp_path, HISTORY, splits.x_test, labels, probabilities, "0123456789", show)
    names = ["confusion_matrix.png", "curves.png", "misclassified.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert len(shown) == show and (not show or len(shown[0]) == 3)
    assert plt.get_fignums() == []


def test_figures_that_cannot_be_written(tmp_path, splits, predictions):
    with pytest.raises(UserError, match="cannot write"):
        plot_run(tmp_path / "none", HISTORY, splits.x_test, *predictions, "0123456789")
