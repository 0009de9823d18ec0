"""Ten digits as strokes, and the pens that draw them into the page."""

import numpy as np


def arc(x, y, width, height, start, end, n=9):
    """Return points on an ellipse; angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, end, n))
    return [(x + width * np.cos(a), y + height * np.sin(a)) for a in angles]


def eight(n=21):
    angles = np.linspace(-0.3, 2 * np.pi - 0.3, n)
    return [(0.5 + 0.15 * np.sin(2 * a), 0.5 - 0.32 * np.cos(a)) for a in angles]


# By digit; a stroke is a list of points, in units of the field's side.
STROKES = {
    0: [arc(0.5, 0.5, 0.2, 0.31, -100, 265, 14)],
    1: [[(0.53, 0.18), (0.5, 0.5), (0.47, 0.82)]],
    2: [[*arc(0.5, 0.35, 0.18, 0.16, -170, 30), (0.33, 0.78), (0.7, 0.78)]],
    3: [[*arc(0.47, 0.34, 0.17, 0.15, -150, 80), *arc(0.47, 0.65, 0.19, 0.17, -80, 150)]],
    4: [[(0.36, 0.2), (0.31, 0.5), (0.7, 0.5)], [(0.62, 0.22), (0.59, 0.82)]],
    5: [[(0.68, 0.2), (0.4, 0.2), (0.37, 0.45), *arc(0.48, 0.62, 0.2, 0.18, -110, 150)]],
    6: [[(0.6, 0.18), (0.42, 0.42), *arc(0.5, 0.65, 0.15, 0.16, -170, 190, 12)]],
    7: [[(0.28, 0.2), (0.7, 0.2), (0.55, 0.5), (0.43, 0.82)]],
    8: [eight()],
    9: [[*arc(0.5, 0.35, 0.15, 0.15, -20, -380, 12), (0.63, 0.5), (0.58, 0.82)]],
}


def moved(strokes, scale=1.0, x=0.0, y=0.0):
    """Return strokes made larger, then moved."""
    return [[(scale * a + x, scale * b + y) for a, b in stroke] for stroke in strokes]


def on_screen(page, strokes):
    """Return strokes in pixels of the window."""
    page.locator("#pad").scroll_into_view_if_needed()
    field = page.locator("#pad").bounding_box()
    return [
        [(field["x"] + a * field["width"], field["y"] + b * field["height"]) for a, b in stroke]
        for stroke in strokes
    ]


def draw_by_mouse(page, strokes, lift=True):
    for first, *others in on_screen(page, strokes):
        page.mouse.move(*first)
        page.mouse.down()
        for point in others:
            page.mouse.move(*point)
        if lift:
            page.mouse.up()


def draw_by_touch(page, strokes):
    session = page.context.new_cdp_session(page)

    def send(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    for first, *others in on_screen(page, strokes):
        send("touchStart", first)
        for point in others:
            send("touchMove", point)
        send("touchEnd")
    session.detach()


PENS = {"desktop": draw_by_mouse, "phone": draw_by_touch}


def rest(page):
    """Wait until the page has given its last answer."""
    page.evaluate("""async () => {
        const frame = () => new Promise(requestAnimationFrame);
        await frame();
        while (!drawADigit.state.isAtRest) await frame();
    }""")


def draw(page, digit, pen=draw_by_mouse):
    """Draw a digit, or other strokes, and return what the page then says."""
    pen(page, STROKES[digit] if isinstance(digit, int) else digit)
    rest(page)
    return page.inner_text("#answer")


def as_image(page, strokes):
    """Return the image of strokes, float (28, 28), and whether it may be a digit."""
    points = [[{"x": x, "y": y} for x, y in stroke] for stroke in strokes]
    run = """(strokes) => {
        const drawing = drawADigit.drawStrokes(strokes);
        return drawing && {pixels: [...drawing.pixels], isDigit: drawing.isDigit};
    }"""
    drawing = page.evaluate(run, points)
    return np.array(drawing["pixels"]).reshape(28, 28), drawing["isDigit"]
