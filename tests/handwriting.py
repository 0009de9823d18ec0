"""Digits drawn for the tests: strokes as polylines, and pictures of them."""

import numpy as np
from PIL import Image, ImageDraw

# In a box of 100 by 100, y downwards.
STROKES = {
    0: [[(50, 5), (25, 20), (18, 50), (28, 85), (50, 95), (75, 82), (82, 50), (74, 18), (50, 5)]],
    1: [[(50, 5), (50, 95)]],
    2: [[(20, 25), (35, 8), (62, 8), (78, 28), (68, 50), (20, 95), (82, 95)]],
    3: [[(22, 15), (50, 5), (75, 22), (68, 40), (45, 48), (72, 58), (80, 78), (55, 95), (20, 85)]],
    4: [[(40, 5), (18, 58), (80, 58)], [(66, 30), (62, 97)]],
    5: [[(75, 8), (32, 8), (28, 45), (55, 40), (78, 58), (72, 85), (48, 95), (22, 86)]],
    6: [[(62, 5), (35, 32), (24, 65), (34, 92), (62, 94), (74, 72), (58, 54), (28, 66)]],
    7: [[(20, 8), (80, 8), (48, 95)]],
    8: [[(68, 18), (45, 5), (28, 22), (48, 46), (72, 70), (60, 94), (38, 94), (28, 72), (50, 46),
         (70, 26), (62, 10)]],
    9: [[(72, 28), (50, 8), (28, 25), (38, 48), (60, 46), (72, 28), (68, 60), (60, 96)]],
}  # fmt: skip


def draw_digit(digit, size=200, pen=5, ink=30, paper=230, corner=(0.15, 0.15), extent=0.7):
    """Return a grey picture of a digit, uint8 (size, size), by Pillow.

    Args:
        digit: 0 to 9.
        pen: the stroke's width in pixels.
        corner: left and top of the digit's box, as shares of the picture.
        extent: the box's side, as a share of the picture.
    """
    fine = 4
    picture = Image.new("L", (size * fine, size * fine), paper)
    draw = ImageDraw.Draw(picture)
    left, top = (size * fine * share for share in corner)
    scale = size * fine * extent / 100
    for line in STROKES[digit]:
        points = [(left + x * scale, top + y * scale) for x, y in line]
        draw.line(points, fill=ink, width=pen * fine, joint="curve")
        for x, y in points:  # round ends
            half = pen * fine / 2
            draw.ellipse((x - half, y - half, x + half, y + half), fill=ink)
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX))
