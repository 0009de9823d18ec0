import dataclasses
import shlex
import shutil
from html.parser import HTMLParser

import pytest

from _00_main import parse_command_line
from common.user_error import UserError
from figures.catalogue import FIGURES
from figures.report import CHAPTERS, epochs_table, rebuild_command, write_report
from tests.conftest import make_tiny_settings
from tests.figures.conftest import HISTORY

HOSTILE = "<script>alert('$x & {{ y }}')</script>\"><img src=x>"


class Page(HTMLParser):
    """Collects what a page holds: its tags with their attributes, its text, its tables."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.tables, self.headings = [], "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])

    def handle_data(self, data):
        self.text += data
        if self.tags and self.tags[-1][0] == "h2" and data.strip():
            self.headings.append(data)
        if self.tags and self.tags[-1][0] in ("td", "th") and data.strip():
            self.tables[-1][-1].append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(drawn):
    return Page((drawn.folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def folder(drawn, tmp_path):
    """Return a run folder with a few figures, to write a report into."""
    for name in ("curves", "network", "samples"):
        shutil.copy(drawn.folder / f"{name}.png", tmp_path)
    return tmp_path


def with_settings(run, **changes):
    description = run.description._replace(settings={**run.settings, **changes})
    return run._replace(description=description)


def write(folder, run):
    path = write_report(folder, run)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


def test_the_tiles_show_the_results(page, drawn):
    tiles = page.text[: page.text.index("How it learned")].split("\n")
    tiles = [line.strip() for line in tiles if line.strip()]
    assert tiles[-6:] == [
        "Test accuracy95.01 %",
        "Misclassified1,234",
        "Test loss0.2554",
        "Validation accuracy90.12 %",
        "Parameters56,789",
        "Training1,234 s",
    ]
    assert "small on digits" in tiles and drawn.folder.name in tiles


def test_the_tables_are_of_epochs_settings_and_machine(page, known_run):
    epochs, settings, machine = page.tables
    assert epochs == [
        [
            *("epoch", "phase", "loss", "accuracy in %", "validation loss"),
            *("validation accuracy in %", "learning rate", "seconds so far"),
        ],
        ["1", "augmented", "1.5000", "80.00", "1.4000", "90.00", "0.003", "2"],
        ["2", "augmented", "1.2000", "90.00", "1.0500", "99.00", "0.002", "4"],
        ["3", "polish", "0.1000", "97.00", "0.0700", "95.00", "0.001", "9"],
    ]
    private = ("data_dir", "figures", "show")
    shown = {name: value for name, value in known_run.settings.items() if name not in private}
    assert settings == [[name, str(value)] for name, value in shown.items()]
    assert machine == [
        ["backend", "abacus 1.0"],
        ["device", "ten fingers"],
        ["threads", "2"],
        ["git commit", "0123abc"],
    ]


def test_the_chapters_hold_every_figure_in_the_order_of_the_catalogue(page):
    assert [figure["id"] for figure in page.all("figure")] == list(FIGURES)
    end = ["The epochs", "The settings", "The machine", "The same training again"]
    assert page.headings == [*CHAPTERS.values(), *end]
    for spec in FIGURES.values():
        assert spec.caption in page.text


def test_the_page_holds_its_pictures_and_asks_for_nothing_else(page, drawn):
    pictures = page.all("img")
    assert len(pictures) == len(FIGURES)
    for picture, name in zip(pictures, FIGURES, strict=True):
        assert picture["src"].startswith("data:image/png;base64,")
        title = drawn.figures[name].get_suptitle().replace("\n", ". ")
        assert picture["alt"] == title and len(title) > 15
        width, height = int(picture["width"]), int(picture["height"])
        inches = drawn.figures[name].get_size_inches()
        assert (width, height) == pytest.approx(tuple(120 * inches), abs=1)
        assert picture["style"] == f"--legible: {0.6 * width:.0f}px"
    assert page.all("script") == [] and page.all("a") == []
    for _, attributes in page.tags:
        address = attributes.get("src") or attributes.get("href") or "data:"
        assert address.startswith("data:")


def test_report_says_what_it_shows_of_several_networks(folder, known_run):
    assert "networks, trained one after another" not in write(folder, known_run)
    page = Page(write(folder, with_settings(known_run, networks=4)))
    assert "averages 4 networks, trained one after another" in page.text


def test_report_says_what_is_averaged_over_shifts(folder, known_run):
    assert "means over its shifts by a pixel" in write(folder, known_run)
    assert "shifts by a pixel" not in write(folder, with_settings(known_run, average_shifts=False))


def test_report_says_what_is_averaged_over_mirror_images(folder, known_run):
    assert "over its mirror image" not in write(folder, known_run)
    assert "over its mirror image" in write(folder, with_settings(known_run, average_flips=True))


def test_report_of_a_run_of_an_earlier_version(folder, known_run):
    settings = dict(known_run.settings)
    for name in ("networks", "average_shifts", "label_smoothing", "data_dir", "figures", "show"):
        del settings[name]
    description = known_run.description._replace(settings=settings, machine={}, git_commit=None)
    page = Page(write(folder, known_run._replace(description=description)))
    assert page.tables[1][0] == ["dataset", "digits"] and page.tables[2] == []
    assert "None" not in page.text and "one after another" not in page.text
    assert "means over its shifts" not in page.text


def test_report_shows_figures_of_other_layers_after_the_first(folder, known_run):
    for name in ("filters", "filters-conv2d_1", "filters-a"):
        shutil.copy(folder / "network.png", folder / f"{name}.png")
    page = Page(write(folder, known_run))
    ids = [figure["id"] for figure in page.all("figure")]
    assert ids == ["curves", "network", "filters", "filters-a", "filters-conv2d_1", "samples"]


def test_report_without_figures_has_no_empty_chapters(tmp_path, known_run):
    page = Page(write(tmp_path, known_run))
    assert page.all("img") == [] and page.headings[0] == "The epochs"


def test_report_escapes_what_it_is_given(folder, known_run):
    shutil.copy(folder / "network.png", folder / "network-'><b>.png")
    run = with_settings(known_run, architecture=HOSTILE, **{f"<i>{HOSTILE}": HOSTILE})
    machine = {HOSTILE: HOSTILE}
    history = HISTORY.assign(phase=HOSTILE)
    description = run.description._replace(machine=machine, git_commit=HOSTILE)
    page = Page(write(folder, run._replace(description=description, history=history)))
    for tag in ("script", "b", "i"):
        assert page.all(tag) == []
    assert len(page.all("img")) == 4
    assert page.tables[0][1][1] == page.tables[2][0][0] == page.tables[2][0][1] == HOSTILE
    assert page.text.count(HOSTILE) >= 6  # shown as it is, and not taken for a template


def test_a_picture_that_is_none(folder, known_run):
    (folder / "filters-old.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"filters-old.png cannot be read as a picture; delete it"):
        write_report(folder, known_run)


def test_a_folder_that_cannot_be_written(tmp_path, known_run):
    with pytest.raises(UserError, match=r"cannot write .*report.html"):
        write_report(tmp_path / "none", known_run)


def test_the_table_of_epochs_shows_a_loss_that_is_no_number():
    table = epochs_table(HISTORY.assign(val_loss=float("nan")))
    assert list(table["validation loss"]) == ["nan"] * 3 and len(table) == 3


# --- The command --------------------------------------------------------------------------------


def test_the_command_in_the_report_trains_the_same(tmp_path):
    settings = make_tiny_settings(tmp_path, dataset="custom", data_dir=tmp_path / "my data")
    words = rebuild_command(dataclasses.asdict(settings))
    assert words[:3] == ["python", "_00_main.py", "--dataset=custom"]
    assert words[-1] == "--data-dir=DIR" and str(tmp_path) not in " ".join(words)
    again, resume_folder = parse_command_line(words[2:])
    assert resume_folder is None
    names = ("data_dir", "output_dir", "figures", "show")
    places = {name: getattr(settings, name) for name in names}
    assert dataclasses.replace(again, **places) == settings
    assert settings.early_stopping_enabled and "--early-stopping-enabled=true" in words


def test_the_command_in_the_page_can_be_copied(page):
    command = page.text[page.text.index("python _00_main.py") :].strip()
    assert "\n" not in command
    assert command.startswith("python _00_main.py --dataset=digits --architecture=small --val-size")
    assert command.endswith(" --early-stopping-enabled=true")


def test_a_hostile_setting_does_not_leave_its_word_of_the_command(known_run):
    run = with_settings(known_run, architecture="x; rm -rf ~ $(y) 'z'", data_dir="/home/me")
    command = " ".join(rebuild_command(run.settings))
    words = shlex.split(command)
    assert "--architecture=x; rm -rf ~ $(y) 'z'" in words and "/home/me" not in command
