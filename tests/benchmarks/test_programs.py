import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
PROGRAMS = (
    "seeds",
    "speedrun",
    "time_to_accuracy",
    "one_epoch_pytorch",
    "pictures",
    "profile_step",
)


@pytest.mark.parametrize("optimised", ["", "-OO"])  # -OO: without docstrings
def test_every_program_answers_help_at_once(optimised):
    program = (
        "import sys\n"
        "from importlib import import_module\n"
        "from contextlib import suppress\n"
        f"for name in {PROGRAMS}:\n"
        "    with suppress(SystemExit):\n"
        "        import_module(f'benchmarks.{name}').main(['--help'])\n"
        "assert 'keras' not in sys.modules, 'takes seconds to load'\n"
    )
    options = [optimised] if optimised else []
    answer = subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=PROJECT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert answer.stderr == "" and answer.returncode == 0
    assert answer.stdout.count("usage:") == len(PROGRAMS)
    assert answer.stdout.count("python -m benchmarks.") >= (0 if optimised else len(PROGRAMS))


def test_error_of_a_user_is_one_line_and_exit_code_2():
    command = [sys.executable, "-m", "benchmarks.speedrun", "--epoch", "3"]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100)
    assert answer.returncode == 2 and answer.stdout == ""
    assert answer.stderr.startswith("error: unknown flag '--epoch'. Did you mean '--epochs'?")
    assert answer.stderr.count("\n") == 1
