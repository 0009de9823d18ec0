"""Starting Keras: quietly, reproducibly, and the same whatever configuration the user has.

`keras.json`, KERAS_* variables and MPLBACKEND are made for a user's other programs. What this
program relies on it states itself, so that equal settings give equal results for everybody.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.machine import choose_precision, describe_machine, idle_gpu_hint
from common.streams import without_startup_chatter
from common.user_error import UserError

BACK_ENDS = ("tensorflow", "jax", "torch")
EPSILON = 1e-7
# With these, Keras ends every training early, without a word in what it returns.
SHORTENING_VARIABLES = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")


def prepare(seed: int, precision: str) -> dict[str, str | int]:
    """Load Keras, set seeds and precision, print and return what the training runs on.

    Args:
        seed: of everything that is random.
        precision: auto, float32 or mixed_bfloat16; the returned "precision" is never auto.

    Raises:
        UserError: Keras or the chosen back end is not installed or cannot train.
    """
    load_keras()
    import keras

    seed_everything(seed)
    chosen, reason = choose_precision(precision)
    keras.config.set_dtype_policy(chosen)
    machine = describe_machine(chosen)
    print(
        f"Machine:  {machine['device']}, {machine['threads']} threads; Keras {machine['keras']} on "
        f"{machine['backend']}"
    )
    print(f"Numbers:  {chosen} ({reason})")
    if hint := idle_gpu_hint():
        print(f"          {hint}")
    return machine


def load_keras() -> None:
    """Import Keras and its back end, which takes seconds, and set its global configuration.

    Raises:
        UserError: Keras or the chosen back end is not installed, or a variable would change what
            is trained.
    """
    for name in SHORTENING_VARIABLES:
        if name in os.environ:
            raise UserError(
                f"the environment variable {name} would end every training early. Unset it; "
                "--epochs 1 makes a short run."
            )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow: warnings and errors only
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # not what keras.json says
    try:
        with without_startup_chatter(), _without_users_configuration():
            _import_matplotlib()
            import keras
    except ModuleNotFoundError as error:
        raise UserError(
            f"'{error.name}' is not installed. Run 'pip install -r requirements.txt', or choose "
            "an installed back end, for example KERAS_BACKEND=jax."
        ) from error
    except ValueError as error:  # Keras' own word for an unknown KERAS_BACKEND
        raise UserError(
            f"Keras cannot start: {' '.join(str(error).split())}. Set KERAS_BACKEND to "
            "tensorflow, jax or torch."
        ) from error
    if keras.backend.backend() not in BACK_ENDS:
        raise UserError(
            f"the back end '{keras.backend.backend()}' cannot train. Set KERAS_BACKEND to "
            "tensorflow, jax or torch."
        )
    configure_keras()


@contextmanager
def _without_users_configuration() -> Iterator[None]:
    """Let Keras, imported in the block, find no keras.json: some of it cannot be undone later.

    Raises:
        UserError: there is no place for temporary files.
    """
    home = keras_home()
    try:
        empty = tempfile.TemporaryDirectory()
    except OSError as error:
        raise UserError(f"no folder for temporary files: {error}. Set TMPDIR.") from error
    with empty as folder, _environment(KERAS_HOME=folder, KERAS_NNX_ENABLED=None):
        yield
    # Where keras.datasets keeps its downloads: for this, Keras has no public function.
    sys.modules["keras.src.backend.config"]._KERAS_DIR = str(home)  # type: ignore


def keras_home() -> Path:
    """Return Keras' own folder, without importing Keras."""
    try:
        return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    except RuntimeError:  # a user without a home folder, as in some containers
        return Path(tempfile.gettempdir(), ".keras")  # as Keras does


@contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    """Set environment variables in the block; None removes one."""
    before = {name: os.environ.get(name) for name in variables}
    _set_variables(variables)
    try:
        yield
    finally:
        _set_variables(before)


def _set_variables(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def configure_keras() -> None:
    """Set what the program relies on of Keras' global configuration."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(EPSILON)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # It warns of "retracing" where several networks are trained in turn, as they are here.
        tf.get_logger().setLevel("ERROR")


def seed_everything(seed: int) -> None:
    """Make equal settings give equal results on one machine with one set of versions."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _import_matplotlib() -> None:
    """Import matplotlib, which Keras does too, whatever MPLBACKEND says.

    A notebook sets it, for all programs that are started from it, to a back end that may not be
    installed for them; matplotlib then refuses to be imported.
    """
    if "matplotlib" in sys.modules:
        return
    wanted = os.environ.get("MPLBACKEND")
    with _environment(MPLBACKEND=None):
        import matplotlib
    if wanted:
        with suppress(ValueError, ImportError):  # then matplotlib chooses one itself
            matplotlib.use(wanted)
