"""The rules of the house: imports run downwards, no room is too large, and README is true."""

import ast
import re

import pytest

from common.command_line import PROJECT_DIR, make_parser

FLOORS = (  # from the ground up: a file imports only from lower floors, and inside its own folder
    ("common",),
    ("architectures", "training", "figures"),
    ("_01_data_loader",),
    ("_02_data_preprocess",),
    ("_03_model_training",),
    ("_04_data_saver",),
    ("_05_model_plot",),
    ("_00_main",),
    ("studies",),
    ("benchmarks", "experiments", "apps"),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
LONGEST_FUNCTION, LONGEST_FILE = 45, 350


def room_of(path):
    """Return the folder or the numbered file that a file belongs to."""
    return path.relative_to(PROJECT_DIR).parts[0].removesuffix(".py")


def module_name(path):
    parts = path.relative_to(PROJECT_DIR).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = [path for path in sorted(PROJECT_DIR.rglob("*.py")) if room_of(path) in FLOOR_OF]
MODULES = {module_name(path) for path in FILES}


def imported_modules(path):
    """Return the project's modules that a file imports, wherever in it and for whatever use."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:  # `from common.data import Arrays` imports common.data
            module = name if name in MODULES else name.rpartition(".")[0]
            if module in MODULES:
                yield module


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_downwards(path):
    room = room_of(path)
    for module in imported_modules(path):
        other = module.split(".")[0]
        if other != room:
            assert FLOOR_OF[other] < FLOOR_OF[room], f"{module_name(path)} imports {module}"


def test_no_circle_between_files():
    waiting = {module_name(path): set(imported_modules(path)) for path in FILES}
    for module, imported in waiting.items():
        imported.discard(module)
        if "." in module:  # a package's __init__ is read first: it must not need its own files
            imported.discard(module.split(".")[0])
    while free := [module for module, imported in waiting.items() if not imported & waiting.keys()]:
        for module in free:
            del waiting[module]
    assert not waiting, f"these import one another in circles: {sorted(waiting)}"


def test_every_file_is_on_a_floor_and_only_steps_lie_at_the_top():
    top_level = {path.stem for path in PROJECT_DIR.glob("*.py")}
    assert top_level == {name for name in FLOOR_OF if name.startswith("_0")}
    folders = {path.parent.name for path in PROJECT_DIR.glob("*/__init__.py")} - {"tests"}
    assert folders <= FLOOR_OF.keys() and len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_file_and_no_function_is_too_long(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def test_the_story_is_short_and_begins_early():
    lines = (PROJECT_DIR / "_00_main.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 220
    assert next(n for n, line in enumerate(lines, 1) if line.startswith("def run(")) <= 110


# --- README ---


def readme():
    return (PROJECT_DIR / "README.md").read_text(encoding="utf-8")


def files_of_the_tree():
    """Return the paths that README's tree names; indented ones lie in the folder above them."""
    tree = re.search(r"## The tree\n.*?```\n(.*?)```", readme(), re.DOTALL)[1]
    folder = ""
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            yield name
        else:
            yield folder + name


def test_readme_names_every_file_and_every_file_it_names_exists():
    named = set(files_of_the_tree())
    for name in named:
        assert (PROJECT_DIR / name).exists(), f"README names {name}"
    for path in PROJECT_DIR.glob("*.py"):
        assert path.name in named, f"README leaves out {path.name}"
    for name in [*FLOOR_OF, "docs", "tests"]:
        if (PROJECT_DIR / name).is_dir():
            assert f"{name}/" in named, f"README leaves out {name}/"


def test_readmes_flags_exist():
    from _00_main import make_settings

    known = set(make_parser("", make_settings())._option_string_actions)
    known |= {"--n", "--repetitions", "--recipes"}  # of the benchmarks
    known |= {"--layer", "--image"}  # of _05_model_plot.py
    known |= {"--model", "--format"}  # of the apps
    known |= {"--text"}  # of experiments.tiny_schiller
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", readme()):
        assert flag in known, f"README uses {flag}"


@pytest.mark.parametrize(
    "path", [PROJECT_DIR / "README.md", *sorted((PROJECT_DIR / "docs").glob("*.md"))],
    ids=lambda path: path.name,
)  # fmt: skip
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)?(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if target and not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_module_named_in_the_documents_exists():
    for path in [PROJECT_DIR / "README.md", *sorted((PROJECT_DIR / "docs").glob("*.md"))]:
        for name in re.findall(r"python -m ([\w.]+)", path.read_text(encoding="utf-8")):
            if name.split(".")[0] in FLOOR_OF and not name.endswith(".NAME"):
                assert name in MODULES, f"{path.name} names {name}"
