"""One web page in which you draw a digit, and the network reads it while you draw.

    python -m apps.draw_a_digit                                # the network that predict uses
    python -m apps.draw_a_digit --model runs/FOLDER/model.keras --output small.html

The page is one file with the network inside. It needs no server and no internet: open it, send it,
put it on a stick. It shows the probabilities, the feature maps and the sum behind each of their
pixels, and it keeps what you draw as labelled images to train on. It prints last:

    Page:       .../draw.html (4.1 MB; 25 passes, kernels in int16)
"""

import base64
import hashlib
import sys
import webbrowser
from argparse import BooleanOptionalAction, Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.answers import DOUBTFUL_MARGIN
from common.classifier import DEFAULT_MODEL, load_keras_model, model_file
from common.command_line import Parser, exit_if_missing, run_program
from common.keras_start import load_keras
from common.safe_files import read_json, write_atomically
from common.user_error import UserError

with exit_if_missing():  # without `pip install`, one line
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from common.pictures import BOX, SIDE, STROKE_WIDTH

if TYPE_CHECKING:
    from apps.page_data import PageData

PAGE_DIR = Path(__file__).parent / "page"
# In this order, they are one script: what runs at once stands in the last.
SCRIPTS = (
    "network.js",
    "strokes.js",
    "sums.js",
    "pad.js",
    "maps.js",
    "collection.js",
    "answer.js",
    "main.js",
)
DIGITS_FILE = "my_digits.csv"  # with neither train nor test in its name: read as training data
PREDICT_COMMAND = f"python -m apps.predict {DIGITS_FILE}"
TRAIN_COMMAND = f"python _00_main.py --dataset custom --data-dir {DIGITS_FILE} --epochs 5"
N_CHECK_IMAGES = 50  # real digits that the page's network is tried out on


def parse_command_line(arguments: list[str]) -> Namespace:
    """Return what the command line says.

    Raises:
        UserError: an unknown flag, or one without its value.
    """
    parser = Parser(__doc__)
    parser.add_argument(
        "--model",
        type=Path,
        default=DEFAULT_MODEL,
        metavar="FILE",
        help="a .keras file, or the folder of a run (apps/robust_model)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("draw.html"), metavar="FILE", help="(draw.html)"
    )
    parser.add_argument(
        "--open", action=BooleanOptionalAction, default=True, help="open it in the browser (true)"
    )
    return parser.parse_args(arguments)


def known_accuracy(path: Path) -> float | None:
    """Return the test accuracy of a model file, in [0, 1], from what lies beside it; or None.

    That is metrics.json in a run's folder, or the record, if the file is the record's model.
    """
    record = path.with_name(path.stem.replace("best_model", "best_parameters") + ".json")
    accuracy = None
    with suppress(UserError, AttributeError):  # no such file, or one of something else
        if path.name == "model.keras":
            accuracy = read_json(path.with_name("metrics.json")).get("test_accuracy")
        elif record != path.with_suffix(".json"):
            content = read_json(record)
            if content.get("model_sha256") == hashlib.sha256(path.read_bytes()).hexdigest():
                accuracy = content.get("test_accuracy")
    return accuracy if isinstance(accuracy, float) and 0 <= accuracy <= 1 else None


# --- The page -----------------------------------------------------------------------------------


def render(data: "PageData", facts: dict[str, Any]) -> str:
    """Return the page.

    Args:
        data: the network.
        facts: network_name, n_networks, n_passes, n_parameters, accuracy, class_names.
    """
    environment = Environment(
        loader=FileSystemLoader(PAGE_DIR),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "\n".join((PAGE_DIR / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (PAGE_DIR / "style.css").read_text(encoding="utf-8")
    description = {
        "network": data.network,
        "class_names": facts["class_names"],
        "picture": {"side": SIDE, "box": BOX, "strokeWidth": STROKE_WIDTH},
        "file_name": DIGITS_FILE,
        "doubtful_margin": DOUBTFUL_MARGIN,
    }
    return environment.get_template("page.html").render(
        **facts,
        description=description,
        weights=Markup(data.weights),
        style=Markup(style),
        script=Markup(script),
        # The browser runs this script and no other, and asks no other place for anything.
        script_hash=_hash_of(script),
        style_hash=_hash_of(style),
        side=SIDE,
        box=BOX,
        predict_command=PREDICT_COMMAND,
        train_command=TRAIN_COMMAND,
    )


def _hash_of(text: str) -> str:
    """Return a hash as a Content-Security-Policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def write_page(model_path: Path, output: Path) -> str:
    """Write the page of a model; return a line on it.

    Raises:
        UserError: the model cannot be used, or the page cannot be written.
    """
    model_path = model_file(model_path)
    load_keras()  # before what imports Keras
    from _01_data_loader import load_data
    from apps.page_data import make_page_data
    from architectures.averaging import network_of

    model = load_keras_model(model_path)
    digits = load_data("digits").x_test[:N_CHECK_IMAGES, ..., None].astype("float32") / 255
    data = make_page_data(model, digits)
    passes = data.network["passes"]
    n_networks = len({tuple(one["steps"][-1:]) for one in passes})  # shifts share the last layer
    times = f"{n_networks} × " if n_networks > 1 else ""
    facts = {
        "network_name": times + network_of(model).name,
        "n_networks": n_networks,
        "n_passes": len(passes),
        "n_parameters": model.count_params(),
        "accuracy": known_accuracy(model_path),
        "class_names": [str(number) for number in range(model.outputs[0].shape[1])],
    }
    page = render(data, facts)
    try:
        write_atomically(output, page)
    except UserError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise UserError(
            f"cannot write {output}: {reason}. Choose another --output FILE."
        ) from error
    count = "1 pass" if len(passes) == 1 else f"{len(passes)} passes"
    size = len(page.encode())
    text = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"
    return f"{output.resolve()} ({text}; {count}, kernels in {data.precision})"


def main(arguments: list[str]) -> None:
    """Write the page, and open it.

    Raises:
        UserError: a flag is wrong, the model cannot be used, or the page cannot be written.
    """
    given = parse_command_line(arguments)
    print(f"Page:       {write_page(given.model, given.output)}", flush=True)
    if given.open and not webbrowser.open(given.output.resolve().as_uri()):
        print("Not opened: no browser was found; open the file in one.")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
