"""What the program runs on: devices, threads, versions, and the precision that suits them."""

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common.streams import without_startup_chatter

CPU_INFO = Path("/proc/cpuinfo")
# Flags of x86 processors that multiply bfloat16 in hardware.
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
BFLOAT16_CAPABILITY = 8.0  # NVIDIA's Ampere and later
FASTER = 1.3  # how much faster bfloat16 must be measured to be chosen


def describe_machine(precision: str) -> dict[str, str | int]:
    """Return what the training runs on: back end, device, CPU threads, precision, versions."""
    import keras
    import numpy as np

    name = keras.backend.backend()
    return {
        "backend": f"{name} {sys.modules[name].__version__}",
        "device": ", ".join(gpu_names()) or f"CPU ({_processor_name()})",
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
    if capabilities := _gpu_capabilities():
        if min(capabilities) >= BFLOAT16_CAPABILITY:
            return "mixed_bfloat16", "this GPU has bfloat16 units"
        return "float32", "this GPU has no bfloat16 units"
    flags = _processor_flags()
    if keras.backend.backend() == "tensorflow" and flags and not gpu_names():
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


def _gpu_capabilities() -> list[float]:
    """Return the compute capability of each NVIDIA GPU in use, such as 8.0; empty for others."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            gpus = tf.config.list_physical_devices("GPU")
            details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
            versions = [detail.get("compute_capability") for detail in details]
        case "jax":
            import jax

            versions = [getattr(d, "compute_capability", None) for d in jax.devices()]
        case _:
            import torch

            count = torch.cuda.device_count()
            versions = [torch.cuda.get_device_capability(i) for i in range(count)]
    # (9, 0) or "9.0"
    return [float(v if isinstance(v, str) else f"{v[0]}.{v[1]}") for v in versions if v]


def idle_gpu_hint() -> str | None:
    """Return why an NVIDIA GPU of this machine stays unused, and what to install; None if fine."""
    import keras

    if gpu_names() or gpus_are_hidden() or not (gpus := _nvidia_gpus()):
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


def gpu_names() -> list[str]:
    """Return the accelerators that the back end can use."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with without_startup_chatter():
                devices = tf.config.list_physical_devices("GPU")
            details = [tf.config.experimental.get_device_details(gpu) for gpu in devices]
            return [detail.get("device_name", "GPU") for detail in details]
        case "jax":
            import jax

            return [d.device_kind for d in jax.devices() if d.platform != "cpu"]
        case _:
            import torch

            return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


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
