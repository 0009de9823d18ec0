"""The page in a browser: drawing, answers, maps and the sums behind them."""

import re

import numpy as np
import pytest

from architectures.averaging import average_shifts
from tests.apps.conftest import SIZES, decisive
from tests.apps.pens import (
    PENS,
    STROKES,
    draw,
    draw_by_mouse,
    draw_by_touch,
    moved,
    on_screen,
    rest,
)
from tests.figures.test_report_browser import CONTRAST, pytestmark  # noqa: F401

ON_A_PHONE = {"device_scale_factor": 2, "has_touch": True, "is_mobile": True}
NO_ANSWER = "\N{EN DASH}"
VALUES = "(layer) => [...drawADigit.maps.layers[layer].output]"
SUMS = """drawADigit.maps.layers.map(
    (layer) => layer.output.reduce((sum, value, i) => sum + value * (1 + (i % 97)), 0))"""


@pytest.fixture(scope="module")
def contexts(browser):
    """Return a browser window of each size."""
    return {
        name: browser.new_context(
            viewport={"width": width, "height": height},
            **(ON_A_PHONE if name == "phone" else {}),
        )
        for name, (width, height) in SIZES.items()
    }


@pytest.fixture(scope="module")
def pages(contexts, strong_page):
    """Return the page of a strong network in each window."""
    pages = {name: context.new_page() for name, context in contexts.items()}
    for page in pages.values():
        page.goto(strong_page.as_uri())
    return pages


@pytest.fixture(params=SIZES)
def size(request):
    return request.param


@pytest.fixture
def page(pages, size):
    """Return the page with nothing drawn, and the mouse in a corner."""
    page = pages[size]
    page.mouse.move(1, 1)
    page.keyboard.press("c")
    rest(page)
    return page


ON_A_DESKTOP = pytest.mark.parametrize("size", ["desktop"], indirect=True)
ON_PHONE = pytest.mark.parametrize("size", ["phone"], indirect=True)


def percentages(page):
    return [text.replace("\xa0", " ") for text in page.locator("#bars .percent").all_inner_texts()]


def test_all_ten_digits_are_read_without_a_message_or_a_request(contexts, size, strong_page):
    page = contexts[size].new_page()
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(strong_page.as_uri())
    for digit in STROKES:
        assert draw(page, digit, PENS[size]) == str(digit)
        assert f"This is a {digit} (" in page.inner_text("#sentence")
        page.click("#clear")
    page.wait_for_load_state("networkidle")
    page.close()
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [strong_page.as_uri()]


@ON_A_DESKTOP
@pytest.mark.parametrize("scale, x, y", [(0.3, 0, 0), (0.3, 0.68, 0.68), (1.35, -0.17, -0.17)])
def test_small_digits_large_ones_and_those_in_a_corner_are_read(page, scale, x, y):
    for digit in (2, 5, 7):
        assert draw(page, moved(STROKES[digit], scale, x, y)) == str(digit)
        page.keyboard.press("c")


def test_an_empty_field_gets_no_answer(page):
    assert page.inner_text("#answer") == NO_ANSWER
    assert page.inner_text("#sentence") == "Nothing is drawn yet."
    assert set(percentages(page)) == {""}
    assert page.is_disabled("#undo") and page.is_disabled("#labels button >> nth=0")
    for key in ("u", "c", "3"):
        page.keyboard.press(key)
    rest(page)
    assert page.inner_text("#answer") == NO_ANSWER


def test_a_tap_is_no_digit(page, size):
    ((first,),) = on_screen(page, [[(0.5, 0.5)]])
    page.touchscreen.tap(*first) if size == "phone" else page.mouse.click(*first)
    rest(page)
    assert page.inner_text("#answer") == NO_ANSWER
    assert page.inner_text("#sentence") == "This is too small for a digit."
    assert page.is_disabled("#labels button >> nth=0") and page.is_enabled("#undo")


@ON_A_DESKTOP
def test_answer_and_maps_follow_while_the_pen_is_down(page):
    untouched = page.evaluate(SUMS)
    draw_by_mouse(page, [[(0.28, 0.2), (0.7, 0.2)]], lift=False)
    page.evaluate("new Promise(requestAnimationFrame)")
    early, shown = page.evaluate(SUMS), percentages(page)
    page.mouse.move(*on_screen(page, [[(0.45, 0.82)]])[0][0], steps=10)
    page.evaluate("new Promise(requestAnimationFrame)")
    late = page.evaluate(SUMS)
    assert page.inner_text("#answer") == "7" and percentages(page) != shown
    assert len(late) == 5
    for one, other, third in zip(untouched, early, late, strict=True):
        assert one != other != third
    page.mouse.up()


@ON_A_DESKTOP
def test_a_pen_that_rests_on_the_field_gets_its_answer_said(page):
    draw_by_mouse(page, STROKES[7], lift=False)
    rest(page)
    assert "This is a 7" in page.inner_text("#announcement")


@ON_A_DESKTOP
def test_undo_takes_back_a_stroke_and_clear_all(page):
    assert draw(page, 4) == "4"
    label = page.get_attribute("#pad", "aria-label")
    page.click("#undo")
    rest(page)
    assert label == "Drawing field, 2 strokes"
    assert page.get_attribute("#pad", "aria-label") == "Drawing field, one stroke"
    page.keyboard.press("u")
    rest(page)
    assert page.inner_text("#answer") == NO_ANSWER and page.is_visible("#pad-hint")
    for key in ("c", "Escape", "Delete"):
        draw(page, 4)
        assert page.is_hidden("#pad-hint")
        page.keyboard.press(key)
        rest(page)
        assert page.get_attribute("#pad", "aria-label") == "Drawing field, empty"


@ON_A_DESKTOP
def test_keys_of_the_browser_are_left_to_it(page):
    draw(page, 4)
    page.keyboard.press("Control+c")
    assert page.get_attribute("#pad", "aria-label") == "Drawing field, 2 strokes"


@ON_A_DESKTOP
def test_a_right_click_does_not_draw(page):
    page.click("#pad", button="right")
    rest(page)
    assert page.get_attribute("#pad", "aria-label") == "Drawing field, empty"


@ON_PHONE
def test_a_second_finger_does_not_draw_and_the_page_does_not_scroll(page):
    session = page.context.new_cdp_session(page)
    ((a, b, c),) = on_screen(page, [[(0.3, 0.2), (0.3, 0.8), (0.7, 0.5)]])
    before = page.evaluate("scrollY")
    for kind, points in (
        ("touchStart", [a]), ("touchStart", [a, c]), ("touchMove", [b, c]), ("touchEnd", []),
    ):  # fmt: skip
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    rest(page)
    assert page.get_attribute("#pad", "aria-label") == "Drawing field, one stroke"
    assert page.evaluate("scrollY") == before


def test_nothing_scrolls_sideways_and_lines_are_sharp(page, size):
    draw(page, 3, PENS[size])
    page.keyboard.press("3")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
    ratio = 2 if size == "phone" else 1
    canvas = "(canvas) => [canvas.width, canvas.height, canvas.clientWidth]"
    width, height, on_page = page.locator("#pad").evaluate(canvas)
    assert width == height == ratio * on_page


@ON_A_DESKTOP
def test_the_answer_is_said_when_the_pen_rests_and_again_for_an_equal_one(page):
    region = page.locator("#announcement")
    assert region.get_attribute("aria-live") == "polite"
    draw(page, 1)
    said = region.inner_text().replace("\xa0", " ")
    assert re.fullmatch(r"This is a 1 \((> )?\d+\.\d %\)\.", said)
    # On a busy machine, the pen may rest before a look from outside comes; the page looks itself.
    region.evaluate("""(region) => {
        window.heard = [];
        new MutationObserver(() => heard.push(region.textContent)).observe(
            region, {childList: true, characterData: true, subtree: true});
    }""")
    draw(page, [[(0.3, 0.3), (0.6, 0.3)]])
    heard = page.evaluate("heard")
    assert heard[0] == "" and heard[-1] == page.text_content("#sentence")


@ON_A_DESKTOP
def test_a_close_runner_up_is_marked(page):
    for bar in np.linspace(0.15, 0.12, 7):  # the shorter, the more a 7 is a 1
        page.keyboard.press("c")
        draw(page, [[(0.5 - bar, 0.25), (0.5, 0.2), (0.48, 0.82)]])
        if "Doubtful" in page.inner_text("#sentence"):
            break
    assert re.match(r"Doubtful: a [17] \(.*\), or a [17] \(.*\)\?", page.inner_text("#sentence"))
    assert page.locator("#answer.doubtful").count() == page.locator("#bars .second").count() == 1


@ON_A_DESKTOP
def test_the_bars_show_the_probabilities(page):
    draw(page, 3)
    expected = page.evaluate("[...drawADigit.classify(drawADigit.image)]")
    shown = [float(text.strip("> %")) for text in percentages(page)]
    assert shown == pytest.approx([100 * value for value in expected], abs=0.1)
    fills = page.locator("#bars .fill")
    widths = fills.evaluate_all("(fills) => fills.map((one) => one.getBoundingClientRect().width)")
    assert np.argmax(widths) == 3 and widths[3] > 100 * max(widths[0], 0.01)


# --- The sum behind a pixel ---------------------------------------------------------------------


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-").split()[-1])


def point_at(page, layer, channel, y, x):
    """Move the mouse onto a pixel of a map."""
    corner = page.evaluate(
        """([layer, channel, y, x]) => {
            const {canvas, tiles} = drawADigit.maps.layers[layer];
            canvas.scrollIntoView({block: "center"});
            const field = canvas.getBoundingClientRect();
            return [
                field.left + (channel % tiles.columns) * tiles.pitch.x + (x + 0.5) * tiles.zoom,
                field.top + Math.floor(channel / tiles.columns) * tiles.pitch.y
                    + (y + 0.5) * tiles.zoom,
            ];
        }""",
        [layer, channel, y, x],
    )
    page.mouse.move(*corner)


@ON_A_DESKTOP
@pytest.mark.parametrize("layer, n_inputs", [(0, 1), (1, 32), (4, 128)])
def test_the_sum_behind_a_pixel_is_its_value(page, layer, n_inputs):
    draw(page, 2)
    values = page.evaluate(VALUES, layer)
    height, width, channels = page.evaluate(f"drawADigit.maps.layers[{layer}].step.output")
    y, x, channel = np.unravel_index(np.argmax(values), (height, width, channels))
    point_at(page, layer, *map(int, (channel, y, x)))
    card = page.locator("#sum")
    assert f"Convolution {layer + 1}, map {channel + 1}: row {y + 1}" in card.inner_text()
    total = dict(
        zip(
            card.locator("dt").all_inner_texts(),
            map(number, card.locator("dd").all_inner_texts()),
            strict=True,
        )
    )
    assert total["after ReLU: 0 if below 0"] == pytest.approx(max(values), rel=0.003, abs=0.006)
    parts = [number(text.split("input")[0]) for text in card.locator("strong").all_inner_texts()]
    assert len(parts) == min(n_inputs, 3)
    rest_of_inputs = total.get(f"{n_inputs - 3} weaker inputs", 0)
    assert sum(parts) + rest_of_inputs + total["bias"] == pytest.approx(
        total["sum"], rel=0.01, abs=0.03
    )
    cells = [number(text) for text in card.locator(".part >> nth=0 >> span").all_inner_texts()]
    assert np.dot(cells[:9], cells[9:]) == pytest.approx(parts[0], rel=0.02, abs=0.1)


@ON_A_DESKTOP
def test_the_card_goes_with_the_mouse_and_with_the_drawing(page):
    draw(page, 2)
    point_at(page, 0, 3, 10, 10)
    assert page.is_visible("#sum")
    page.mouse.move(5, 5)
    assert page.is_hidden("#sum")
    point_at(page, 0, 3, 10, 10)
    page.keyboard.press("c")
    rest(page)
    assert page.is_hidden("#sum")


@ON_A_DESKTOP
def test_arrow_keys_choose_a_pixel(page):
    draw(page, 2)
    page.locator("#maps canvas").first.focus()
    page.keyboard.press("ArrowRight")
    assert "map 1: row 14, column 14" in page.inner_text("#sum")
    page.keyboard.press("ArrowDown")
    assert "map 1: row 15, column 14" in page.inner_text("#sum")
    for _ in range(13):
        page.keyboard.press("ArrowRight")
    assert "map 2: row 15, column 1\n" in page.inner_text("#sum")


@ON_PHONE
def test_a_tap_shows_the_sum_within_the_screen(page):
    draw(page, 2, draw_by_touch)
    page.locator("#maps canvas").first.tap(position={"x": 40, "y": 12})
    box = page.locator("#sum").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= SIZES["phone"][0]
    assert box["y"] + box["height"] <= SIZES["phone"][1]


# --- Means, and looks ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_of_a_mean(browser, make_page):
    page = browser.new_page()
    page.goto(make_page(average_shifts(decisive("fast_cnn_tiny", strength=1))).as_uri())
    return page


def test_a_mean_is_computed_when_the_pen_rests(page_of_a_mean):
    page = page_of_a_mean
    words = "a mean of 5 answers, of one network for the image and for its shifts"
    assert words in page.inner_text("main")
    # Whatever the page says is noted: on a busy machine, the pen rests between two looks.
    page.evaluate(
        """() => {
            window.said = {};
            new MutationObserver(() => {
                const text = document.querySelector("#basis").innerText;
                window.said[text] = [...drawADigit.state.probabilities];
            }).observe(document.querySelector("#basis"), {childList: true, subtree: true,
                                                          characterData: true});
        }"""
    )
    draw_by_mouse(page, STROKES[5], lift=False)
    page.evaluate("new Promise(requestAnimationFrame)")
    page.mouse.up()
    rest(page)
    mean = page.evaluate("[...drawADigit.state.probabilities]")
    assert page.inner_text("#basis") == "the mean of 5 answers"
    assert mean == pytest.approx(page.evaluate("[...drawADigit.classify(drawADigit.image)]"))
    first = page.evaluate("[...drawADigit.classifyLive(drawADigit.image)]")
    assert first != pytest.approx(mean, rel=0.01)
    live = page.evaluate("window.said")["live: the first of 5 answers"]
    assert live == pytest.approx(first)


@ON_A_DESKTOP
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_the_light_and_in_the_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    draw(page, 6)
    page.keyboard.press("6")
    draw(page, 2)
    point_at(page, 1, 0, 5, 5)
    for selector in (
        "h1", "header p", "#answer", "#sentence", "figcaption", "#bars .name", "#bars .percent",
        "#clear", "#save", "kbd", "#advice", "pre", "h3 span", "dt", "#sum dt", "#sum small", "a",
    ):  # fmt: skip
        assert page.locator(selector).first.evaluate(CONTRAST) >= 4.5, selector
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    is_dark = sum(int(value) for value in background[4:-1].split(",")) < 384
    assert is_dark == (scheme == "dark")
