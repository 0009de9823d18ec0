import shlex
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from _00_main import parse_command_line
from architectures import build_architecture
from common.command_line import PROJECT_DIR
from common.settings import public_settings
from common.user_error import UserError
from experiments.sweep import __main__ as program
from experiments.sweep.space import SPACE, base_settings, settings_of
from studies import forecast, many_runs
from studies.search import Range

pytest.importorskip("optuna")
VALUES = {
    "batch_size": 64, "learning_rate": 0.002, "filters1": 4, "filters2": 14, "neurons3": 12
}  # fmt: skip


def sweep_yaml():
    return yaml.safe_load((PROJECT_DIR / "experiments" / "sweep.yaml").read_text())


def test_the_values_become_the_network(tmp_path):
    settings = settings_of(base_settings({}), VALUES)
    network = build_architecture(settings.architecture)
    first, second = [layer for layer in network.layers if hasattr(layer, "kernel_size")]
    assert (first.filters, second.filters) == (4, 14)
    assert [layer.units for layer in network.layers if hasattr(layer, "units")] == [12, 10]
    assert (settings.batch_size, settings.learning_rate, settings.epochs) == (64, 0.002, 10)


def test_weights_and_biases_searches_the_same_space():
    parameters = sweep_yaml()["parameters"]
    expected = {
        name: list(range(values.low, values.high + 1, values.step))
        if isinstance(values, Range)
        else list(values)
        for name, values in SPACE.items()
    }
    assert {name: one["values"] for name, one in parameters.items()} == expected
    assert sweep_yaml()["metric"] == {"name": "val_accuracy", "goal": "maximize"}


@pytest.fixture
def agent_run(monkeypatch):
    """Replace the training of an agent's trial; return what it got."""
    got = []
    monkeypatch.setattr(program, "run", lambda settings, callbacks: got.append(settings))
    monkeypatch.setattr("studies.trackers.LogToWandb", lambda *arguments: got.append(arguments))
    return got


def test_an_agents_command_makes_one_trial(agent_run):
    """`wandb agent` puts --name=value in place of ${args}."""
    *_, module, name, agent, _ = sweep_yaml()["command"]
    assert (module, name, agent) == ("-m", "experiments.sweep", "--agent")
    given = ["--batch_size=64", "--filters1=4", "--filters2=14.0", "--learning_rate=0.002"]
    program.main([agent, *given, "--neurons3=12"])
    (project, values, _), settings = agent_run
    assert (project, values) == ("sweep", VALUES)
    assert settings == settings_of(base_settings({}), VALUES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--agent"], "--agent needs --batch_size"),
        (["--agent", "--dry-run"], "--agent makes a trial: leave --dry-run out"),
        (["--agent", *(f"--{name}=x" for name in SPACE)], "--batch_size must be a number, got 'x'"),
        (["--trials=0"], "--trials must be 1 or more, got 0"),
        (["--batch-size=64"], "leave --batch-size out: the sweep chooses it"),
        (["--networks=2"], "leave --networks out"),
        (["--write-docs", "--trials=2", "--dataset=digits"], "leave out --dataset, --trials"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message, agent_run):
    with pytest.raises(UserError) as caught:
        program.main(arguments)
    assert message in str(caught.value) and not agent_run


def test_a_dry_run_tells_what_the_costliest_trials_would_take(tmp_path, capsys, monkeypatch):
    timed = []
    monkeypatch.setattr(forecast, "step_seconds", lambda *given: timed.append(given[1]) or 0.064)
    flags = ["--dataset=digits", "--epochs=2", "--trials=3", "--precision=float32", "--dry-run"]
    program.main([*flags, f"--folder={tmp_path}"])
    (settings,) = timed
    assert settings.architecture == "sweep_baseline(filters=(34, 34), units=252)"
    assert settings.batch_size == 64
    printed = capsys.readouterr().out
    # 1,437 images but for those of validation, two epochs, a millisecond each.
    assert "3 of 3 runs to do: at most 8 s of training" in printed
    assert not list((tmp_path / "runs").glob("*"))  # neither a run nor a study


@pytest.fixture
def one_training(monkeypatch):
    """Let the first trial train, and each of the others be better than the one before."""
    train, metrics = many_runs.run, []

    def train_once(settings, **options):
        if not metrics:
            metrics.append(train(settings, **options).metrics)
        metrics.append({**metrics[-1], "val_accuracy": metrics[-1]["val_accuracy"] + 0.01})
        return SimpleNamespace(metrics=metrics[-2])

    monkeypatch.setattr(many_runs, "run", train_once)


def test_the_sweep_ends_with_the_best_trial_a_table_and_a_figure(tmp_path, capsys, one_training):
    flags = ["--dataset=digits", "--epochs=1", "--trials=4", "--precision=float32"]
    flags += [f"--folder={tmp_path}", f"--output-dir={tmp_path}"]
    program.main(flags)
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert len(table) == 4 and set(SPACE) <= set(table)
    best = table.iloc[0]
    assert best["validation accuracy in %"] == table["validation accuracy in %"].max()
    assert table["validation accuracy in %"].nunique() == 4
    command = next(line for line in printed.splitlines() if "python _00_main.py" in line)
    settings, _ = parse_command_line(shlex.split(command)[2:])
    changes = {"dataset": "digits", "epochs": 1, "precision": "float32"}
    expected = settings_of(base_settings(changes), {name: best[name].item() for name in SPACE})
    assert public_settings(vars(settings)) == public_settings(vars(expected))
    assert "Importance of each parameter" in printed and (tmp_path / "sweep.png").exists()
    program.main(flags)  # nothing is made again
    assert "===" not in capsys.readouterr().out  # as each trial begins
