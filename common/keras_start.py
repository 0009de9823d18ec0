"""Starting Keras: quietly, reproducibly, and the same whatever configuration the user has.

`keras.json`, KERAS_* variables and MPLBACKEND are made for a user's other programs. What this
program relies on it states itself, so that equal settings give equal results for everybody.
"""

import os
import sys
from contextlib import suppress

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
        with without_startup_chatter():
            _import_matplotlib()
            import keras
    except ModuleNotFoundError as error:
        raise UserError(
            f"'{error.name}' is not installed. Run 'pip install -r requirements.txt', or choose "
            "an installed back end, for example KERAS_BACKEND=jax."
        ) from error
    except (ValueError, AssertionError, TypeError) as error:
        # Keras' own words for an unknown KERAS_BACKEND, or nonsense in keras.json.
        home = os.environ.get("KERAS_HOME", "~/.keras")
        reason = " ".join(str(error).split()) or "a value that it does not know"
        raise UserError(
            f"Keras cannot start: {reason}. Look at KERAS_BACKEND and at {home}/keras.json."
        ) from error
    if keras.backend.backend() not in BACK_ENDS:
        raise UserError(
            f"the back end '{keras.backend.backend()}' cannot train. Set KERAS_BACKEND to "
            "tensorflow, jax or torch."
        )
    configure_keras()


def configure_keras() -> None:
    """Set what the program relies on of Keras' global configuration."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(EPSILON)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


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
    wanted = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if wanted is not None:
            os.environ["MPLBACKEND"] = wanted
    if wanted:
        with suppress(ValueError, ImportError):  # then matplotlib chooses one itself
            matplotlib.use(wanted)
