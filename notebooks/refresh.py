"""Make walkthrough.ipynb anew from walkthrough.py: run every cell, and keep what it shows.

    python -m notebooks.refresh

Takes two to four minutes on two CPU cores, and prints where the notebook is and how large. Needs
`pip install -r requirements-dev.txt`, and MNIST. What is kept is small enough for git: the
pictures have few colours, and nothing says when the cells ran.
"""

import base64
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import jupytext
import nbformat
from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

SOURCE = Path(__file__).resolve().with_name("walkthrough.py")
NOTEBOOK = SOURCE.with_suffix(".ipynb")
N_COLOURS = 128  # of a picture: none of the figures looks different with more


class ThisPython(AsyncKernelManager):
    """Starts the Python that runs this program, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command that starts a kernel."""
        return KernelSpec(argv=make_ipkernel_cmd(), display_name="this Python", language="python")


def read_source() -> NotebookNode:
    """Return the cells of walkthrough.py, without outputs; equal cells have equal names."""
    notebook = jupytext.read(SOURCE)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"  # jupytext's are random
    return notebook


def execute(notebook: NotebookNode, folder: Path, variables: Mapping[str, str]) -> None:
    """Run all cells by this Python; the outputs go into them.

    Args:
        notebook: is changed.
        folder: the working directory of the cells.
        variables: the environment of the cells.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; it says which, and why.
    """
    client = NotebookClient(
        notebook,
        kernel_manager_class=ThisPython,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=dict(variables))


def environment() -> dict[str, str]:
    """Return the environment of a notebook: figures go into it, whatever MPLBACKEND says."""
    return {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}


def shrink_pictures(notebook: NotebookNode) -> None:
    """Reduce the colours of all pictures, which more than halves them."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = _with_few_colours(data["image/png"])


def _with_few_colours(png: str) -> str:
    """Return a PNG picture with a palette; both in base64."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    content = io.BytesIO()
    few = picture.quantize(N_COLOURS, dither=Image.Dither.NONE)
    few.save(content, format="PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode("ascii")


def main() -> None:
    """Run the walkthrough where it lies, and write it."""
    notebook = read_source()
    execute(notebook, SOURCE.parent, environment())
    shrink_pictures(notebook)
    notebook.metadata.pop("jupytext", None)  # of the source
    nbformat.write(notebook, NOTEBOOK)
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
