"""Digits drawn from strokes, in the ways of writing that MNIST hardly has.

MNIST was written in the United States: its ones are plain bars, its sevens have no cross-bar. Much
of the world writes a one with a hook, which a network trained on MNIST takes for a seven, and a
seven with a cross-bar. `drawn_digits` draws them, and the other digits in several ways, too, so
that a style says nothing about the digit. Each point of a stroke is moved a little at random.
"""

import numpy as np

SIDE = 28  # pixels of an image
BOX = 20  # pixels of a digit's longer side in it, as in MNIST
POINTS_PER_STEP = 6  # of a smooth stroke, between two of its points
STRETCH, WIDEST = (0.5, 2.2), 1.1  # of the width; the widest, upright, as a share of its height
UNSTEADINESS = 0.035  # of the hand: by how much a point is moved, as a share of the digit's height

# Digit -> ways of writing it, each a list of strokes. A stroke is smooth (~) or has corners (-),
# and goes through points "x,y", in per cent of the digit's width to the right and height down.
WAYS: dict[int, tuple[tuple[str, ...], ...]] = {
    0: (
        ("~ 50,0 10,30 10,70 50,100 90,70 90,30 50,0",),
        ("~ 60,5 15,30 10,70 50,100 90,60 75,10 45,10",),
    ),
    1: (
        # Hooks from short to as long as half the stem, with and without a foot.
        ("- 45,18 65,0 65,100",),
        ("- 30,30 65,0 65,100",),
        ("- 15,45 65,0 65,100",),
        ("~ 20,42 45,26 64,2", "- 65,0 62,100"),
        ("- 40,22 65,0 65,100", "- 40,100 90,100"),
        ("- 0,50 60,0 60,100",),
        ("- 20,35 60,0 55,100", "- 15,100 100,100"),
    ),
    2: (
        ("~ 10,25 40,0 85,20 60,60 10,100", "- 10,100 95,100"),
        ("~ 10,20 50,0 85,25 40,75 10,95 25,80 50,92 95,95",),
    ),
    3: (
        ("~ 15,10 50,0 85,20 45,48", "~ 45,48 90,70 50,100 10,90"),
        ("- 15,0 85,0 45,40", "~ 45,40 85,65 50,100 10,90"),
    ),
    4: (
        # Open, with an angle and round; closed; with a short, low stem.
        ("- 35,0 10,60 95,60", "- 70,25 65,100"),
        ("- 15,5 15,50 85,50", "- 80,0 80,100"),
        ("~ 15,0 12,40 40,55 80,42", "- 82,0 75,100"),
        ("- 65,100 65,0 5,65 95,65",),
        ("~ 60,0 25,35 10,68 50,70 95,66", "- 68,42 60,100"),
    ),
    5: (
        ("- 85,0 25,0 20,45", "~ 20,45 60,38 90,68 55,100 10,90"),
        ("~ 25,5 20,45 65,45 85,72 50,100 10,90", "- 30,2 90,0"),
    ),
    6: (
        ("~ 70,0 30,35 12,75 45,100 85,78 55,52 15,72",),
        ("~ 35,0 12,50 20,92 60,100 85,75 60,55 20,70",),
    ),
    7: (
        # Crossed; crossed, with a tick at the left; round and crossed; plain.
        ("- 5,0 90,0 40,100", "- 30,50 85,50"),
        ("- 8,18 10,2 90,0 45,100", "- 30,50 90,48"),
        ("~ 5,8 40,2 85,4 60,45 45,100", "- 30,52 80,45"),
        ("- 5,2 90,0 45,100",),
    ),
    8: (
        ("~ 80,12 50,0 20,20 50,45 85,75 50,100 15,78 50,45 80,12",),
        ("~ 50,45 20,22 50,0 80,22 50,45", "~ 50,45 12,75 50,100 88,75 50,45"),
    ),
    9: (
        # Closed; open at the stem; with a foot, closed and open; with a large foot, in three ways.
        ("~ 85,20 50,0 15,25 45,52 85,25", "- 87,10 75,100"),
        ("~ 70,2 35,5 12,30 40,50 82,32", "- 85,8 78,100"),
        ("~ 85,20 50,0 15,25 45,50 82,30", "~ 86,10 86,75 55,100 15,88"),
        ("~ 75,5 35,2 12,28 40,48 80,30", "~ 84,20 82,70 60,100 20,95"),
        ("~ 75,10 40,0 15,22 40,42 75,30 88,60 60,98 10,95",),
        ("~ 78,14 45,0 18,18 45,36 78,18 88,55 70,92 10,98",),
        ("~ 76,14 45,0 20,18 45,35 76,18", "~ 78,14 90,55 78,97", "- 78,98 5,100"),
    ),
}


def drawn_digits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n drawn digits, equally many of each class, give or take one.

    Returns:
        float32 (n, 28, 28, 1) in [0, 1], white on black, size and place as in MNIST; int32 (n,).
    """
    draw = np.random.default_rng([seed, n])
    labels = draw.permutation(np.arange(n) % len(WAYS)).astype(np.int32)
    images = np.empty((n, SIDE, SIDE, 1), np.float32)
    for image, label in zip(images, labels, strict=True):
        ways = WAYS[int(label)]
        image[..., 0] = _drawn(ways[draw.integers(len(ways))], draw)
    return images, labels


def _drawn(strokes: tuple[str, ...], draw: np.random.Generator) -> np.ndarray:
    """Return one digit, float32 (28, 28), of a random shape, slant, width and thickness."""
    lines = []
    for stroke in strokes:
        kind, *points = stroke.split()
        exact = np.array([point.split(",") for point in points], float) / 100
        moved = exact + draw.normal(0, UNSTEADINESS, exact.shape)
        lines.append(_smooth(moved) if kind == "~" else moved)
    natural = np.ptp(np.concatenate(lines)[:, 0])
    stretch = min(draw.uniform(*STRETCH), WIDEST / natural)
    slant, thickness = draw.uniform(-0.45, 0.4), draw.uniform(1.5, 4.2)
    lines = [line @ np.array([[stretch, 0], [-slant, 1]]) for line in lines]
    scale = (BOX - thickness) / np.ptp(np.concatenate(lines), axis=0).max()
    segments = [
        ends for line in lines for ends in zip(line[:-1] * scale, line[1:] * scale, strict=True)
    ]
    return _inked(np.array(segments), thickness)


def _smooth(points: np.ndarray) -> np.ndarray:
    """Return points (m, 2) of the Catmull-Rom curve through points (k, 2)."""
    before = np.concatenate([points[:1], points[:-2]])
    after = np.concatenate([points[2:], points[-1:]])
    start, end = points[:-1], points[1:]
    t = np.linspace(0, 1, POINTS_PER_STEP, endpoint=False)[:, None, None]
    curve = (
        start
        + 0.5 * t * (end - before)
        + 0.5 * t**2 * (2 * before - 5 * start + 4 * end - after)
        + 0.5 * t**3 * (3 * (start - end) + after - before)
    )
    return np.concatenate([curve.swapaxes(0, 1).reshape(-1, 2), points[-1:]])


def _inked(segments: np.ndarray, thickness: float) -> np.ndarray:
    """Return segments as an image, its centre of mass in the middle.

    Args:
        segments: float (n, 2, 2), from (x, y) to (x, y), in pixels.
        thickness: of the strokes, in pixels.

    Returns:
        float32 (28, 28) in [0, 1].
    """
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    centre = np.average(segments.mean(axis=1), axis=0, weights=lengths + 1e-6)
    start, end = segments[:, 0] - centre + SIDE / 2, segments[:, 1] - centre + SIDE / 2
    pixels = np.stack(np.meshgrid(*[np.arange(SIDE) + 0.5] * 2), axis=-1).reshape(-1, 1, 2)
    along = end - start
    share = ((pixels - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    distance = np.linalg.norm(pixels - nearest, axis=-1).min(axis=1)
    coverage = np.clip(thickness / 2 + 0.5 - distance, 0, 1)
    return coverage.reshape(SIDE, SIDE).astype(np.float32)
