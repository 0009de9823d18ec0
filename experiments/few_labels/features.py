"""Images as short vectors in which the distance says how alike two digits are, without any label.

Three steps: the slant is taken out of each digit; histograms say in which directions the strokes
run, and where; and principal components keep what differs most between images.
"""

import numpy as np

BLOCK = 5000  # images at a time: 70,000 at once would take gigabytes
SIZE = 28
DIRECTIONS, CELL = 8, 4  # 45 degrees; pixels, so 7x7 cells
COMPONENTS = 50
STEEPEST = 0.7  # pixels sideways per pixel upwards: a one that lies flat is no slanted one


def graph_features(images: np.ndarray, n_fit: int) -> np.ndarray:
    """Return the features of images.

    Args:
        images: uint8 (n, 28, 28).
        n_fit: the principal components are those of the first `n_fit` images.

    Returns:
        float32 (n, 50), or fewer columns for fewer than 50 images.
    """
    blocks = [images[start : start + BLOCK] for start in range(0, len(images), BLOCK)]
    histograms = np.concatenate([direction_histograms(upright(block)) for block in blocks])
    return principal_components(histograms, n_fit)


# --- Without slant ------------------------------------------------------------------------------


def upright(images: np.ndarray) -> np.ndarray:
    """Return digits without slant, with their centre of mass in the middle.

    The slant is the slope of the line that tells best, by least squares, from the height of an
    ink spot how far to the side it lies. Each row is moved back along that line.

    Args:
        images: uint8 (n, 28, 28).

    Returns:
        float32 (n, 28, 28) in [0, 1].
    """
    ink = images.astype(np.float32) / 255
    mass = np.maximum(ink.sum(axis=(1, 2)), 1e-6)[:, np.newaxis]
    place = np.arange(SIZE, dtype=np.float32)
    by_row, by_column = ink.sum(axis=2), ink.sum(axis=1)
    centre_y, centre_x = ((part @ place)[:, np.newaxis] / mass for part in (by_row, by_column))
    height, side = place - centre_y, place - centre_x
    variance = (by_row * height**2).sum(axis=1) / mass[:, 0]
    covariance = np.einsum("nyx,ny,nx->n", ink, height, side, optimize=True) / mass[:, 0]
    slope = np.clip(covariance / np.maximum(variance, 1e-6), -STEEPEST, STEEPEST)[:, np.newaxis]

    middle = (SIZE - 1) / 2
    moved = _move_rows(ink.transpose(0, 2, 1), np.repeat(centre_y - middle, SIZE, axis=1))
    shift = slope * (place - middle) + centre_x - middle
    return _move_rows(moved.transpose(0, 2, 1), shift)


def _move_rows(images: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return images whose rows have moved to the left, with linear interpolation.

    Args:
        images: float32 (n, rows, columns); beyond them lies 0.
        shift: float (n, rows), in pixels.
    """
    n, rows, columns = images.shape
    padded = np.zeros((n, rows, columns + 2), np.float32)  # a zero at each end
    padded[..., 1:-1] = images
    position = np.arange(columns) + 1 + shift[..., np.newaxis]
    left = np.floor(position).astype(np.int64)
    share = (position - left).astype(np.float32)
    ends = (np.clip(left + step, 0, columns + 1) for step in (0, 1))
    near, far = (np.take_along_axis(padded, end, axis=2) for end in ends)
    return near * (1 - share) + far * share


# --- Histograms of directions -------------------------------------------------------------------


def direction_histograms(images: np.ndarray) -> np.ndarray:
    """Return in which directions the brightness rises, in each of 7x7 cells.

    As Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005), with
    eight directions round the circle. Each gradient is shared between its two nearest directions
    and its four nearest cells: so a digit that moves by a pixel keeps nearly the same histograms.
    Square roots let faint strokes count, and the vector has length 1.

    Args:
        images: float32 (n, 28, 28) in [0, 1].

    Returns:
        float32 (n, 8 * 7 * 7).
    """
    right, down = np.zeros_like(images), np.zeros_like(images)
    right[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    strength = np.hypot(right, down)
    direction = np.arctan2(down, right) * (DIRECTIONS / (2 * np.pi)) % DIRECTIONS
    to_cells = _cell_weights()
    histograms = []
    for number in range(DIRECTIONS):
        distance = np.abs(direction - number)
        distance = np.minimum(distance, DIRECTIONS - distance)  # round the circle
        of_direction = strength * np.maximum(0, 1 - distance)
        histograms.append(to_cells @ of_direction @ to_cells.T)
    vectors = np.sqrt(np.stack(histograms, axis=1).reshape(len(images), -1))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-6)


def _cell_weights() -> np.ndarray:
    """Return how much each of 28 pixels counts in each of 7 cells, float32 (7, 28).

    1 in the middle of the cell, falling to 0 in the middles of its neighbours.
    """
    pixels = np.arange(SIZE)
    middles = np.arange(SIZE // CELL) * CELL + (CELL - 1) / 2
    distance = np.abs(pixels - middles[:, np.newaxis])
    return np.maximum(0, 1 - distance / CELL).astype(np.float32)


def principal_components(vectors: np.ndarray, n_fit: int) -> np.ndarray:
    """Return the coordinates of vectors (n, d) along the directions in which they differ most.

    By scikit-learn's PCA, fitted on the first `n_fit` vectors; float32 (n, 50), or fewer columns
    if there are fewer vectors or values.
    """
    from sklearn.decomposition import PCA

    n_components = min(COMPONENTS, n_fit, vectors.shape[1])
    pca = PCA(n_components, svd_solver="covariance_eigh")
    return pca.fit(vectors[:n_fit]).transform(vectors).astype(np.float32)
