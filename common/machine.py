"""What the program runs on: devices, threads, versions, and the precision that suits them."""

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from common.streams import without_startup_chatter

CPU_INFO = Path("/proc/cpuinfo")
# Flags of x86 processors that multiply bfloat16 in hardware.
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
BFLOAT16_CAPABILITY = 8.0  # NVIDIA's Ampere and later
FASTER = 1.3  # how much faster bfloat16 must be measured to be chosen


class Gpu(NamedTuple):
    """An accelerator that the back end can use."""

    name: str
    capability: float | None  # NVIDIA's compute capability, such as 8.0; None for others


def describe_machine(precision: str) -> dict[str, str | int]:
    """Return what the training runs on: back end, device, CPU threads, precision, versions."""
    import keras
    import numpy as np

    name = keras.backend.backend()
    return {
        "backend": f"{name} {sys.modules[name].__version__}",
        "device": ", ".join(gpu.name for gpu in find_gpus()) or f"CPU ({_processor_name()})",
        "threads": _usable_cores(),
        "precision": precision,
        "keras": keras.version(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


# --- Precision ----------------------------------------------------------------------------------


def choose_precision(wanted: str) -> tuple[str, str]:
    """Return the precision to train in, and in a few words why.

    `auto` is mixed_bfloat16 where the machine computes it faster, else float32. NVIDIA GPUs do
    since the compute capability 8; a CPU's flags say so for TensorFlow, whose kernels use them.
    Where nothing tells, a convolution is timed in both.

    Args:
        wanted: auto, float32 or mixed_bfloat16.
    """
    import keras

    if wanted != "auto":
        return wanted, "as set"
    gpus, flags = find_gpus(), _processor_flags()
    capabilities = [gpu.capability for gpu in gpus if gpu.capability is not None]
    if capabilities:
        if min(capabilities) >= BFLOAT16_CAPABILITY:
            return "mixed_bfloat16", "this GPU has bfloat16 units"
        return "float32", "this GPU has no bfloat16 units"
    if keras.backend.backend() == "tensorflow" and flags and not gpus:
        found = sorted(BFLOAT16_FLAGS & flags)
        if found:
            return "mixed_bfloat16", f"this CPU has {found[0]}"
        return "float32", "this CPU has no bfloat16 units"
    ratio = _convolution_seconds("float32") / _convolution_seconds("bfloat16")
    is_faster = ratio >= FASTER
    return (
        "mixed_bfloat16" if is_faster else "float32",
        f"bfloat16 computes {ratio:.1f} times as fast here",
    )


def _processor_flags() -> set[str]:
    """Return the flags of an x86 processor under Linux; empty where the system does not tell."""
    for line in _read_cpu_info():
        if line.startswith("flags"):
            return set(line.split(":", 1)[1].split())
    return set()


def _convolution_seconds(dtype: str) -> float:
    """Return the shortest of some times of a convolution: a few milliseconds' work on a CPU."""
    import keras

    images = keras.ops.ones((32, 24, 24, 32), dtype)
    kernel = keras.ops.ones((3, 3, 32, 32), dtype)
    shortest = float("inf")
    for _ in range(8):
        started = time.perf_counter()
        maps = keras.ops.conv(images, kernel, padding="same", data_format="channels_last")
        float(maps[0, 0, 0, 0])  # waits for the result
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


# --- Graphics processors ------------------------------------------------------------------------


def idle_gpu_hint() -> str | None:
    """Return why an NVIDIA GPU of this machine stays unused, and what to install; None if fine."""
    import keras

    if find_gpus() or gpus_are_hidden() or not (gpus := _nvidia_gpus()):
        return None
    if platform.system() == "Windows":
        remedy = "TensorFlow uses GPUs on Windows only inside WSL 2: install and run it there"
    else:
        remedy = {
            "tensorflow": "run: pip install 'tensorflow[and-cuda]'",
            "jax": "run: pip install 'jax[cuda13]'",
            "torch": "install a CUDA build of PyTorch",
        }[keras.backend.backend()]
    return f"{gpus} is there, but {keras.backend.backend()} lacks its CUDA libraries; {remedy}"


def gpus_are_hidden() -> bool:
    """Return whether the user has hidden the GPUs from the program by a variable."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip().lower() in ("", "-1", "none", "nodevfiles"):
        return True
    return any(
        os.environ.get(name, "").strip().lower() == "cpu"
        for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "KERAS_TORCH_DEVICE")
    )


def find_gpus() -> list[Gpu]:
    """Return the accelerators that the back end can use."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with without_startup_chatter():
                devices = tf.config.list_physical_devices("GPU")
            details = [tf.config.experimental.get_device_details(device) for device in devices]
            return [
                Gpu(one.get("device_name", "GPU"), _capability(one.get("compute_capability")))
                for one in details
            ]
        case "jax":
            import jax

            return [
                Gpu(one.device_kind, _capability(getattr(one, "compute_capability", None)))
                for one in jax.devices()
                if one.platform != "cpu"
            ]
        case _:
            import torch

            return [
                Gpu(torch.cuda.get_device_name(i), _capability(torch.cuda.get_device_capability(i)))
                for i in range(torch.cuda.device_count())
            ]


def _capability(version: tuple[int, int] | str | None) -> float | None:
    """Return a compute capability as a number: (9, 0), or "9.0", as 9.0."""
    if version is None:
        return None
    return float(version if isinstance(version, str) else f"{version[0]}.{version[1]}")


def _nvidia_gpus() -> str:
    """Return the names of NVIDIA GPUs that the driver reports, or an empty string."""
    if shutil.which("nvidia-smi") is None:
        return ""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ", ".join(answer.stdout.split("\n")).strip(", ") if answer.returncode == 0 else ""


# --- The processor ------------------------------------------------------------------------------


def _read_cpu_info() -> list[str]:
    """Return the lines of Linux' /proc/cpuinfo; none on other systems."""
    try:
        return CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _processor_name() -> str:
    """Return the processor's model name where the system tells it, else its architecture."""
    for line in _read_cpu_info():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    """Return how many cores this process may use (a container may allow fewer than exist)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
