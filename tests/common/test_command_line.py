import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from _00_main import make_settings
from common.command_line import (
    Parser,
    exit_if_missing,
    is_package,
    make_parser,
    parse_flags,
    run_program,
    with_hyphens,
)
from common.settings import SETTING_NAMES
from common.user_error import UserError


@pytest.fixture(scope="module")
def parser():
    return make_parser("What it does.", make_settings())


# --- Flags ---


@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        ([], {}),
        (["--val-size", "0.2"], {"val_size": 0.2}),
        (["--val_size=0.2"], {"val_size": 0.2}),
        (["--batch_size", "64", "--learning-rate=1e-4"], {"batch_size": 64, "learning_rate": 1e-4}),
        (["--no-early-stopping-enabled"], {"early_stopping_enabled": False}),
        (["--early_stopping_enabled=False"], {"early_stopping_enabled": False}),
        (["--early-stopping-enabled", "false"], {"early_stopping_enabled": False}),
        (["--average-shifts=TRUE"], {"average_shifts": True}),
        (["--show"], {"show": True}),
        (["--no_show"], {"show": False}),
        (["--data-dir", "/data_with_underscores"], {"data_dir": "/data_with_underscores"}),
        (["--epochs", "2.5"], {"epochs": "2.5"}),  # text: Settings refuses it, with its rule
    ],
)
def test_flags(parser, flags, changes):
    given = parse_flags(parser, flags)
    assert given.changes == changes and given.recipe is None and given.resume is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epoch", "3"], "unknown flag '--epoch'. Did you mean '--epochs'? --help lists all."),
        (["--Epochs=3"], "unknown flag '--Epochs'. Did you mean '--epochs'?"),
        (["--epochs"], "argument --epochs: expected one argument. See --help."),
        (["results"], "unknown flag 'results'."),
        (["--resume="], "argument --resume: expected a path, got ''. See --help."),
    ],
)
def test_flags_that_do_not_exist(parser, flags, message):
    with pytest.raises(UserError) as caught:
        parse_flags(parser, flags)
    assert str(caught.value).startswith(message)


def test_every_parser_proposes_flags_takes_underscores_and_refuses_empty_paths():
    parser = Parser("What it does.")
    parser.add_argument("--output-dir", type=Path)
    assert parser.parse_args(["--output_dir", "a_b"]).output_dir == Path("a_b")
    for parse in (parser.parse_args, parser.parse_intermixed_args):
        with pytest.raises(UserError, match="unknown flag '--outptu-dir'. Did you mean '--outp"):
            parse(["--outptu_dir=x"])
        for empty in ("", "  "):
            with pytest.raises(UserError, match="argument --output-dir: expected a path, got '"):
                parse(["--output-dir", empty])


def test_only_flags_are_rewritten():
    assert with_hyphens("--a_b=c_d") == "--a-b=c_d" and with_hyphens("a_b") == "a_b"


def test_help_fits_a_screen_and_names_every_setting_in_its_group(parser):
    text = parser.format_help()
    lines = text.splitlines()
    assert len(lines) <= 50 and max(len(line) for line in lines) <= 90
    assert lines[0].startswith("usage: python _00_main.py [--recipe NAME] [--SETTING VALUE ...]")
    for name in SETTING_NAMES:
        assert f"--{name.replace('_', '-')} " in text
    titles = ("what to change first:", "the recipe:", "where and how:")
    first, recipe, place = (text.index(title) for title in titles)
    assert first < text.index("--epochs") < recipe < text.index("--zoom") < place
    assert place < text.index("--output-dir")
    assert "(0.003)" in text and "(true)" in text and "None" not in text


# --- Running a program ---


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, 0, ""),
        (UserError("what\nto do"), 2, "error: what to do\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            ModuleNotFoundError("No module", name="seaborn.utils"),
            2,
            "error: 'seaborn.utils' is not installed. Run 'pip install -r requirements.txt', in "
            "the virtual environment if you made one.\n",
        ),
    ],
)
def test_exit_codes(capsys, error, code, message):
    def program(arguments):
        assert arguments == ["--flag"]
        if error is not None:
            raise error

    assert run_program(program, ["--flag"]) == code
    assert capsys.readouterr().err == message


def test_faults_of_the_program_keep_their_traceback():
    def program(_):
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError):
        run_program(program, [])
    with pytest.raises(ModuleNotFoundError):
        run_program(lambda _: __import__("common.nonsense"), [])


def test_packages_and_modules_of_the_project_are_told_apart():
    assert is_package("numpy") and is_package("seaborn.utils")
    assert not is_package("common.nonsense") and not is_package("_01_data_loader")
    assert not is_package(None) and not is_package("")


def test_a_missing_package_ends_the_start_with_one_line(capsys):
    with pytest.raises(SystemExit) as caught, exit_if_missing():
        raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: 'pandas' is not installed. Run 'pip install")
    with pytest.raises(ModuleNotFoundError), exit_if_missing():
        raise ModuleNotFoundError("No module", name="common.nonsense")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_system_that_ends_the_program_is_like_ctrl_c_and_143(name):
    if not hasattr(signal, name):
        pytest.skip("this system has no such signal")
    seen = []

    def program(_):
        try:
            os.kill(os.getpid(), getattr(signal, name))
            threading.Event().wait(5)
        except KeyboardInterrupt:
            seen.append("the hint is printed here")
            raise

    before = signal.getsignal(getattr(signal, name))
    assert run_program(program, []) == 143 and seen
    assert signal.getsignal(getattr(signal, name)) == before


def test_signals_that_are_ignored_stay_ignored(monkeypatch):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert run_program(lambda _: os.kill(os.getpid(), signal.SIGTERM), []) == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_program_runs_in_a_thread_too():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run_program(lambda _: None, [])))
    thread.start()
    thread.join()
    assert codes == [0] and sys.stdout is not None


def test_a_parser_that_passes_flags_on_takes_underscores_too():
    parser = Parser(None)
    parser.add_argument("--per-class", type=int)
    given, others = parser.parse_known_args(["--per_class=5", "--batch_size=3", "x_y"])
    assert given.per_class == 5 and others == ["--batch-size=3", "x_y"]
