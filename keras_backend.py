"""What the program runs on: back end, device, random seeds, precision and input pipeline."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from user_error import UserError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# TensorFlow's C++ side prints these on every machine without a GPU, before any setting can hush
# it. They alarm newcomers and mean nothing; every other line is passed on.
STARTUP_CHATTER = (
    "All log messages before absl::InitializeLog() is called",
    "oneDNN custom operations are on",
    "Could not find cuda drivers on your machine",
    "failed call to cuInit",
)


def prepare(seed: int, precision: str) -> dict[str, str | int]:
    """Load Keras, set seeds and precision, print and return what the training runs on.

    Raises:
        UserError: Keras or the chosen back end is not installed or cannot train.
    """
    load_keras()
    import keras

    seed_everything(seed)
    keras.config.set_dtype_policy(precision)
    machine = describe_machine(precision)
    print(
        f"Machine:  {machine['device']}, {machine['threads']} threads; Keras {machine['keras']} on "
        f"{machine['backend']}, {precision}"
    )
    if hint := idle_gpu_hint():
        print(f"          {hint}")
    return machine


def load_keras() -> None:
    """Import Keras and its back end, which takes seconds.

    Raises:
        UserError: Keras or the chosen back end is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow: warnings and errors only
    try:
        with _without_startup_chatter():
            import keras
    except ModuleNotFoundError as error:
        raise UserError(
            f"'{error.name}' is not installed. Run 'pip install -r requirements.txt', or choose "
            "an installed back end, for example KERAS_BACKEND=jax."
        ) from error
    except ValueError as error:  # Keras' own word for an unknown KERAS_BACKEND
        raise UserError(f"Keras cannot start: {error}") from error
    if keras.backend.backend() not in ("tensorflow", "jax", "torch"):
        raise UserError(
            f"the back end '{keras.backend.backend()}' cannot train. Set KERAS_BACKEND to "
            "tensorflow, jax or torch."
        )


def seed_everything(seed: int) -> None:
    """Make equal settings give equal results on one machine with one set of versions."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def input_pipeline(batches: "keras.utils.PyDataset") -> "keras.utils.PyDataset | tf.data.Dataset":
    """Return what `fit` and `predict` shall read the batches from, on this back end.

    Under TensorFlow, Keras reads through tf.data with autotuning on: a thread that wakes ever less
    often. The end of an epoch cancels it, but the thread can miss that (seen in TensorFlow 2.21),
    and then the epoch ends when it next wakes: 46 s of training took 82 s. Reading from arrays
    leaves nothing to tune, so this pipeline is the same without autotuning.

    Args:
        batches: each a tuple of arrays (n, ...); n may differ, the other sizes and dtypes may not.
            They are read anew, in order, whenever the result is iterated over.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batches[0])
    dataset = tf.data.Dataset.from_generator(
        lambda: (batches[index] for index in range(len(batches))), output_signature=signature
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    known_length = tf.data.experimental.assert_cardinality(len(batches))
    return dataset.apply(known_length).prefetch(2).with_options(options)


def describe_machine(precision: str) -> dict[str, str | int]:
    """Return what the training runs on: back end, device, CPU threads, precision, versions."""
    import keras
    import numpy as np

    name = keras.backend.backend()
    return {
        "backend": f"{name} {version(name)}",
        "device": ", ".join(_gpu_names()) or f"CPU ({_processor_name()})",
        "threads": _usable_cores(),
        "precision": precision,
        "keras": keras.version(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def idle_gpu_hint() -> str | None:
    """Return why an NVIDIA GPU of this machine stays unused, and what to install; None if fine."""
    import keras

    if _gpu_names() or not (gpus := _nvidia_gpus()):
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


def _gpu_names() -> list[str]:
    """Return the accelerators that the back end can use."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with _without_startup_chatter():
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
    answer = subprocess.run(query, capture_output=True, text=True)
    return ", ".join(answer.stdout.split("\n")).strip(", ") if answer.returncode == 0 else ""


def _processor_name() -> str:
    """Return the processor's model name where the system tells it, else its architecture."""
    cpu_info = Path("/proc/cpuinfo")
    for line in cpu_info.read_text().splitlines() if cpu_info.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    """Return how many cores this process may use (a container may allow fewer than exist)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _without_startup_chatter() -> Iterator[None]:
    """Hold stderr back inside the block, then pass on all but STARTUP_CHATTER."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not any(chatter in line for chatter in STARTUP_CHATTER):
                    print(line, file=sys.stderr)
