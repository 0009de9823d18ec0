"""Ten labelled images in all: how many of the others does a graph of neighbours answer?

Two figures are given, and must not be mixed up:

- *transductive*: the test images are in the graph, without labels. They help one another, so all
  of them must be known before one is answered.
- *inductive*: the graph holds the training images alone. A test image, which may come later, takes
  the answer of its nearest training images. The training images' answers are then the labels that
  a network learns from (`trainings.py`).

*Typical* images are chosen with all labels known, as somebody who knows digits would choose them.
*Random* draws use labels only to get one image of each class. After the choice, no label but the
ten shapes an answer. Two things are known besides: that each digit is between 8.5 and 11.5 % of the
images (`SHARES` in `graph.py`), and the constants in `features.py` and `graph.py`. Those were
chosen by the share of right answers on the first 20,000 training images, with random draws that are
not reported. That `SHARES` are used was chosen on all training images, with the typical ten and
eight draws that are not reported. So the choices, if not the answers, have seen their labels
(docs/log.md).
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from common.data import Arrays, sha256_of
from common.safe_files import read_json, write_json, writing
from common.user_error import UserError
from experiments.few_labels.choosing import N_CLASSES, random_images, typical_images
from experiments.few_labels.features import graph_features
from experiments.few_labels.graph import (
    NEIGHBOURS,
    balanced_flow,
    edge_weights,
    nearest_neighbours,
    poisson_learning,
)
from experiments.few_labels.subsets import write_data
from studies.progress import describe_duration

THAT_ANSWER = ("choosing.py", "features.py", "graph.py")  # the code that results depend on
AGAIN = "Delete it; it is then computed again."
ACCURACIES = ("training images", "test images")  # of which the share of right answers is kept
KINDS = ("transductive", "inductive")


def ten_chosen(arrays: Arrays, n: int) -> dict[str, np.ndarray]:
    """Return by name the ten images that get a label: the most typical, and n random draws.

    Returns:
        int (10,), indices of training images, by class.
    """
    drawn = {f"random {seed}": random_images(arrays.y_train, 1, seed) for seed in range(n)}
    return {"typical": typical_images(arrays.x_train, arrays.y_train, 1), **drawn}


def graph_results(arrays: Arrays, n: int, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the accuracies of the graph, by kind and by which ten images have labels.

    What is finished is kept in the folder and not computed again.

    Args:
        arrays: the data set.
        n: how many random draws.
        folder: gets a JSON file per result and, for each draw, an .npz file with the training
            images and the graph's answers, for a network to learn from.

    Raises:
        UserError: a class has no image, the folder cannot be written, or a file in it is damaged.
    """
    chosen, origin = ten_chosen(arrays, n), made_of(arrays)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for kind in KINDS:
        paths = {name: folder / f"{kind}_{name.replace(' ', '_')}.json" for name in chosen}
        kept = {
            name: read_result(path, origin)
            for name, path in paths.items()
            if path.exists() and (kind == "transductive" or answers_path(folder, name).exists())
        }
        missing = {name: chosen[name] for name in chosen if name not in kept}
        made: Iterator[tuple[str, dict[str, Any]]] = iter(())
        if missing and kind == "transductive":
            made = answer_transductive(arrays, missing)
        elif missing:
            made = answer_inductive(arrays, missing, folder)
        for name, result in made:
            write_json(paths[name], {"made of": origin, **result})
            kept[name] = result
        results |= {(kind, name): kept[name] for name in chosen}
    return results


def made_of(arrays: Arrays) -> dict[str, str]:
    """Return, as JSON has it, what a result depends on: the images, and how they are answered."""
    code = b"".join(Path(__file__).with_name(name).read_bytes() for name in THAT_ANSWER)
    return {"data": sha256_of(*arrays), "code": hashlib.sha256(code).hexdigest()}


def read_result(path: Path, origin: Mapping[str, str]) -> dict[str, Any]:
    """Return a result that was kept.

    Raises:
        UserError: the file is damaged, or was made of something else than `origin`.
    """
    try:
        content = read_json(path)
        are_shares = all(0 <= float(content[name]) <= 1 for name in ACCURACIES)
    except (KeyError, TypeError, ValueError):
        are_shares = False
    except UserError as error:
        raise UserError(f"{error} {AGAIN}") from error
    if not are_shares:
        raise UserError(f"{path} holds no accuracies. {AGAIN}")
    if content.get("made of") != origin:  # networks may have learned from what was made with it
        raise UserError(f"{path} was made by other code or of other data. Choose another --folder.")
    return {name: content[name] for name in ACCURACIES}


def flow_of(weights: sparse.csr_matrix, labelled: np.ndarray) -> np.ndarray:
    """Return what flows to every image, float32 (n, 10), from one labelled image of each class."""
    labels = np.arange(N_CLASSES)
    flow = poisson_learning(weights, labelled, labels)
    return balanced_flow(weights, flow, labelled, labels)


# --- Transductive -------------------------------------------------------------------------------


def answer_transductive(
    arrays: Arrays, chosen: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Let labels flow over all images, training and test; yield each draw with its accuracies."""
    images = np.concatenate([arrays.x_train, arrays.x_test])
    n_train = len(arrays.y_train)
    started = time.perf_counter()
    print(f"A graph of {len(images):,} images, test images included ...", flush=True)
    weights = edge_weights(nearest_neighbours(graph_features(images, len(images))))
    report("graph", started)
    for name, labelled in chosen.items():
        started = time.perf_counter()
        answers = flow_of(weights, labelled).argmax(axis=1)
        result = accuracies(arrays, labelled, answers[:n_train], answers[n_train:])
        report(f"{name}: {describe(result)}", started)
        yield name, result


# --- Inductive ----------------------------------------------------------------------------------


def answer_inductive(
    arrays: Arrays, chosen: Mapping[str, np.ndarray], folder: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Let labels flow over the training images; the test images ask their neighbours.

    Yields each draw with its accuracies, and writes the answers on training images.
    """
    n_train = len(arrays.y_train)
    started = time.perf_counter()
    print(f"A graph of {n_train:,} training images ...", flush=True)
    features = graph_features(np.concatenate([arrays.x_train, arrays.x_test]), n_train)
    weights = edge_weights(nearest_neighbours(features[:n_train]))
    asked = neighbours_of(features[n_train:], features[:n_train])
    report("graph", started)
    for name, labelled in chosen.items():
        started = time.perf_counter()
        flow = flow_of(weights, labelled)
        labels = flow.argmax(axis=1)
        result = accuracies(arrays, labelled, labels, asked_answers(asked, flow))
        write_data(answers_path(folder, name), arrays.x_train, labels, arrays)
        report(f"{name}: {describe(result)}", started)
        yield name, result


def neighbours_of(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the nearest of the others for each of the images, int (n, 10)."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(others)
    return search.kneighbors(features, return_distance=False)


def asked_answers(asked: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return the class that most of the asked neighbours have, int (n,); in a tie the flow says.

    Args:
        asked: int (n, k), for each image its neighbours.
        flow: float32 (n_neighbours, n_classes).
    """
    votes = np.eye(flow.shape[1])[flow.argmax(axis=1)][asked].sum(axis=1)
    return (votes + 1e-6 * shares(flow)[asked].sum(axis=1)).argmax(axis=1)


def shares(flow: np.ndarray) -> np.ndarray:
    """Return each class's share of what has flowed to an image, in [0, 1], float (n, n_classes)."""
    above = flow - flow.min(axis=1, keepdims=True)
    return above / np.maximum(above.sum(axis=1, keepdims=True), 1e-12)


def answers_path(folder: Path, name: str) -> Path:
    """Return the file with the answers from a draw, for a network to learn from."""
    return folder / f"answers_{name.replace(' ', '_')}.npz"


# --- Accuracies ---------------------------------------------------------------------------------


def accuracies(
    arrays: Arrays, labelled: np.ndarray, of_train: np.ndarray, of_test: np.ndarray
) -> dict[str, float]:
    """Return the shares of right answers on training images without label and on test images."""
    is_asked = np.ones(len(arrays.y_train), bool)
    is_asked[labelled] = False
    right = (of_train == arrays.y_train)[is_asked], of_test == arrays.y_test
    return {name: float(part.mean()) for name, part in zip(ACCURACIES, right, strict=True)}


def describe(result: Mapping[str, Any]) -> str:
    """Return a result in words."""
    return ", ".join(f"{100 * result[name]:.2f} % of {name}" for name in ACCURACIES)


def report(what: str, started: float) -> None:
    """Print what is finished and how long it took."""
    print(f"  {what} ({describe_duration(time.perf_counter() - started)})", flush=True)
