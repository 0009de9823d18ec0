import json
import sys
from dataclasses import asdict

import pytest

from benchmarks import one_epoch_pytorch, time_to_accuracy
from user_error import UserError


def result(accuracy, seconds):
    return {
        "test_accuracy": [accuracy],
        "process_seconds": [seconds + 5],
        "train_seconds": [seconds],
    }


def test_table_gives_the_median_ratio_within_the_turns():
    by_recipe = {
        one_epoch_pytorch.OURS: [result(0.991, 8), result(0.989, 10), result(0.993, 10)],
        one_epoch_pytorch.PUBLISHED: [result(0.990, 12), result(0.989, 11), result(0.989, 30)],
    }
    *_, ours, theirs, _, ratio = one_epoch_pytorch.make_table(by_recipe).splitlines()
    cells = [
        "speedrun_990",
        "3",
        "10.0 (8.0 to 10.0)",
        "15.0 (13.0 to 15.0)",
        "99.100 ± 0.200",
        "2 of 3",
    ]
    assert ours == f"| {' | '.join(cells)} |"
    assert theirs.endswith(
        "| 12.0 (11.0 to 30.0) | 17.0 (16.0 to 35.0) | 98.933 ± 0.058 | 1 of 3 |"
    )
    assert "takes 1.50 times ours" in ratio


def test_recipes_take_turns_and_finished_trainings_are_kept(tmp_path, monkeypatch, capsys):
    trained = []

    def train_ours(recipe, seed, output, flags):
        trained.append((recipe, seed))
        settings = asdict(time_to_accuracy.worker_settings(recipe, seed, output, flags))
        output.write_text(json.dumps(result(0.99, 9) | {"settings": settings}))

    def train_pytorch(command, cwd):
        trained.append(("pytorch", int(command[command.index("--worker") + 1])))
        output = command[command.index("--folder") + 1]
        with open(output, "w") as file:
            json.dump(result(0.99, 9), file)
        return type("Answer", (), {"returncode": 0})

    monkeypatch.setattr(time_to_accuracy, "train_in_own_process", train_ours)
    monkeypatch.setattr(time_to_accuracy.subprocess, "run", train_pytorch)
    one_epoch_pytorch.main(["--n", "2", "--folder", str(tmp_path)])
    assert trained == [("speedrun_990", 0), ("pytorch", 0), ("speedrun_990", 1), ("pytorch", 1)]
    one_epoch_pytorch.main(["--n", "2", "--folder", str(tmp_path)])
    assert len(trained) == 4 and "| 2 of 2 |" in capsys.readouterr().out


def test_without_pytorch_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="pip install torch"):
        one_epoch_pytorch.worker(0, 0.0, tmp_path / "result.json")


def test_published_network_trains():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = one_epoch_pytorch.build_network()
    assert sum(weights.numel() for weights in model.parameters()) == 215_194
    labels = torch.arange(10).repeat(300)
    images = torch.zeros(3000, 1, 28, 28)
    images[torch.arange(3000), 0, 2 * labels + 4, 10:18] = 3.0  # a bar whose height is the label
    one_epoch_pytorch.train_one_epoch(model, images, labels)
    assert (model(images).argmax(dim=1) == labels).float().mean() > 0.9
