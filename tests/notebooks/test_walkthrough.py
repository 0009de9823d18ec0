"""The walkthrough: it runs from top to bottom, and what is committed of it is whole."""

import base64
import copy
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import numpy as np
import pytest
from PIL import Image

from common.command_line import PROJECT_DIR
from common.pictures import find_digits, read_picture
from notebooks.refresh import NOTEBOOK, environment, execute, read_source, shrink_pictures

LARGEST_FILE = 700_000  # bytes
# As few seconds as possible, without the network.
SHORT = 'DATASET, RECIPE, EPOCHS = "digits", "speedrun_990", 1'
# /home/me/file or C:\file, but neither https://there/file nor and/or.
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<])/[\w.-]+/[\w.-]+|\b[A-Za-z]:\\")


def read_notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def setup_cell():
    return code_cells(read_source())[0].source


def has_picture(cell):
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def pictures_of(notebook):
    data = [output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs]
    return [base64.b64decode(one["image/png"]) for one in data if "image/png" in one]


def texts_of(cell):
    """Return all text that a cell has put out, but not its pictures."""
    for output in cell.outputs:
        yield from (output.get("text", ""), *output.get("traceback", ()))
        data = output.get("data", {})
        yield from (text for kind, text in data.items() if not kind.startswith("image/"))


def printed(notebook):
    return "\n".join(text for cell in code_cells(notebook) for text in texts_of(cell))


def check_outputs(notebook):
    """Check that every cell that makes a figure shows it, and that nothing went wrong."""
    cells = code_cells(notebook)
    figure_cells = [cell for cell in cells if re.search(r"^figure\b.* = ", cell.source, re.M)]
    assert len(figure_cells) >= 10
    for cell in cells:
        assert has_picture(cell) == (cell in figure_cells), cell.source
        assert not [one for one in cell.outputs if one.output_type == "error"], cell.source
        assert not [one for one in cell.outputs if one.get("name") == "stderr"], cell.outputs


# --- What is committed ---


def test_notebook_has_the_cells_of_its_source():
    source, notebook = read_source(), read_notebook()
    assert [cell.cell_type for cell in notebook.cells] == [cell.cell_type for cell in source.cells]
    for cell, expected in zip(notebook.cells, source.cells, strict=True):
        assert (cell.source, cell.id) == (expected.source, expected.id)
        assert cell.metadata.get("tags", []) == expected.metadata.get("tags", [])


def test_committed_outputs_are_whole():
    notebook = read_notebook()
    check_outputs(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))  # run once, from top to bottom
    assert "60000, 28, 28" in printed(notebook)  # on MNIST, not on the small digits


def test_committed_notebook_names_no_folder_of_a_machine():
    found = ABSOLUTE_PATH.findall(printed(read_notebook()))
    assert not found


def test_committed_notebook_is_small():
    assert NOTEBOOK.stat().st_size <= LARGEST_FILE


def test_files_named_in_the_text_exist():
    text = "\n".join(cell.source for cell in read_source().cells if cell.cell_type == "markdown")
    named = set(re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md|keras))`", text))
    assert {"_00_main.py", "docs/recipe.md", "best_model.keras"} <= named
    for name in named - {"walkthrough.py"}:
        assert (PROJECT_DIR / name).exists(), name


# --- It runs ---


def shortened():
    """Return the notebook, its parameters followed by those of a short run."""
    notebook = read_source()
    tagged = [
        n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])
    ]
    (position,) = tagged
    notebook.cells.insert(position + 1, nbformat.v4.new_code_cell(SHORT))
    return notebook


# Of the module, so that it comes before `isolated`, which keeps this process off all sockets.
@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Execute the shortened notebook in a folder of its own, and return it."""
    folder = tmp_path_factory.mktemp("walkthrough")
    elsewhere, temporary = folder / "elsewhere", folder / "temporary"
    elsewhere.mkdir()
    temporary.mkdir()
    variables = environment() | {
        "PYTHONPATH": str(PROJECT_DIR),
        "KERAS_HOME": str(folder / "keras"),
        "IPYTHONDIR": str(folder / "ipython"),  # without a user's start-up files
        "DIGITS_DATA_DIR": "",
        "TMPDIR": str(temporary),  # a kernel that is slow to end is killed, and tidies nothing up
    }
    notebook = shortened()
    execute(notebook, elsewhere, variables)
    return notebook, elsewhere


def test_it_runs_and_shows_every_figure(executed):
    notebook, _ = executed
    check_outputs(notebook)


def test_it_splits_and_trains_what_its_constants_say(executed):
    text = printed(executed[0])
    assert "x_train  uint8 (1437, 28, 28), from 0 to 255" in text
    assert text.count("Epoch 1: ") == 2 and "Epoch 2: " not in text  # two trainings of an epoch
    assert re.search(r"\d+ of 360 test images are wrong", text)


def test_the_record_reads_the_drawn_digit(executed):
    likeliest = re.search(r"^(\d): ([\d.]+) %$", printed(executed[0]), re.M)
    assert likeliest[1] == "4" and float(likeliest[2]) > 90


def test_it_leaves_nothing_behind(executed):
    assert list(executed[1].iterdir()) == []


def test_pictures_shrink_but_stay_pictures(executed):
    notebook = copy.deepcopy(executed[0])
    before = pictures_of(notebook)
    shrink_pictures(notebook)
    after = pictures_of(notebook)
    assert sum(map(len, after)) < 0.7 * sum(map(len, before))
    for large, small in zip(before, after, strict=True):
        old, new = (Image.open(io.BytesIO(one)).convert("RGB") for one in (large, small))
        assert np.abs(np.asarray(old, float) - np.asarray(new, float)).mean() < 2


# --- The cell that reads a photo ---


def test_a_photo_without_a_digit_is_answered_in_a_sentence(tmp_path):
    Image.new("L", (90, 60), 255).save(tmp_path / "empty.png")
    (cell,) = [one for one in code_cells(read_source()) if "find_digits(" in one.source]
    names = {"read_picture": read_picture, "find_digits": find_digits, "Path": Path, "np": np}
    with pytest.raises(ValueError, match=r"no digit was found in .*empty\.png: write it larger"):
        exec(cell.source, names | {"PICTURE": str(tmp_path / "empty.png")})


# --- The first cell ---


@pytest.fixture
def modules_not_found(monkeypatch, tmp_path):
    """Let the first cell find no module of the project; return an empty working directory."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "content"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def commands(monkeypatch):
    """Let git run, but not pip; return the list of commands that were given."""
    given, run = [], subprocess.run

    def without_pip(command, **options):
        given.append(command)
        return None if "pip" in command else run(command, **options)

    monkeypatch.setattr(subprocess, "run", without_pip)
    return given


def run_setup(repository=None):
    source = setup_cell()
    if repository is not None:
        source, n = re.subn(
            r"^REPOSITORY = .*", f"REPOSITORY = {str(repository)!r}", source, flags=re.M
        )
        assert n == 1
    exec(compile(source, "setup cell", "exec"), {})


@pytest.fixture
def repository(tmp_path):
    """Return a git repository that looks like the project's."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git")
    folder = tmp_path / "origin"
    folder.mkdir()
    for name in ("_00_main.py", "requirements.txt"):
        (folder / name).write_text("# a file\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for command in (("init", "--quiet"), ("add", "."), (*identity, "commit", "--quiet", "-m", "A")):
        subprocess.run([git, *command], cwd=folder, check=True)
    return folder


def test_setup_does_nothing_where_the_modules_can_be_imported(commands, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    before = list(sys.path)
    run_setup()
    assert sys.path == before and commands == []


def test_setup_finds_the_project_from_its_notebooks_folder(
    modules_not_found, commands, monkeypatch
):
    monkeypatch.chdir(NOTEBOOK.parent)
    run_setup()
    assert sys.path[0] == str(PROJECT_DIR) and commands == []


def test_setup_elsewhere_says_where_to_open_the_notebook(modules_not_found):
    with pytest.raises(FileNotFoundError, match="notebooks/"):
        run_setup()


def test_setup_in_colab_clones_and_installs(repository, modules_not_found, commands, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    run_setup(repository.as_uri())
    clone = modules_not_found / "handwritten-digits"
    assert (clone / "_00_main.py").is_file() and sys.path[0] == str(clone)
    assert [command[:2] for command in commands] == [["git", "clone"], [sys.executable, "-m"]]
    assert commands[1][2:] == ["pip", "install", "--quiet", "-r", str(clone / "requirements.txt")]
    run_setup(repository.as_uri())  # once more, as after a restart of the session
    assert [command[0] for command in commands[2:]] == [sys.executable]  # not cloned again


def test_setup_in_colab_asks_for_the_address(modules_not_found, commands, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    with pytest.raises(ValueError, match="address of your copy"):
        run_setup()
    assert commands == []
