import subprocess

import keras
import pytest

from common import machine
from common.machine import Gpu


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_machine_is_described():
    described = machine.describe_machine("float32")
    assert described["backend"].split()[0] in ("tensorflow", "jax", "torch")
    assert described["threads"] >= 1 and described["device"]
    assert described["precision"] == "float32"


# --- Precision ---


@pytest.fixture
def cpu_with(monkeypatch, tmp_path):
    """Return a function that gives this machine other processor flags, and no GPU."""

    def replace(flags, backend="tensorflow"):
        info = tmp_path / "cpuinfo"
        info.write_text(f"processor\t: 0\nmodel name\t: X\nflags\t\t: {flags}\n")
        monkeypatch.setattr(machine, "CPU_INFO", info)
        monkeypatch.setattr(machine, "find_gpus", list)
        monkeypatch.setattr(keras.backend, "backend", lambda: backend)

    return replace


@pytest.mark.parametrize(
    ("flags", "precision", "reason"),
    [
        ("fpu avx2 amx_tile amx_bf16 amx_int8", "mixed_bfloat16", "this CPU has amx_bf16"),
        ("avx512f avx512_bf16", "mixed_bfloat16", "this CPU has avx512_bf16"),
        ("fpu avx2 avx512f avx512_vnni", "float32", "this CPU has no bfloat16 units"),
        ("amx_tile amx_int8", "float32", "this CPU has no bfloat16 units"),
    ],
)
def test_auto_follows_the_processors_flags(cpu_with, flags, precision, reason):
    cpu_with(flags)
    assert machine.choose_precision("auto") == (precision, reason)


def test_what_is_set_is_not_overruled(cpu_with):
    cpu_with("amx_bf16")
    assert machine.choose_precision("float32") == ("float32", "as set")
    cpu_with("fpu")
    assert machine.choose_precision("mixed_bfloat16") == ("mixed_bfloat16", "as set")


@pytest.mark.parametrize(
    ("seconds", "precision"), [({"float32": 3.0}, "mixed_bfloat16"), ({"float32": 1.1}, "float32")]
)
def test_where_no_flags_tell_a_convolution_is_timed(monkeypatch, cpu_with, seconds, precision):
    times = {"bfloat16": 1.0} | seconds
    monkeypatch.setattr(machine, "_convolution_seconds", times.__getitem__)
    for flags, backend in (("", "tensorflow"), ("amx_bf16", "jax")):  # an Arm CPU; another back end
        cpu_with(flags, backend)
        chosen, reason = machine.choose_precision("auto")
        assert chosen == precision and reason.startswith("bfloat16 computes")
    cpu_with("fpu")
    monkeypatch.setattr(
        machine, "find_gpus", lambda: [Gpu("Apple M4", None)]
    )  # the flags are the CPU's
    assert machine.choose_precision("auto")[0] == precision


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [([9.0], "mixed_bfloat16"), ([8.0, 9.0], "mixed_bfloat16"), ([7.5, 9.0], "float32")],
)
def test_an_nvidia_gpu_tells_by_its_capability(monkeypatch, capabilities, precision):
    monkeypatch.setattr(machine, "find_gpus", lambda: [Gpu("NVIDIA", c) for c in capabilities])
    monkeypatch.setattr(machine, "_convolution_seconds", None)  # nothing is timed
    assert machine.choose_precision("auto")[0] == precision


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's devices")
def test_gpus_are_read_from_tensorflows_devices(monkeypatch):
    import tensorflow as tf

    details = {"a": {"compute_capability": (9, 0), "device_name": "H200"}, "b": {}}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: list(details))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)
    assert machine.find_gpus() == [Gpu("H200", 9.0), Gpu("GPU", None)]
    assert machine._capability("7.5") == 7.5  # as JAX tells it


def test_a_convolution_can_be_timed_in_both():
    assert 0 < machine._convolution_seconds("float32") < 10
    assert 0 < machine._convolution_seconds("bfloat16") < 10


# --- Graphics processors ---


@pytest.mark.parametrize(
    ("system", "backend", "remedy"),
    [
        ("Linux", "tensorflow", "run: pip install 'tensorflow[and-cuda]'"),
        ("Linux", "jax", "run: pip install 'jax[cuda13]'"),
        ("Linux", "torch", "install a CUDA build of PyTorch"),
        ("Windows", "tensorflow", "only inside WSL 2: install and run it there"),
    ],
)
def test_gpu_that_cannot_be_used_is_pointed_out(monkeypatch, system, backend, remedy):
    monkeypatch.setattr(machine, "find_gpus", list)
    monkeypatch.setattr(machine, "_nvidia_gpus", lambda: "NVIDIA H200")
    monkeypatch.setattr(machine.platform, "system", lambda: system)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    hint = machine.idle_gpu_hint()
    assert hint.startswith(f"NVIDIA H200 is there, but {backend} lacks its CUDA libraries; ")
    assert hint.endswith(remedy)


def test_no_hint_without_a_gpu_or_with_one_in_use(monkeypatch):
    monkeypatch.setattr(machine, "find_gpus", list)
    monkeypatch.setattr(machine, "_nvidia_gpus", lambda: "")
    assert machine.idle_gpu_hint() is None
    monkeypatch.setattr(machine, "find_gpus", lambda: [Gpu("NVIDIA H200", 9.0)])
    monkeypatch.setattr(machine, "_nvidia_gpus", lambda: "NVIDIA H200")
    assert machine.idle_gpu_hint() is None


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("CUDA_VISIBLE_DEVICES", "-1", True),
        ("CUDA_VISIBLE_DEVICES", "", True),
        ("CUDA_VISIBLE_DEVICES", "0", False),
        ("JAX_PLATFORMS", "cpu", True),
        ("JAX_PLATFORM_NAME", "cpu", True),
        ("JAX_PLATFORMS", "cuda", False),
    ],
)
def test_no_hint_where_the_user_hid_the_gpu(monkeypatch, name, value, hidden):
    monkeypatch.setattr(machine, "find_gpus", list)
    monkeypatch.setattr(machine, "_nvidia_gpus", lambda: "NVIDIA H200")
    monkeypatch.setenv(name, value)
    assert (machine.idle_gpu_hint() is None) is hidden


def test_gpus_are_asked_of_the_driver(monkeypatch):
    def answer(command, **_options):
        return subprocess.CompletedProcess(command, 0, stdout="NVIDIA H200\nNVIDIA T4\n")

    def hangs(command, **_options):
        raise subprocess.TimeoutExpired(command, 10)

    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert machine._nvidia_gpus() == ""
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(machine.subprocess, "run", answer)
    assert machine._nvidia_gpus() == "NVIDIA H200, NVIDIA T4"
    monkeypatch.setattr(machine.subprocess, "run", hangs)
    assert machine._nvidia_gpus() == ""


def test_processor_of_a_system_that_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "arm64")
    assert machine._processor_name() == "arm64" and machine._processor_flags() == set()
