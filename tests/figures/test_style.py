import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color, to_rgba

from figures.style import (
    CLASS_COLOURS,
    add_class_legend,
    draw_image,
    image_grid,
    scatter_classes,
)


@pytest.mark.parametrize(("n", "rows", "columns"), [(1, 1, 1), (8, 1, 8), (9, 2, 8), (0, 1, 1)])
def test_a_grid_has_as_many_panels_as_images(n, rows, columns):
    figure, panels = image_grid(n, 8, cell=1.0, head=0.5, title_height=0.25)
    assert len(panels) == n and len(figure.axes) == rows * columns
    assert not any(panel.axison for panel in figure.axes)
    width, height = figure.get_size_inches()
    assert width == max(6.5, columns) and height == rows * 1.25 + 0.5


def test_an_image_is_drawn_black_on_white_whatever_its_range_with_a_frame():
    _, panel = plt.subplots()
    image = np.full((28, 28, 1), 0.25, np.float32)
    draw_image(panel, image)
    (drawn,) = panel.images
    assert drawn.get_clim() == (0, 1)
    assert same_color(drawn.cmap(0.0), "white") and same_color(drawn.cmap(1.0), "black")
    (frame,) = panel.patches
    assert frame.get_window_extent().bounds == panel.bbox.bounds and not frame.get_fill()


def test_points_have_colour_and_name_of_their_class():
    _, panel = plt.subplots()
    points = np.array([[0.0, 0], [2, 2], [4, 0], [9, 9]])
    scatter_classes(panel, points, np.array([1, 1, 1, 11]), [str(n) for n in range(12)])
    first, second = panel.collections
    np.testing.assert_array_equal(first.get_offsets(), points[:3])
    np.testing.assert_allclose(first.get_facecolor()[0], to_rgba(CLASS_COLOURS[1], 0.8))
    np.testing.assert_allclose(second.get_facecolor()[0], to_rgba(CLASS_COLOURS[1], 0.8))
    names = {text.get_text(): tuple(text.xy) for text in panel.texts}
    assert names == {"1": (2, 0), "11": (9, 9)}  # at the median


def test_the_legend_names_the_classes_that_occur():
    figure, panel = plt.subplots()
    other = panel.scatter([], [], label="others")
    add_class_legend(figure, np.array([5, 2, 2]), "0123456789", other)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["2", "5", "others"]
    colours = [handle.get_color() for handle in legend.legend_handles[:2]]
    assert colours == [CLASS_COLOURS[2], CLASS_COLOURS[5]]


def test_class_colours_are_ten_and_differ():
    assert len(set(CLASS_COLOURS)) == 10
