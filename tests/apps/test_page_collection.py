"""Drawings that are kept in the page, and the table that the project reads."""

import numpy as np
import pytest

from _01_data_loader import load_data
from common.csv_files import read_csv
from tests.apps.pens import draw
from tests.figures.test_report_browser import pytestmark  # noqa: F401

FORBID_MEMORY = """Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("forbidden", "SecurityError"); },
});"""


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


def test_the_project_trains_on_enough_drawings(page, tmp_path):
    assert "--dataset custom --data-dir my_digits.csv" in page.text_content("#collection pre")
    for _ in range(7):
        keep(page, 1)
        keep(page, 7)
    arrays = load_data("custom", str(save(page, tmp_path)))
    assert arrays.x_train.shape == (12, 28, 28) and sorted(arrays.y_test) == [1, 7]
    assert page.inner_text("#advice").startswith("A seventh of each class is set aside")


def test_advice_says_how_many_are_needed(page):
    keep(page, 1)
    assert page.inner_text("#advice").startswith("Draw at least 7 of a class")


def test_kept_drawings_outlast_the_visit(page):
    keep(page, 7)
    assert page.inner_text("#place") == "in this browser"
    page.reload()
    assert [text.split()[-1] for text in kept(page)] == ["7"]


def test_without_a_memory_they_are_kept_until_the_page_closes(window, strong_page, tmp_path):
    page = window.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(FORBID_MEMORY)
    page.goto(strong_page.as_uri())
    keep(page, 7)
    assert page.inner_text("#place") == "until you close this page"
    assert read_csv(save(page, tmp_path), 10)[1].tolist() == [7]
    assert errors == []
    page.close()


@pytest.mark.parametrize(
    "content", ["no JSON", "null", "3", '{"a": 1}', "[[99, []]]", '[[1, "x"]]', "[null]", "[[1]]"]
)
def test_what_is_not_ours_in_the_memory_is_passed_over(page, content):
    page.evaluate("(text) => localStorage.setItem('draw-a-digit-10-784', text)", content)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.reload()
    assert kept(page) == [] and page.is_hidden("#collection")
    keep(page, 7)
    assert [text.split()[-1] for text in kept(page)] == ["7"] and errors == []
