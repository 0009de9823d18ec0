import sys

import pandas as pd
import pytest

from benchmarks import one_epoch_pytorch
from benchmarks.one_epoch_pytorch import OURS, PUBLISHED, ratio_rows, train_published
from common.user_error import UserError
from studies.timed_recipes import train_with_curve
from tests.benchmarks.conftest import timed_result


@pytest.fixture
def torch_is_there(monkeypatch):
    """As if PyTorch were installed: these tests train nothing."""
    monkeypatch.setattr(one_epoch_pytorch, "find_spec", lambda name: name)


def test_ratios_are_those_within_the_turns():
    ours = [timed_result([0.991], seconds) for seconds in (8, 10, 10)]
    published = [timed_result([0.990], seconds) for seconds in (12, 11, 30)]
    training, process = ratio_rows(ours, published)
    assert training == {
        "clock": "training",
        "PyTorch's seconds / ours, median": 1.5,
        "PyTorch's seconds / ours, min": 1.1,
        "PyTorch's seconds / ours, max": 3.0,
    }
    assert process["clock"] == "process"
    assert process["PyTorch's seconds / ours, median"] == pytest.approx(17 / 13)


def test_recipes_take_turns_and_finished_trainings_are_kept(
    tmp_path, timed, torch_is_there, capsys
):
    timed.answers["pytorch-0"] = timed_result([0.9899], 30)
    arguments = ["--n", "2", "--folder", str(tmp_path), "--batch-size=64"]
    one_epoch_pytorch.main(arguments)
    assert [(label, function) for label, function, _ in timed.calls] == [
        (f"{name}-{seed}", function)
        for seed in (0, 1)
        for name, function in ((OURS, train_with_curve), ("pytorch", train_published))
    ]
    assert [argument for *_, argument in timed.calls[1::2]] == [0, 1]
    assert {settings.batch_size for *_, settings in timed.calls[::2]} == {64}
    one_epoch_pytorch.main(arguments)
    assert len(timed.calls) == 4
    printed = capsys.readouterr().out
    for name in ("table", "ratios"):
        assert printed.count((tmp_path / f"{name}.md").read_text()) == 2
    table = pd.read_csv(tmp_path / "table.csv").set_index("recipe")
    assert list(table.index) == [OURS, PUBLISHED]
    assert list(table["seeds at the target"]) == [2, 1] and list(table["target in %"]) == [99, 99]


def test_without_pytorch_one_line_says_what_to_install(tmp_path, timed, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="pip install torch"):
        one_epoch_pytorch.main(["--folder", str(tmp_path)])
    assert not timed.calls


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


def test_published_training_is_timed_from_the_start_of_the_process(digits, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(one_epoch_pytorch, "load_data", lambda name: digits)
    result = train_published(0, process_started=0.0)
    (trained,), (process,) = result["train_seconds"], result["process_seconds"]
    assert 0 < trained < process and 0 <= result["test_accuracy"][0] <= 1
