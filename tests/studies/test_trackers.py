import builtins
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from common.user_error import UserError
from studies.trackers import LogToTensorBoard, LogToWandb

EPOCHS = ({"loss": 0.5, "val_accuracy": 0.25}, {"loss": 0.25, "val_accuracy": 0.75})


@pytest.fixture
def without(monkeypatch):
    """Return a function that lets the import of a package fail."""

    def hide(package):
        real = builtins.__import__

        def fake(name, *arguments, **options):
            if name.split(".")[0] == package:
                raise ModuleNotFoundError(f"No module named '{package}'", name=package)
            return real(name, *arguments, **options)

        monkeypatch.setattr(builtins, "__import__", fake)

    return hide


# --- TensorBoard ---


def test_tensorboard_reads_every_epoch(tmp_path):
    pytest.importorskip("tensorboard")
    log = LogToTensorBoard(tmp_path / "run")
    for epoch, logs in enumerate(EPOCHS):
        log.on_epoch_end(epoch, logs)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    read = {
        tag: [(event.step, float(event.tensor_proto.float_val[0])) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }
    assert read == {"loss": [(1, 0.5), (2, 0.25)], "val_accuracy": [(1, 0.25), (2, 0.75)]}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write .*run: Not a directory"):
        LogToTensorBoard(tmp_path / "file" / "run")


# --- Weights & Biases ---

OFFLINE_RUN = """
import sys
from pathlib import Path
from studies.trackers import LogToWandb
for number in (1, 2):
    log = LogToWandb("digits", {"batch_size": 32 * number}, Path(sys.argv[1]))
    for epoch in range(3):
        log.on_epoch_end(epoch, {"loss": 0.5, "val_accuracy": epoch / 4})
"""


def test_offline_runs_leave_folders_that_can_be_read(tmp_path):
    pytest.importorskip("wandb")
    project = Path(__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", OFFLINE_RUN, tmp_path], cwd=project, capture_output=True, text=True,
        env=os.environ | {"WANDB_MODE": "offline", "HOME": str(tmp_path), "WANDB_SILENT": "true"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    read = [records_of(next(folder.glob("run-*.wandb"))) for folder in folders]
    configs, histories = zip(*read, strict=True)
    assert sorted(config["batch_size"] for config in configs) == [32, 64]
    for history in histories:
        assert [(row["epoch"], row["val_accuracy"]) for row in history] == [
            (1, 0), (2, 0.25), (3, 0.5)
        ]  # fmt: skip


def records_of(path):
    """Return the config and the logged rows of a W&B file."""
    from wandb.proto import wandb_internal_pb2

    config, history = {}, []
    for data in chunks_of(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "run":
            config |= {one.key: json.loads(one.value_json) for one in record.run.config.update}
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            history.append(
                {one.key or one.nested_key[0]: json.loads(one.value_json) for one in items}
            )
    return config, history


def chunks_of(content):
    """Return the records of a log in LevelDB's format: blocks of 32 KiB after a head of 7 bytes."""
    position, parts, block, head = 7, b"", 32 * 1024, 7
    while position + head <= len(content):
        if block - position % block < head:
            position += block - position % block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        position += head
        parts += content[position : position + length]
        position += length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_a_missing_login_is_one_line(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "login", lambda prompt: prompt)  # it would ask for a key
    with pytest.raises(UserError, match=r"run 'wandb login' first. Or set WANDB_MODE=offline"):
        LogToWandb("digits", {}, tmp_path)


def test_an_unknown_mode_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(UserError, match="no W&B run can begin: .*WANDB_MODE=offline") as caught:
        LogToWandb("digits", {}, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("wandb", lambda folder: LogToWandb("digits", {}, folder)),
        ("tensorboard", LogToTensorBoard),
    ],
)
def test_a_missing_package_is_one_line(without, package, make, tmp_path):
    without(package)
    with pytest.raises(UserError, match=rf"'{package}' is not installed. Run 'pip install -r"):
        make(tmp_path)
