import itertools

import keras
import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.datasets import load_digits

from training.augmentation import (
    RandomAffine,
    RandomErasing,
    RandomFlip,
    RandomPaper,
    RandomPen,
    make_variations,
)

HEIGHT, WIDTH = 20, 32  # not square, so that width and height cannot stand for each other
LIMITS = {"rotation": 40.0, "zoom": 0.3, "shift": 0.1, "shear": 25.0}


@pytest.fixture
def images(splits):
    return splits.x_train[:64]


def layer_and_maps(monkeypatch, **arguments):
    """Return a layer, and the list that will hold the maps that it draws, all of that size."""
    layer, drawn = RandomAffine(**arguments), []
    draw = layer.draw_transforms

    def noted(n, height, width, widening):
        assert (height, width) == (HEIGHT, WIDTH)
        drawn.append(np.asarray(draw(n, height, width, widening)))
        return drawn[-1]

    monkeypatch.setattr(layer, "draw_transforms", noted)
    return layer, drawn


def matrices_and_offsets(layer, n=4000, height=HEIGHT, width=WIDTH):
    """Return drawn maps as (n, 2, 2) and (n, 2): output (x, y) comes from matrix @ (x, y) + offset.

    In float64.
    """
    if not layer.built:
        layer.build(None)
    maps = np.asarray(layer.draw_transforms(n, height, width), np.float64)
    assert maps.shape == (n, 8) and not maps[:, 6:].any()
    return maps[:, [0, 1, 3, 4]].reshape(n, 2, 2), maps[:, [2, 5]]


def taken_apart(matrices):
    """Return angle and shear (degrees) and the zooms of x and y of rotation . shear . zoom."""
    rotations, triangles = np.linalg.qr(matrices)
    signs = np.sign(np.diagonal(triangles, axis1=1, axis2=2))  # QR leaves them open
    rotations, triangles = rotations * signs[:, None, :], triangles * signs[:, :, None]
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    angle = np.degrees(np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0]))
    shear = np.degrees(np.arctan2(triangles[:, 0, 1], triangles[:, 1, 1]))
    return angle, shear, triangles[:, 0, 0] - 1, triangles[:, 1, 1] - 1


def assert_uniform(values, limit):
    assert np.abs(values).max() <= limit * 1.001
    assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3


# --- The images ---


def test_images_change_only_in_training_and_only_with_strength(images):
    layer = RandomAffine(**LIMITS, seed=1)
    np.testing.assert_array_equal(layer(images), images)
    varied = np.asarray(layer(images, training=True))
    assert varied.shape == images.shape and varied.dtype == np.float32
    assert (np.abs(varied - images).max(axis=(1, 2, 3)) > 0.1).all()
    np.testing.assert_array_equal(RandomAffine(seed=1)(images, training=True), images)
    layer.strength.assign(0.0)
    np.testing.assert_allclose(layer(images, training=True), images, atol=1e-6)
    assert not layer.trainable_variables  # training must not find a way to vary less


def test_one_bilinear_resampling_with_paper_outside_as_scipy_does_it(monkeypatch):
    # Ink in every pixel, up to the edge: neither a smeared border nor a lost row can hide.
    noise = np.random.default_rng(0).uniform(0.5, 1, (64, HEIGHT, WIDTH, 1)).astype(np.float32)
    layer, drawn = layer_and_maps(monkeypatch, **LIMITS | {"shift": 0.4}, seed=5)
    varied = np.asarray(layer(noise, training=True))
    (maps,) = drawn
    for image, result, (a0, a1, a2, b0, b1, b2, _, _) in zip(noise, varied, maps, strict=True):
        expected = ndimage.affine_transform(
            image[..., 0], [[b1, b0], [a1, a0]], [b2, a2], order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(result[..., 0], expected, atol=1e-4)
    assert (varied == 0).any(axis=(1, 2, 3)).mean() > 0.9  # the paper outside does come in


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_a_compiled_training_step_reads_the_strength_anew(images):
    model = keras.Sequential([keras.Input(images.shape[1:]), RandomAffine(**LIMITS, seed=1)])
    model.compile("adam", "mse")  # the loss is how far the images are from what they were
    assert model.train_on_batch(images, images) > 0.01
    model.layers[0].strength.assign(0.0)
    assert model.train_on_batch(images, images) < 1e-9


@pytest.mark.parametrize("limit", LIMITS)
def test_each_variation_also_comes_alone(images, limit):
    layer = RandomAffine(**{limit: LIMITS[limit]}, seed=0)
    assert np.abs(np.asarray(layer(images, training=True)) - images).max() > 0.1


def test_it_computes_in_float32_whatever_the_network_does(images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = RandomAffine(**LIMITS, seed=0)
    assert layer.compute_dtype == "float32"
    assert np.asarray(layer(images, training=True)).dtype == np.float32


# --- The maps ---


def test_combined_maps_are_rotation_shear_and_zooms_each_uniform_within_its_limits():
    matrices, _ = matrices_and_offsets(RandomAffine(**LIMITS, seed=0))
    angle, shear, zoom_x, zoom_y = taken_apart(matrices)
    assert_uniform(angle, 40)
    assert_uniform(shear, 25)
    assert_uniform(zoom_x, 0.3)
    assert_uniform(zoom_y, 0.3)


def test_shift_is_a_share_of_the_width_and_of_the_height():
    matrices, offsets = matrices_and_offsets(RandomAffine(shift=0.1, seed=0))
    np.testing.assert_array_equal(matrices, np.broadcast_to(np.eye(2), matrices.shape))
    assert_uniform(offsets[:, 0], 0.1 * WIDTH)
    assert_uniform(offsets[:, 1], 0.1 * HEIGHT)


def test_all_but_the_shift_turns_about_the_centre():
    matrices, offsets = matrices_and_offsets(RandomAffine(**LIMITS | {"shift": 0.0}, seed=0))
    centre = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    np.testing.assert_allclose(matrices @ centre + offsets, np.tile(centre, (4000, 1)), atol=1e-4)


def test_what_is_drawn_for_an_image_is_drawn_independently():
    matrices, offsets = matrices_and_offsets(RandomAffine(**LIMITS, seed=0))
    centre = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    shifts = (matrices @ centre + offsets - centre).T
    parts = [*taken_apart(matrices), *shifts]
    for (i, a), (j, b) in itertools.combinations(enumerate(parts), 2):
        assert abs(stats.pearsonr(a, b).statistic) < 0.06, f"part {i} goes with part {j}"
    for part in parts:  # nor do neighbours in a batch share a draw
        assert abs(stats.pearsonr(part[1:], part[:-1]).statistic) < 0.06


def test_strength_is_a_factor_of_all_of_them():
    full, half = (RandomAffine(**LIMITS, seed=3) for _ in range(2))
    half.build(None)
    half.strength.assign(0.5)
    of_full, of_half = (matrices_and_offsets(full), matrices_and_offsets(half))
    for whole, part in zip(taken_apart(of_full[0]), taken_apart(of_half[0]), strict=True):
        np.testing.assert_allclose(part, whole / 2, atol=1e-4)


def test_equal_seeds_give_equal_images_and_successive_batches_differ(images):
    first, second, other = (RandomAffine(rotation=10, shift=0.1, seed=seed) for seed in (7, 7, 8))
    once = np.asarray(first(images, training=True))
    np.testing.assert_array_equal(once, second(images, training=True))
    assert not np.array_equal(once, first(images, training=True))
    assert not np.array_equal(once, other(images, training=True))


# --- Stretching ---


def bar(height, width):
    """A white rectangle in the middle, (28, 28, 1)."""
    image = np.zeros((28, 28, 1), np.float32)
    top, left = 14 - height // 2, 14 - width // 2
    image[top : top + height, left : left + width] = 1
    return image


@pytest.mark.parametrize(("width", "widest"), [(4, 2.2), (10, 2.0), (16, 1.25), (20, 1.0)])
def test_half_of_the_digits_are_widened_by_up_to_a_square_and_a_limit(width, widest):
    bars = np.tile(bar(20, width), (2000, 1, 1, 1))
    layer = RandomAffine(stretch=1.0, seed=0)
    varied = np.asarray(layer(bars, training=True))
    widths = varied[:, 14, :, 0].sum(axis=1) / width
    assert widths.min() == pytest.approx(1, abs=0.01)
    assert widths.max() == pytest.approx(widest, rel=0.02)
    assert np.mean(widths < 1.001) == pytest.approx(0.5 if widest > 1 else 1, abs=0.05)
    np.testing.assert_allclose(varied[:, :, 14, 0].sum(axis=1), 20, atol=0.01)  # heights
    columns = np.arange(28)
    centres = (varied[:, 14, :, 0] * columns).sum(axis=1) / varied[:, 14, :, 0].sum(axis=1)
    np.testing.assert_allclose(centres, 13.5, atol=0.01)


def test_stretching_goes_as_far_as_it_is_told_and_not_in_the_polish():
    bars = np.tile(bar(20, 5), (500, 1, 1, 1))
    layer = RandomAffine(stretch=0.5, seed=0)
    widths = np.asarray(layer(bars, training=True))[:, 14, :, 0].sum(axis=1) / 5
    assert widths.max() == pytest.approx(2.2**0.5, rel=0.02)
    layer.strength.assign(0.0)
    np.testing.assert_allclose(layer(bars, training=True), bars, atol=1e-6)
    empty = np.zeros((2, 28, 28, 1), np.float32)
    np.testing.assert_array_equal(RandomAffine(stretch=1.0, seed=0)(empty, training=True), empty)


def test_stretching_leaves_the_limits_of_the_others():
    matrices, _ = matrices_and_offsets(RandomAffine(**LIMITS, stretch=1.0, seed=0))
    plain, _ = matrices_and_offsets(RandomAffine(**LIMITS, seed=0))
    np.testing.assert_array_equal(matrices, plain)  # where nothing is widened


# --- Other pens ---


@pytest.fixture
def real_digits():
    """Return some of scikit-learn's digits as float32 (100, 28, 28, 1) in [0, 1]."""
    small = load_digits().images[:100] / 16
    images = np.pad(np.kron(small, np.ones((1, 2, 2))), ((0, 0), (6, 6), (6, 6)))
    return images[..., np.newaxis].astype("float32")


def varied(layer, images, training=True):
    return keras.ops.convert_to_numpy(layer(images, training=training))


def test_images_are_varied_in_training_only_and_each_differently(real_digits):
    layer = RandomPen(0.8, seed=1)
    np.testing.assert_array_equal(varied(layer, real_digits, training=False), real_digits)
    same = np.repeat(real_digits[:1], 20, axis=0)
    out = varied(layer, same)
    assert out.shape == same.shape and out.min() >= 0 and out.max() <= 1
    assert len(np.unique(out.reshape(20, -1), axis=0)) == 20


def test_without_strength_images_are_as_they_are(real_digits):
    layer = RandomPen(0.8, seed=1)
    varied(layer, real_digits)  # builds it
    layer.strength.assign(0.0)
    np.testing.assert_allclose(varied(layer, real_digits), real_digits, atol=1e-6)


def test_pens_are_thinner_and_thicker_blurred_and_sharp(real_digits):
    out = varied(RandomPen(0.8, seed=2), np.repeat(real_digits[:1], 300, axis=0))
    ink = out.sum(axis=(1, 2, 3)) / real_digits[0].sum()
    assert ink.min() < 0.8 and ink.max() > 1.2 and 0.85 < ink.mean() < 1.15
    grey = ((out > 0.05) & (out < 0.95)).mean(axis=(1, 2, 3))
    assert grey.max() > 3 * max(grey.min(), 0.01)
    assert (out[:, :4] == 0).all()  # paper stays black


def test_a_pens_blur_threshold_and_contrast_are_drawn_apart():
    """They are read from two greys that meet: far from the edge, blurring changes nothing."""
    images = np.full((500, 20, 20, 1), 0.45, "float32")
    images[:, :, 10:] = 0.55
    rows = varied(RandomPen(0.5, seed=4), images)[:, 10, :, 0]
    contrast = (rows[:, -1] - rows[:, 0]) / 0.1
    threshold = 0.45 - (rows[:, 0] - 0.5) / contrast
    lost = (rows[:, -1] - rows[:, 10]) / (0.1 * contrast)  # 2 share - 3 share^2, at the edge
    share = (1 - np.sqrt(1 - 3 * lost)) / 3
    least = 0.5 / np.minimum(threshold, 1 - threshold)
    found = np.stack([share * 3 / 0.5, (threshold - 0.375) / 0.25, (contrast / least - 1) / 0.75])
    np.testing.assert_allclose(found.min(axis=1), 0, atol=0.02)
    np.testing.assert_allclose(found.max(axis=1), 1, atol=0.02)
    assert np.abs(np.corrcoef(found) - np.eye(3)).max() < 0.15


def test_paper_is_grey_and_grainy_under_a_share_of_the_images(real_digits):
    images = np.tile(bar(20, 10), (2000, 1, 1, 1))
    layer = RandomPaper(0.3, seed=3)
    np.testing.assert_array_equal(varied(layer, images, training=False), images)
    out = varied(layer, images)
    assert out.min() >= 0 and out.max() <= 1
    other = np.abs(out - images).max(axis=(1, 2, 3)) > 0
    assert other.mean() == pytest.approx(0.3, abs=0.04)
    corner, middle = out[other][:, :4].mean(axis=(1, 2, 3)), out[other][:, 10:18, 12:16]
    # Half of the noise on black paper is cut off, so it is a little lighter than without.
    assert 0.28 < corner.max() < 0.36 and corner.min() < 0.03
    assert 0.65 < middle.mean(axis=(1, 2, 3)).min() < 0.75
    assert 0.15 < middle.std(axis=(1, 2, 3)).max() < 0.26
    layer.strength.assign(0.0)
    np.testing.assert_array_equal(varied(layer, images), images)


def test_variations_are_those_of_the_settings(real_digits):
    limits = {"rotation": 5.0, "zoom": 0.1, "shift": 0.1, "shear": 2.0, "stretch": 0.6, "seed": 7}
    (affine,) = make_variations(limits).layers
    assert affine.stretch == 0.6
    assert (affine.rotation, affine.zoom, affine.shift, affine.shear) == (5.0, 0.1, 0.1, 2.0)
    _, pen = make_variations({**limits, "pen": 0.25}).layers
    _, other = make_variations({**limits, "pen": 0.25, "seed": 8}).layers
    assert pen.amount == 0.25
    assert not np.allclose(varied(pen, real_digits), varied(other, real_digits))
    *_, paper = make_variations({**limits, "pen": 0.25, "paper": 0.5}).layers
    assert paper.share == 0.5
    assert not np.allclose(varied(paper, real_digits), varied(RandomPaper(0.5, 7), real_digits))


# --- Mirrored and covered images ---


@pytest.fixture
def noise():
    """Return images without a black pixel and without symmetry: float32 (500, HEIGHT, WIDTH, 1)."""
    random = np.random.default_rng(0)
    return random.uniform(0.1, 0.9, (500, HEIGHT, WIDTH, 1)).astype("float32")


def changed(images, others):
    return (images != others).any(axis=(1, 2, 3))


@pytest.mark.parametrize("kind", [RandomFlip, RandomErasing])
def test_a_share_of_the_images_is_varied_in_training_only(kind, noise):
    layer = kind(0.3, seed=1)
    np.testing.assert_array_equal(varied(layer, noise, training=False), noise)
    out = varied(layer, noise)
    assert out.shape == noise.shape and out.dtype == np.float32
    assert stats.binomtest(int(changed(out, noise).sum()), len(noise), 0.3).pvalue > 1e-3
    assert changed(varied(kind(1.0, seed=1), noise), noise).all()
    layer.strength.assign(0.0)
    np.testing.assert_array_equal(varied(layer, noise), noise)
    assert not layer.trainable_variables


@pytest.mark.parametrize("kind", [RandomFlip, RandomErasing])
def test_equal_seeds_vary_alike_and_batches_and_images_differ(kind, noise):
    first, second, other = (kind(0.5, seed=seed) for seed in (7, 7, 8))
    once = varied(first, noise)
    np.testing.assert_array_equal(once, varied(second, noise))
    assert not np.array_equal(once, varied(first, noise))
    assert not np.array_equal(once, varied(other, noise))


def test_mirrored_is_left_to_right(noise):
    np.testing.assert_array_equal(varied(RandomFlip(1.0, seed=1), noise), noise[:, :, ::-1])


def test_what_is_covered_is_one_rectangle_of_noise(noise):
    out = varied(RandomErasing(1.0, seed=1), noise)
    for image, before in zip(out[..., 0], noise[..., 0], strict=True):
        rows, columns = np.nonzero(image != before)
        inside = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert len(rows) == inside.size  # all of it, and nothing else
    covered = out[out != noise]
    assert_uniform(2 * covered - 1, 1)


def test_rectangles_have_the_published_areas_and_proportions_and_lie_anywhere():
    layer = RandomErasing(1.0, seed=2)
    layer.build(None)
    size = 200  # so large that rounding is no matter
    masks = np.asarray(layer.draw_rectangles(1000, size, size))[..., 0]
    heights, widths = masks.any(axis=2).sum(axis=1), masks.any(axis=1).sum(axis=1)
    fits = (heights < size) & (widths < size)
    assert fits.mean() > 0.9
    areas = (heights * widths / size**2)[fits]
    assert areas.min() > 0.019 and areas.max() < 0.405
    proportions = np.log(heights / widths)[fits] / np.log(1 / 0.3)
    assert np.abs(proportions).max() < 1.05 and abs(proportions.mean()) < 0.05
    assert abs(np.abs(proportions).mean() - 0.5) < 0.06
    assert masks[:, 0].any() and masks[:, -1].any()
    assert masks[:, :, 0].any() and masks[:, :, -1].any()
    assert abs(masks.mean(axis=0)[50, 50] - masks.mean(axis=0)[150, 150]) < 0.06


def test_rectangles_fill_an_image_at_most():
    layer = RandomErasing(1.0, seed=2)
    layer.build(None)
    masks = np.asarray(layer.draw_rectangles(2000, 28, 28))
    assert masks.any(axis=(1, 2, 3)).all() and masks.mean(axis=(1, 2, 3)).max() < 0.45


def test_each_variation_has_a_stream_of_its_own_that_others_leave_as_it_was(noise):
    limits = {"shift": 0.1, "seed": 7}
    amounts = {"pen": 0.5, "paper": 0.5, "flip": 0.5, "erase": 0.5}
    every = make_variations({**limits, **amounts}).layers
    kinds = (RandomAffine, RandomPen, RandomPaper, RandomFlip, RandomErasing)
    assert tuple(type(layer) for layer in every) == kinds
    assert len({int(layer.random.state[0]) for layer in every}) == 5
    # Of the first two, those of the versions before the others came.
    assert [int(layer.random.state[0]) for layer in every[:2]] == [7, 3939563265]
    for setting, layer in zip(amounts, every[1:], strict=True):
        _, alone = make_variations({**limits, setting: 0.5}).layers
        assert int(alone.random.state[0]) == int(layer.random.state[0])
