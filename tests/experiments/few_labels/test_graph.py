import numpy as np
import pytest
from scipy import ndimage, sparse

from _01_data_loader import load_data
from common.data import Arrays
from common.user_error import UserError
from experiments.few_labels import graph, ten_labels
from experiments.few_labels.features import direction_histograms, graph_features, upright
from experiments.few_labels.graph import (
    Neighbours,
    edge_weights,
    nearest_neighbours,
    poisson_learning,
)


def bar(slope=0.0, dx=0, dy=0):
    """A stroke of a pen of 3 pixels, its lower end moved to the left by the slope."""
    y, x = np.mgrid[:28, :28]
    image = (np.abs(x - 13 - dx + slope * (y - 13 - dy)) < 2) & (np.abs(y - 13 - dy) < 8)
    return (255 * image).astype(np.uint8)


# --- Features ---


@pytest.mark.parametrize("slope", [-0.5, -0.2, 0.3, 0.6])
def test_slanted_and_moved_strokes_become_the_same_upright_one(slope):
    straight = upright(bar()[np.newaxis])[0]
    slanted = upright(bar(slope, dx=2, dy=-1)[np.newaxis])[0]
    assert np.abs(slanted - straight).mean() < 0.02
    assert np.abs(bar(slope, 2, -1) / 255 - straight).mean() > 0.06


def test_upright_agrees_with_scipys_affine_map(digits):
    image = digits.x_train[0] / 255
    y, x = np.mgrid[:28, :28]
    cy, cx = (image * y).sum() / image.sum(), (image * x).sum() / image.sum()
    slope = (image * (y - cy) * (x - cx)).sum() / (image * (y - cy) ** 2).sum()
    matrix = np.array([[1, 0], [slope, 1]])
    offset = np.array([cy, cx]) - matrix @ [13.5, 13.5]
    expected = ndimage.affine_transform(image, matrix, offset, order=1)
    # SciPy interpolates along both axes at once, we along one after the other.
    assert np.abs(upright(digits.x_train[:1])[0] - expected).mean() < 0.01


def test_an_empty_image_gives_no_numbers_that_are_none():
    empty = np.zeros((1, 28, 28), np.uint8)
    assert (upright(empty) == 0).all() and (direction_histograms(upright(empty)) == 0).all()


def test_histograms_name_the_direction_and_the_cell():
    image = np.zeros((1, 28, 28), np.float32)
    image[0, :, 14:] = 1  # brighter to the right: direction 0
    cells = direction_histograms(image).reshape(8, 7, 7)
    assert (cells[1:] == 0).all() and cells[0, :, 3].min() > 0.25
    assert np.linalg.norm(cells) == pytest.approx(1)
    down = direction_histograms(image.transpose(0, 2, 1)).reshape(8, 7, 7)
    np.testing.assert_allclose(down[2], cells[0].T, atol=1e-6)
    assert down[[0, 1, 3, 4, 5, 6, 7]].max() < 1e-3


def test_test_images_do_not_shape_the_components_of_the_training_images(digits):
    images = digits.x_train[:300]
    one = graph_features(images, 200)[:200]
    others = np.concatenate([images[:200], images[200:, ::-1]])
    np.testing.assert_allclose(graph_features(others, 200)[:200], one, atol=1e-5)
    assert one.shape == (200, 50) and one.dtype == np.float32


# --- The graph ---


def test_neighbours_are_the_nearest_others():
    points = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    distances, indices = nearest_neighbours(points, 4)
    for i, point in enumerate(points):
        to_all = np.linalg.norm(points - point, axis=1)
        to_all[i] = np.inf
        assert indices[i].tolist() == np.argsort(to_all)[:4].tolist()
        np.testing.assert_allclose(distances[i], np.sort(to_all)[:4], rtol=1e-4)


def test_weights_are_symmetric_self_tuning_and_half_for_one_sided_edges():
    distances = np.array([[1.0, 2.0], [1.0, 3.0], [2.0, 3.0]], np.float32)
    indices = np.array([[1, 2], [0, 2], [0, 1]])
    weights = edge_weights(Neighbours(distances, indices)).toarray()
    np.testing.assert_allclose(weights, weights.T)
    assert weights[0, 1] == pytest.approx(np.exp(-1 / (2 * 3)))
    assert weights[1, 2] == pytest.approx(np.exp(-9 / (3 * 3)))
    one_sided = edge_weights(Neighbours(distances[:, :1], np.array([[1], [0], [0]]))).toarray()
    assert one_sided[2, 0] == pytest.approx(np.exp(-4 / (2 * 1)) / 2)


def test_poisson_learning_solves_its_equation():
    rng = np.random.default_rng(1)
    dense = np.triu(rng.random((12, 12)), 1)
    dense += dense.T
    labelled, labels = np.array([0, 4, 7]), np.array([2, 0, 1])
    flow = poisson_learning(sparse.csr_matrix(dense, dtype=np.float32), labelled, labels, 3)
    laplacian = np.diag(dense.sum(axis=1)) - dense
    source = np.zeros((12, 3))
    source[labelled] = np.eye(3)[labels] - 1 / 3
    np.testing.assert_allclose(laplacian @ flow, source, atol=1e-4)
    assert flow[labelled].argmax(axis=1).tolist() == labels.tolist()


def test_two_labels_fill_two_rings():
    around = np.roll(np.eye(20), 1, axis=1) + np.roll(np.eye(20), -1, axis=1)
    weights = sparse.csr_matrix(np.kron(np.eye(2), around), dtype=np.float32)
    answers = poisson_learning(weights, np.array([3, 30]), np.array([1, 0]), 2).argmax(axis=1)
    assert answers.tolist() == [1] * 20 + [0] * 20


def test_shares_of_classes_are_brought_into_bounds(monkeypatch):
    monkeypatch.setattr(graph, "SHARES", (0.2, 0.5))
    flow = np.random.default_rng(0).normal([1, 0, -1], 1, (300, 3)).astype(np.float32)
    before = np.bincount(flow.argmax(axis=1)) / 300
    assert before.max() > 0.6 and before.min() < 0.1
    after = np.bincount(graph.with_shares_in_bounds(flow).argmax(axis=1)) / 300
    assert after.min() >= 0.2 and after.max() <= 0.5
    even = np.eye(3, dtype=np.float32)[np.arange(300) % 3]
    np.testing.assert_array_equal(graph.with_shares_in_bounds(even), even)


def test_a_class_that_was_left_out_gets_its_group_back(monkeypatch):
    monkeypatch.setattr(graph, "SHARES", (0.4, 0.6))
    rng = np.random.default_rng(0)
    points = rng.normal(np.repeat([[0, 0], [4, 0]], 50, axis=0), 1, (100, 2)).astype(np.float32)
    weights = edge_weights(nearest_neighbours(points, 8))
    labelled, labels, truth = np.array([0, 50]), np.array([0, 1]), np.repeat([0, 1], 50)
    # All but the labelled image belong to the first class, the second group less clearly.
    lead = np.where(truth == 0, 0.9, 0.6) + rng.normal(0, 0.15, 100)
    flow = np.stack([lead, np.zeros(100)], axis=1).astype(np.float32)
    flow[50] = 0, 1
    assert (flow.argmax(axis=1) == truth).mean() < 0.6
    answers = graph.balanced_flow(weights, flow, labelled, labels).argmax(axis=1)
    assert (answers == truth).mean() > 0.9 and answers[labelled].tolist() == [0, 1]


def test_a_graph_that_cannot_be_is_told_in_one_line():
    with pytest.raises(UserError, match="more than 10 images, got 10"):
        nearest_neighbours(np.zeros((10, 2), np.float32))
    with pytest.raises(UserError, match="class 1 has no labelled image"):
        poisson_learning(sparse.eye_array(4).tocsr(), np.array([0, 1]), np.array([0, 2]), 3)


# --- Ten labels ---


@pytest.fixture(scope="module")
def few(digits):
    return Arrays(
        digits.x_train[:600], digits.y_train[:600], digits.x_test[:200], digits.y_test[:200]
    )


def test_ten_labels_answer_most_images_and_results_are_kept(few, tmp_path, monkeypatch, capsys):
    results = ten_labels.graph_results(few, 1, tmp_path)
    names = {"typical", "random 0"}
    assert results.keys() == {(kind, name) for kind in ten_labels.KINDS for name in names}
    for kind in ten_labels.KINDS:  # chance is 0.1
        assert results[kind, "typical"]["test images"] > 0.8
        assert results[kind, "typical"]["training images"] > 0.8
    assert "% of test images" in capsys.readouterr().out
    monkeypatch.setattr(ten_labels, "graph_features", None)  # nothing is computed again
    assert ten_labels.graph_results(few, 1, tmp_path) == results


def test_a_killed_program_computes_only_what_is_missing(few, tmp_path, monkeypatch):
    results = ten_labels.graph_results(few, 1, tmp_path)
    monkeypatch.setattr(ten_labels, "answer_transductive", None)
    for lost in ("inductive_random_0.json", "answers_random_0.npz"):
        (tmp_path / lost).unlink()
        assert ten_labels.graph_results(few, 1, tmp_path) == results
        assert (tmp_path / lost).exists()
    with pytest.raises(UserError, match="made by other code or of other data"):
        ten_labels.graph_results(few._replace(y_test=few.y_test[::-1]), 1, tmp_path)


def test_labels_of_unlabelled_images_shape_no_answer(few, tmp_path):
    chosen = ten_labels.ten_chosen(few, 0)
    wrong = few.y_train.copy()
    asked = np.setdiff1d(np.arange(len(wrong)), chosen["typical"])
    wrong[asked] = (wrong[asked] + 1) % 10
    others = few._replace(y_train=wrong, y_test=(few.y_test + 1) % 10)
    for answer in (ten_labels.answer_transductive, ten_labels.answer_inductive):
        more = [tmp_path] if answer is ten_labels.answer_inductive else []
        right, told_wrong = (
            dict(answer(arrays, chosen, *more))["typical"] for arrays in (few, others)
        )
        assert right["test images"] > 0.8 and told_wrong["test images"] < 0.1


def test_the_inductive_graph_does_not_see_the_test_images(few, tmp_path):
    answers = []
    for arrays in (few, few._replace(x_test=few.x_test[:, ::-1])):
        result = ten_labels.answer_inductive(arrays, ten_labels.ten_chosen(few, 0), tmp_path)
        answers.append(dict(result)["typical"])
    assert answers[0]["training images"] == answers[1]["training images"]
    assert answers[0]["test images"] != answers[1]["test images"]


def test_the_graphs_answers_become_a_data_set(few, tmp_path, monkeypatch):
    flow = np.random.default_rng(0).random((600, 10), np.float32)
    monkeypatch.setattr(ten_labels, "flow_of", lambda weights, labelled: flow)
    list(ten_labels.answer_inductive(few, ten_labels.ten_chosen(few, 0), tmp_path))
    with np.load(ten_labels.answers_path(tmp_path, "typical")) as data:
        np.testing.assert_array_equal(data["x_train"], few.x_train)
        np.testing.assert_array_equal(data["y_train"], flow.argmax(axis=1))
        np.testing.assert_array_equal(data["y_test"], few.y_test)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON.*Delete it"),
        ("[1]", "holds no accuracies. Delete it"),
        ('{"training images": 0.9}', "holds no accuracies"),
        ('{"training images": 0.9, "test images": 98}', "holds no accuracies"),
        ('{"training images": 0.9, "test images": null}', "holds no accuracies"),
        ('{"training images": 0.9, "test images": 0.9}', "other code or of other data.*--folder"),
    ],
)
def test_a_damaged_result_is_told_in_one_line(few, tmp_path, content, message):
    (tmp_path / "transductive_typical.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        ten_labels.graph_results(few, 0, tmp_path)
    assert "\n" not in str(caught.value)
    assert "transductive_typical.json" in str(caught.value)


@pytest.mark.slow
def test_mnists_ten_typical_images_answer_the_others(tmp_path):
    mnist = load_data("mnist")
    path = {"typical": tmp_path / "typical.json"}
    result = ten_labels.answer_transductive(mnist, ten_labels.ten_chosen(mnist, 0), path)["typical"]
    assert result["test images"] > 0.985 and result["training images"] > 0.98
