import keras
import numpy as np
import pytest
from keras import layers

from architectures import ARCHITECTURES, build_architecture
from common.user_error import UserError
from figures.layers import convolutions, outputs_of
from figures.network import (
    choose_points,
    describe_layer,
    mosaic,
    plot_activations,
    plot_embeddings,
    plot_filters,
    plot_network,
)
from figures.projections import reduce_by_pca
from tests.figures.conftest import small_network

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def model():
    return small_network()


def images_in(figure):
    return [panel.images[0].get_array() for panel in figure.axes if panel.images]


def test_every_filter_of_the_first_convolution_is_drawn(model):
    kernel = np.asarray(model.get_layer("first").kernel)
    drawn = images_in(plot_filters(model))
    assert len(drawn) == 5
    for number, picture in enumerate(drawn):
        np.testing.assert_array_equal(picture, kernel[:, :, 0, number])


def test_every_filter_and_channel_of_a_later_convolution_is_drawn(model):
    kernel = np.asarray(model.get_layer("second").kernel)
    figure = plot_filters(model, "second")
    (drawn,) = images_in(figure)
    assert drawn.shape == (7 * 4 - 1, 5 * 6 - 1)  # tiles of 3 x 5, with a line between them
    for number in range(7):
        for channel in range(5):
            tile = drawn[4 * number : 4 * number + 3, 6 * channel : 6 * channel + 5]
            np.testing.assert_array_equal(tile, kernel[:, :, channel, number])
    assert "7 filters of 3 × 5, each with 5 input channels" in figure.get_suptitle()


def test_mosaic_leaves_lines_empty():
    tiles = mosaic(np.ones((2, 2, 2, 2), np.float32))
    assert np.isnan(tiles[2]).all() and np.isnan(tiles[:, 2]).all()
    assert np.nansum(tiles) == 16


def test_every_map_is_drawn_beside_the_image(model, splits):
    image = splits.x_test[3]
    expected = outputs_of(model, model.get_layer("second"), image[np.newaxis])[0]
    figure = plot_activations(model, image, "a digit", "second")
    first, *maps = images_in(figure)
    np.testing.assert_array_equal(first, image[..., 0])
    assert len(maps) == 7
    for number, drawn in enumerate(maps):
        np.testing.assert_allclose(drawn, expected[..., number], rtol=1e-6)
    assert figure.get_suptitle() == "second: its 7 maps of 11 × 9, for a digit"


@pytest.mark.parametrize("layer_name", [None, "pool"])
def test_embeddings_carry_the_right_labels(model, splits, quick_tsne, layer_name):
    images, labels = splits.x_test[:80], splits.y_test[:80]
    predicted = labels.copy()
    predicted[[2, 40, 41]] = (labels[[2, 40, 41]] + 1) % 10
    figure = plot_embeddings(model, images, labels, predicted, "0123456789", layer_name, 50)
    chosen = choose_points(np.array([2, 40, 41]), 80, 50)
    layer = model.get_layer(layer_name or "hidden")
    vectors = outputs_of(model, layer, images[chosen]).reshape(50, -1)
    for panel, reduce, title in zip(
        figure.axes, (reduce_by_pca, quick_tsne), ("PCA", "t-SNE"), strict=True
    ):
        assert panel.get_title() == title
        points = reduce(vectors)
        *clouds, rings = panel.collections
        assert rings.get_label() == "misclassified (3 of 3)"
        for number, cloud in zip(np.unique(labels[chosen]), clouds, strict=True):
            of_class = points[labels[chosen] == number]
            np.testing.assert_allclose(cloud.get_offsets(), of_class, atol=1e-4)
        np.testing.assert_allclose(rings.get_offsets(), points[:3], atol=1e-4)
    names = [text.get_text() for text in figure.axes[1].texts]
    assert names == [str(number) for number in np.unique(labels[chosen])]
    assert figure.get_suptitle().startswith(f"{layer.name}: ")


def test_the_misclassified_come_first_but_are_a_quarter_at_most():
    chosen = choose_points(np.array([7, 99, 500]), 1000, 20)
    assert list(chosen[:3]) == [7, 99, 500]
    assert len(chosen) == len(set(chosen)) == 20 and set(chosen) <= set(range(1000))
    of_many = choose_points(np.arange(30), 40, 20)
    assert (of_many < 30).sum() == 5 and len(set(of_many)) == 15  # all ten others, and no more
    of_some = choose_points(np.arange(10), 100, 20)  # fewer than are drawn, more than a quarter
    assert (of_some < 10).sum() == 5 and len(set(of_some)) == 20
    assert len(choose_points(np.array([], int), 5, 20)) == 5


@pytest.mark.parametrize("draw", [plot_filters, lambda m, n: plot_activations(m, 0, "", n)])
def test_unknown_convolution_gets_the_valid_names(model, draw):
    with pytest.raises(UserError, match="unknown layer for .* 'secnod'. Did you mean 'second'"):
        draw(model, "secnod")


def test_unknown_embedding_layer_gets_the_valid_names(model, splits):
    arguments = (model, splits.x_test, splits.y_test, splits.y_test, "0123456789")
    with pytest.raises(UserError, match="Valid: flat, hidden, pool."):
        plot_embeddings(*arguments, layer_name="output")


def test_a_network_without_convolutions_says_so():
    dense = keras.Sequential([layers.Input(SHAPE), layers.Flatten(), layers.Dense(10)])
    with pytest.raises(UserError, match="this network has no layer for filters"):
        plot_filters(dense)


def test_layers_are_described(model):
    assert describe_layer(model.get_layer("first")) == "first: Conv2D 5, 3 × 3, stride 2, relu"
    assert describe_layer(model.get_layer("pool")) == "pool: MaxPooling2D 2 × 2"
    assert describe_layer(model.get_layer("hidden")) == "hidden: Dense 6, tanh"
    assert describe_layer(layers.Dropout(0.25, name="drop")) == "drop: Dropout 0.25"
    assert describe_layer(layers.Conv1D(4, 5, name="c")) == "c: Conv1D 4, 5"
    activation = layers.Dense(3, activation=layers.LeakyReLU(), name="d")
    assert describe_layer(activation) == "d: Dense 3"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_diagram_names_every_layer_with_shape_and_parameters(name):
    model = build_architecture(name, SHAPE, 10)
    figure = plot_network(model)
    texts = [text.get_text() for text in figure.axes[0].texts]
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        row = texts.index(describe_layer(layer))
        shape = " × ".join(str(size) for size in layer.output.shape[1:])
        assert texts[row + 1 : row + 3] == [shape, f"{layer.count_params():,}"]
    assert figure.get_suptitle() == f"{model.name}: {model.count_params():,} parameters"


def test_filters_and_maps_of_an_architecture(splits):
    model = build_architecture("cnn_mnist_101", SHAPE, 10)
    first = convolutions(model)[0]
    assert len(images_in(plot_filters(model))) == first.filters
    maps = images_in(plot_activations(model, splits.x_test[0], "a digit"))
    assert len(maps) == first.filters + 1


def test_maps_of_other_kinds_of_convolutions(splits):
    model = keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.SeparableConv2D(3, 3, name="separable"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
        ]
    )
    for name, n_maps in (("separable", 3), ("depthwise", 6)):
        drawn = images_in(plot_activations(model, splits.x_test[0], "a digit", name))
        assert len(drawn) == n_maps + 1
    with pytest.raises(UserError, match="no layer for filters"):
        plot_filters(model)


def test_diagram_draws_branches():
    inputs = keras.Input(SHAPE)
    first = layers.Conv2D(4, 3, padding="same", name="a")(inputs)
    second = layers.Conv2D(4, 3, padding="same", name="b")(first)
    added = layers.Add(name="sum")([first, second])
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(added)))
    arrows = [
        patch.get_connectionstyle().rad
        for patch in plot_network(model).axes[0].patches
        if hasattr(patch, "get_connectionstyle")
    ]
    assert len(arrows) == 6 and sum(rad != 0 for rad in arrows) == 1
