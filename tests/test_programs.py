import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PROGRAMS = (
    "benchmarks.seeds",
    "benchmarks.speedrun",
    "benchmarks.time_to_accuracy",
    "benchmarks.one_epoch_pytorch",
    "benchmarks.pictures",
    "benchmarks.profile_step",
    "benchmarks.study_scaling",
    "experiments.classic_networks",
    "experiments.fashion_assignment",
    "experiments.few_labels",
    "experiments.lecture_networks",
    "experiments.network_size",
    "experiments.numpy_networks",
    "experiments.one_factor",
    "experiments.other_handwriting",
    "experiments.sweep",
    "experiments.tiny_schiller",
)
# What needs no Keras at all, although its program has other parts that do.
WITHOUT_KERAS = ("experiments.numpy_networks.reading",)


@pytest.mark.parametrize("optimised", ["", "-OO"])  # -OO: without docstrings
def test_every_program_answers_help_at_once(optimised):
    modules = [
        f"{name}.__main__" if (PROJECT / name.replace(".", "/")).is_dir() else name
        for name in PROGRAMS
    ]
    program = (
        "import sys\n"
        "from importlib import import_module\n"
        "from contextlib import suppress\n"
        f"for name in {modules}:\n"
        "    with suppress(SystemExit):\n"
        "        import_module(name).main(['--help'])\n"
        f"for name in {WITHOUT_KERAS}:\n"
        "    import_module(name)\n"
        "assert not {'keras', 'tensorflow'} & sys.modules.keys(), 'they take seconds to load'\n"
    )
    options = [optimised] if optimised else []
    answer = subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=PROJECT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert answer.stderr == "" and answer.returncode == 0
    assert answer.stdout.count("usage:") == len(PROGRAMS)
    if not optimised:
        assert [name for name in PROGRAMS if f"python -m {name}" not in answer.stdout] == []


def test_error_of_a_user_is_one_line_and_exit_code_2():
    command = [sys.executable, "-m", "benchmarks.speedrun", "--epoch", "3"]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100)
    assert answer.returncode == 2 and answer.stdout == ""
    assert answer.stderr.startswith("error: unknown flag '--epoch'. Did you mean '--epochs'?")
    assert answer.stderr.count("\n") == 1
