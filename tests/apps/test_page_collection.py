"""Drawings that are kept in the page, and the table that the project reads."""

import numpy as np
import pytest

from _00_main import make_settings
from _02_data_preprocess import load_splits
from common.csv_files import read_csv
from tests.apps.pens import draw, rest
from tests.figures.test_report_browser import pytestmark  # noqa: F401

# What browsers do in private windows, where a setting forbids it, in an app's frame, and when full.
WITHOUT_MEMORY = {
    "forbidden": """Object.defineProperty(window, "localStorage", {
        get() { throw new DOMException("forbidden", "SecurityError"); },
    });""",
    "missing": 'Object.defineProperty(window, "localStorage", { get: () => null });',
    "full": """Storage.prototype.setItem = () => {
        throw new DOMException("full", "QuotaExceededError");
    };""",
}


@pytest.fixture(scope="module")
def window(browser):
    return browser.new_context(viewport={"width": 1280, "height": 800})


@pytest.fixture
def page(window, strong_page):
    page = window.new_page()
    page.goto(strong_page.as_uri())
    page.evaluate("localStorage.clear()")
    page.reload()
    yield page
    page.close()


def keep(page, digit, key=True):
    draw(page, digit)
    if key:
        page.keyboard.press(str(digit))
    else:
        page.click(f"[aria-label='This was a {digit}']")
    rest(page)  # the field is drawn anew with the next frame of the screen


def kept(page):
    return page.locator("#thumbnails li").all_inner_texts()


def save(page, folder):
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "my_digits.csv"
    download.value.save_as(folder / "my_digits.csv")
    return folder / "my_digits.csv"


def test_a_key_or_a_button_keeps_the_drawing_and_clears_the_field(page):
    assert page.is_hidden("#collection")
    keep(page, 7)
    assert page.get_attribute("#pad", "aria-label") == "Drawing field, empty"
    assert page.inner_text("#announcement") == "Kept as a 7."
    keep(page, 2, key=False)
    assert [text.split()[-1] for text in kept(page)] == ["7", "2"]
    assert page.inner_text("#count") == "My digits: 2"
    page.click("#to-collection")
    assert page.locator("#collection").is_visible()


def test_a_kept_drawing_can_be_removed(page):
    for digit in (7, 2, 1):
        keep(page, digit)
    page.click("[aria-label='Remove this 2']")
    assert [text.split()[-1] for text in kept(page)] == ["7", "1"]
    page.click("[aria-label='Remove this 1']")
    page.click("[aria-label='Remove this 7']")
    assert page.is_hidden("#collection")


def test_the_saved_table_is_read_by_the_project(page, tmp_path):
    drawn = []
    for digit in (7, 2):
        draw(page, digit)
        drawn.append(page.evaluate("[...drawADigit.image]"))
        page.keyboard.press(str(digit))
    path = save(page, tmp_path)
    header, *rows = path.read_text().splitlines()
    assert header.split(",") == ["label", *(f"pixel{i}" for i in range(784))] and len(rows) == 2
    images, labels = read_csv(path, 10)
    assert images.dtype == np.uint8 and labels.tolist() == [7, 2]
    np.testing.assert_allclose(images / 255, drawn, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("n", [3, 8])
def test_the_project_trains_on_enough_drawings_by_the_command_that_the_page_gives(
    page, tmp_path, n
):
    for _ in range(n):
        keep(page, 1)
        keep(page, 7)
    command = page.inner_text("#training pre")
    assert "--dataset custom --data-dir my_digits.csv" in command
    share = float(command.split("--val-size ")[1])
    splits = load_splits(
        make_settings(dataset="custom", data_dir=str(save(page, tmp_path)), val_size=share)
    )
    for labels in (splits.y_train, splits.y_val, splits.y_test):
        assert set(labels) == {1, 7}
    assert page.inner_text("#advice").startswith("A network learns digits from thousands")


def test_advice_says_how_many_are_needed(page):
    keep(page, 1)
    assert page.inner_text("#advice").startswith("To train on them, keep at least 3 of each digit")
    assert page.is_hidden("#training")
    assert page.inner_text("#collection pre").splitlines()[0] == (
        "python -m apps.predict my_digits.csv"
    )


# --- Without the browser's memory ---------------------------------------------------------------


@pytest.fixture(params=WITHOUT_MEMORY)
def forgetful_page(browser, strong_page, request):
    window = browser.new_context(viewport={"width": 1280, "height": 800})
    window.add_init_script(WITHOUT_MEMORY[request.param])
    page, errors = window.new_page(), []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(strong_page.as_uri())
    yield page
    window.close()
    assert not errors


def test_without_the_browsers_memory_all_works_until_the_page_is_closed(forgetful_page, tmp_path):
    page = forgetful_page
    for digit in (7, 2, 1):
        keep(page, digit)
    page.click("[aria-label='Remove this 2']")
    assert [text.split()[-1] for text in kept(page)] == ["7", "1"]
    assert page.inner_text("#place") == "until you close this page"
    assert read_csv(save(page, tmp_path), 10)[1].tolist() == [7, 1]


@pytest.mark.parametrize("foreign", ["no JSON", "{}", "[1]", '[["1", null]]', "[[3, [1, 2]]]", "0"])
def test_what_lies_in_the_browsers_memory_and_is_not_ours_is_passed_over(page, foreign):
    keep(page, 7)
    page.evaluate(
        "(text) => Object.keys(localStorage).forEach((key) => localStorage.setItem(key, text))",
        foreign,
    )
    page.reload()
    assert kept(page) == [] and page.is_hidden("#collection")
    keep(page, 2)
    page.reload()
    assert [text.split()[-1] for text in kept(page)] == ["2"]
    assert page.inner_text("#place") == "in this browser"
