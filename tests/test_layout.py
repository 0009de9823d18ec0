"""The rules of the layout: imports run one way, and README and files agree."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FLOORS = (  # from the ground up: a file imports only from its own floor or those below
    ("user_error",),
    ("safe_files", "keras_backend", "optimizers", "averaging", "command_line"),
    ("architectures",),
    ("_01_data_loader",),
    ("_02_data_preprocess",),
    ("_03_model_training", "_04_data_saver", "_05_model_plot", "figures"),
    ("_00_main",),
    ("experiments", "benchmarks", "apps"),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
FILES = [
    path
    for path in sorted(PROJECT.rglob("*.py"))
    if path.relative_to(PROJECT).parts[0].removesuffix(".py") in FLOOR_OF
]


def imported_names(path):
    """Return the top-level names of all that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_run_one_way(path):
    own = path.relative_to(PROJECT).parts[0].removesuffix(".py")
    for name in imported_names(path):
        if name in FLOOR_OF and name != own:
            assert FLOOR_OF[name] <= FLOOR_OF[own], f"{own} imports {name} from above"


def test_every_file_is_on_a_floor():
    top_level = {path.stem for path in PROJECT.glob("*.py")}
    assert top_level <= FLOOR_OF.keys() and len(FILES) > 10


def test_readme_names_every_file_and_every_file_it_names_exists():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    tour = readme[readme.index("## Tour") : readme.index("## Change one thing")]
    named = set(re.findall(r"`([\w./-]+\.(?:py|txt|toml)|[\w.]+/(?:run)?)`", tour))
    for name in named:
        assert (PROJECT / name).exists(), f"README names {name}"
    for path in PROJECT.glob("*.py"):
        assert path.name in named, f"README leaves out {path.name}"
    for folder in ("architectures", "figures", "experiments", "benchmarks", "docs", "tests"):
        if (PROJECT / folder).exists():
            assert f"{folder}/" in named, f"README leaves out {folder}/"


def test_readmes_flags_and_recipes_exist():
    from _00_main import make_parser

    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    known = set(make_parser()._option_string_actions)
    known |= {"--n", "--repetitions", "--recipes"}  # of the benchmarks
    known |= {"--layer", "--image"}  # of _05_model_plot.py
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", readme):
        assert flag in known, f"README uses {flag}"
