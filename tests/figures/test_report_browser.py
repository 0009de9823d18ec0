"""The report in a real browser: Chromium, of the system, driven by Playwright."""

import os
import shutil

import pytest

# The first is Chromium without windows: it takes half the time.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
SIZES = {"desktop": (1280, 800), "tablet": (768, 1024), "phone": (390, 844)}
FRAME = 2 * (8 + 1)  # pixels: padding and border on both sides of a picture
pytestmark = pytest.mark.skipif(
    BROWSER is None and "REQUIRE_BROWSER" not in os.environ, reason="Chromium is not installed"
)


@pytest.fixture(scope="module")
def report(drawn):
    """Return the report of a run with all figures."""
    return drawn.folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


ON_A_DESKTOP = pytest.mark.parametrize("page", ["desktop"], indirect=True)


@pytest.fixture(params=SIZES)
def page(request, browser):
    width, height = SIZES[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})
    yield page
    page.close()


@ON_A_DESKTOP
def test_no_console_message_and_no_request_but_for_the_page(page, report):
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    assert messages == []
    outside = [url for url in requests if not url.startswith("data:")]
    assert outside == [report.as_uri()]


def test_every_picture_is_decoded_legible_and_within_the_screen(page, report):
    page.goto(report.as_uri())
    pictures = page.locator("img")
    assert pictures.count() == 12
    width = page.viewport_size["width"]
    for picture in pictures.all():
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
        around = picture.locator("..").bounding_box()
        assert around["x"] >= 0 and around["x"] + around["width"] <= width
        box = picture.bounding_box()
        scale = box["width"] / picture.evaluate("image => image.naturalWidth")
        # Large enough to be read; what does not fit then scrolls inside its own frame.
        assert scale >= 0.59 and (width < 1000 or box["width"] <= around["width"])
        shape = picture.evaluate("image => image.naturalWidth / image.naturalHeight")
        # Not squeezed: inside its frame (padding and border), it has the shape of the file.
        inside = [box[side] - FRAME for side in ("width", "height")]
        assert inside[0] / inside[1] == pytest.approx(shape, rel=0.02)


def test_nothing_but_tables_scrolls_sideways(page, report):
    page.goto(report.as_uri())
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0


@ON_A_DESKTOP
def test_the_command_is_one_line_to_copy(page, report):
    page.goto(report.as_uri())
    select = "getSelection().selectAllChildren(document.querySelector('pre'))"
    page.evaluate(select)
    copied = page.evaluate("getSelection().toString()")
    assert copied.startswith("python _00_main.py --dataset=digits ") and "\n" not in copied.strip()


CONTRAST = """element => {
    const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(value => {
            value /= 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let ground = element;
    while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') {
        ground = ground.parentElement;
    }
    const pair = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
    const [low, high] = pair.map(light).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}"""


@ON_A_DESKTOP
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_the_light_and_in_the_dark(page, report, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(report.as_uri())
    for selector in ("h1", "h2", "header p", "dt", "dd", "figcaption", "th", "td", "pre"):
        element = page.locator(selector).first
        # 4.5 is what WCAG 2 asks of normal text (level AA).
        assert element.evaluate(CONTRAST) >= 4.5, selector
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    is_dark = sum(int(value) for value in background[4:-1].split(",")) < 384
    assert is_dark == (scheme == "dark")


def test_a_screenshot_shows_text_and_pictures(page, report, tmp_path):
    import numpy as np
    from PIL import Image

    page.goto(report.as_uri())
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    with Image.open(tmp_path / "report.png") as image:
        assert image.width == page.viewport_size["width"] and image.height > 3000
        pixels = np.asarray(image.convert("L"))
    # No screen-high stretch of the page is empty.
    height = page.viewport_size["height"]
    for top in range(0, len(pixels) - height, height):
        assert pixels[top : top + height].std() > 3
