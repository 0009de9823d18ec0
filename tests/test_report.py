import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from _00_main import parse_command_line, run
from _05_model_plot import draw, read_run
from figures.catalogue import FIGURES
from figures.report import rebuild_command, write_report
from tests.conftest import make_tiny_settings
from user_error import UserError


class Page(HTMLParser):
    """Collects what a page holds: its tags with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, tiny_architecture):
    """Return the folder of a run with three of its figures."""
    folder = run(make_tiny_settings(tmp_path_factory.mktemp("report"))).run_folder
    draw(folder, read_run(folder), ["curves", "network", "samples"])
    return folder


@pytest.fixture
def folder(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


def test_report_says_what_it_shows_of_several_networks(folder):
    path = folder / "settings.json"
    assert "networks, trained one after another" not in write_report(folder).read_text("utf-8")
    path.write_text(path.read_text().replace('"networks": 1', '"networks": 4'))
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    assert "averages 4 networks, trained one after another" in page.text


def test_report_holds_results_settings_machine_and_epochs(folder):
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    metrics = json.loads((folder / "metrics.json").read_text())
    description = json.loads((folder / "settings.json").read_text())
    assert f"{100 * metrics['test_accuracy']:.2f} %" in page.text
    assert f"{metrics['n_parameters']:,}" in page.text
    private = ("output_dir", "data_dir", "figures", "show")
    for name, value in {**description["settings"], **description["machine"]}.items():
        assert name in private or (name in page.text and str(value) in page.text)
    assert description["settings"]["output_dir"] not in page.text
    for row in (folder / "history.csv").read_text().splitlines()[1:]:
        assert re.search(rf"\n{row.split(',')[0]}(augmented|polish)", page.text)


def test_report_holds_the_pictures_and_asks_for_nothing_else(folder):
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    pictures = page.all("img")
    assert [figure["id"] for figure in page.all("figure")] == ["curves", "network", "samples"]
    assert len(pictures) == 3
    for picture in pictures:
        assert picture["src"].startswith("data:image/png;base64,")
        assert len(picture["alt"]) > 15 and int(picture["width"]) > int(picture["height"]) / 3
    assert "Training over 3 epochs" in pictures[0]["alt"]
    assert page.all("script") == [] and page.all("a") == []
    for _, attributes in page.tags:
        address = attributes.get("src") or attributes.get("href") or "data:"
        assert address.startswith("data:")
    assert FIGURES["curves"].caption in page.text


def test_report_shows_figures_of_other_layers_after_the_first(folder):
    shutil.copy(folder / "network.png", folder / "filters.png")
    shutil.copy(folder / "network.png", folder / "filters-conv2d_1.png")
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    ids = [figure["id"] for figure in page.all("figure")]
    assert ids == ["curves", "network", "filters", "filters-conv2d_1", "samples"]


def test_report_without_figures_has_no_empty_chapters(folder):
    for path in folder.glob("*.png"):
        path.unlink()
    page = write_report(folder).read_text(encoding="utf-8")
    assert "<img" not in page and "The network" not in page and "The epochs" in page


def test_report_escapes_what_it_is_given(folder):
    path = folder / "settings.json"
    description = json.loads(path.read_text())
    description["settings"]["architecture"] = "<script>alert('$x & y')</script>"
    path.write_text(json.dumps(description))
    page = write_report(folder).read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#x27;$x &amp; y&#x27;)&lt;/script&gt;" in page


def test_the_command_in_the_report_trains_the_same(tiny_settings):
    import dataclasses

    command = rebuild_command(dataclasses.asdict(tiny_settings))
    assert command.startswith("python _00_main.py --dataset=digits ")
    settings, _ = parse_command_line(command.split()[2:])
    custom = dataclasses.replace(tiny_settings, dataset="custom", data_dir="/home/me/my data")
    command_for_custom = rebuild_command(dataclasses.asdict(custom))
    assert "--data-dir=DIR" in command_for_custom and "/home/me" not in command_for_custom
    own = {"output_dir": tiny_settings.output_dir, "figures": tiny_settings.figures}
    assert dataclasses.replace(settings, **own) == tiny_settings


def test_report_of_an_unfinished_run(folder):
    (folder / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"metrics.json does not exist"):
        write_report(folder)
