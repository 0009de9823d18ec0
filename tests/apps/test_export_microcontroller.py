# ruff: noqa: F401, F811 (fixtures are imported by name)
"""The project for a microcontroller: what is written, compiled by a C compiler."""

import re
import subprocess
import sys

import numpy as np
import pytest

from apps import export_board, micro_model
from apps.export_board import ALIGNMENT, describe, vectors_of, write_project
from apps.export_int8 import as_int8
from apps.micro_model import MicroModel, measure_arena, run_micro
from common.int8_network import Int8Network
from common.tflite_size import make_small
from common.user_error import UserError
from tests.apps.exporting import (
    compile_c,
    compiler,
    run,
    run_folder,
    trained,
)

pytest.importorskip("ai_edge_litert")
# Writes the network, then the test images and the expected outputs.
PROGRAM = """
#include <stdio.h>
#include "model.h"
#include "test_vectors.h"

int main(void) {
    if ((unsigned long)model_data % 16 != 0) return 3;
    fwrite(model_data, 1, sizeof model_data, stdout);
    fwrite(test_images, 1, sizeof test_images, stdout);
    fwrite(test_outputs, 1, sizeof test_outputs, stdout);
    return 0;
}
"""


@pytest.fixture(scope="module")
def content(trained, splits, tmp_path_factory):
    """Return an int8 file with aligned weights."""
    path = tmp_path_factory.mktemp("int8")
    return make_small(as_int8(trained, splits.x_train[:100], False, path), ALIGNMENT)[0]


@pytest.fixture(scope="module")
def project(content, splits, tmp_path_factory):
    """Return the folder of a project."""
    folder = tmp_path_factory.mktemp("board") / "new"
    write_project(folder, content, splits.x_test, splits.y_test)
    return folder


def constant(project, name):
    """Return a number that model.h defines."""
    text = (project / "main" / "model.h").read_text()
    return float(re.search(rf"#define {name} \(?([-\d.e]+)", text)[1])


def test_the_command_writes_a_project(run_folder, tmp_path, capsys):
    folder = tmp_path / "board"
    assert run("--format", "microcontroller", "--model", run_folder, "--output", folder) == 0
    printed = capsys.readouterr()
    assert not printed.err and "are answered as by Keras" in printed.out
    assert re.search(r"Flash:      \d,\d{3} bytes, 0.1 % of 4 MB", printed.out)
    assert re.search(r"RAM:        \d+,\d{3} bytes .* an ESP32 has 327,680", printed.out)
    assert f"Written:    {folder} (16 files; begin with its README.md)" in printed.out
    for name in ("CMakeLists.txt", "sdkconfig.defaults", "README.md", "main/idf_component.yml"):
        assert (folder / name).stat().st_size > 50


def test_a_folder_that_cannot_be_written_is_named(content, splits, tmp_path):
    (tmp_path / "main").write_text("")
    with pytest.raises(UserError, match=f"cannot write {tmp_path}: .*Choose another --output"):
        write_project(tmp_path, content, splits.x_test, splits.y_test)


def test_no_gap_is_left_and_every_source_is_built(project):
    files = [path for path in project.rglob("*") if path.is_file()]
    for path in files:
        assert not re.search(r"\{\{|\{%", path.read_text()), path
    sources = re.findall(r'"(\S+\.cc?)"', (project / "main" / "CMakeLists.txt").read_text())
    assert sorted(sources) == sorted(p.name for p in files if p.suffix in (".c", ".cc"))
    readme = (project / "README.md").read_text()
    for name in sources:
        assert f"`{name}`" in readme
    assert "idf.py build flash monitor" in readme and "self-test: PASS, 20 of 20" in readme


def test_the_c_arrays_are_the_network_and_its_answers(
    project,
    content,
    splits,
    compiler,
    tmp_path,
):
    (tmp_path / "test.c").write_text(PROGRAM)
    sources = [project / "main" / name for name in ("model.c", "test_vectors.c")]
    flags = ("-Wall", "-Wextra", "-Werror", "-std=c99", "-pedantic", f"-I{project}/main")
    program = compile_c(compiler, tmp_path / "test", tmp_path / "test.c", *sources, flags=flags)
    done = subprocess.run([program], capture_output=True)
    assert done.returncode == 0
    assert done.stdout[: len(content)] == content
    numbers = np.frombuffer(done.stdout[len(content) :], "int8")
    images = numbers[: 20 * 784].reshape(20, 28, 28, 1)
    outputs = numbers[20 * 784 :].reshape(20, 10)
    network = Int8Network(content, reference=True)
    chosen = (images.astype("float32") + 128) / 255
    assert (network.run(chosen) == outputs).all()
    labels = np.repeat(np.arange(10), 2)  # two of each digit
    assert (outputs.argmax(1) == labels).mean() > 0.8
    assert (network.input.quantise(splits.x_test) == images[0]).all((1, 2, 3)).any()


def test_the_project_also_compiles_as_cpp(project, compiler, tmp_path):
    for name in ("model", "test_vectors", "ink", "preprocess"):
        command = [compiler, "-xc++", "-std=c++17", "-fsyntax-only", "-Wall", "-Werror"]
        source = f'#include "{name}.h"\nint main() {{ return 0; }}\n'
        done = subprocess.run(
            [*command, f"-I{project}/main", "-"], input=source, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_the_header_says_what_the_runtime_says(project, content):
    network = Int8Network(content)
    assert constant(project, "MODEL_SIZE") == len(content)
    assert constant(project, "MODEL_CLASSES") == 10
    assert constant(project, "MODEL_INPUT_SCALE") == pytest.approx(network.input.scale)
    assert constant(project, "MODEL_INPUT_ZERO_POINT") == -128
    assert constant(project, "MODEL_OUTPUT_SCALE") == 1 / 256
    assert constant(project, "MODEL_OUTPUT_ZERO_POINT") == -128


def test_the_program_registers_the_networks_operators(project, content):
    expected = ["Add", "Conv2D", "FullyConnected", "MaxPool2D", "Mul", "Softmax"]
    assert MicroModel(content).operators() == expected
    program = (project / "main" / "main.cc").read_text()
    assert re.findall(r"operators\.Add(\w+)\(\);", program) == expected
    assert "MicroMutableOpResolver<6>" in program


def test_the_micro_interpreter_gives_the_expected_outputs(project, content, splits):
    pytest.importorskip("tflite_micro")
    images = Int8Network(content).input.quantise(splits.x_test[:100])
    expected = Int8Network(content, reference=True).run(splits.x_test[:100])
    assert (run_micro(content, images) == expected).all()


def test_the_arena_is_as_large_as_needed(project, content, capfd):
    pytest.importorskip("tflite_micro")
    from tflite_micro import runtime

    needed = measure_arena(content)
    assert capfd.readouterr().err == ""
    runtime.Interpreter.from_bytes(content, arena_size=needed).invoke()
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(content, arena_size=needed - 64)
    assert needed * 1.1 <= constant(project, "MODEL_ARENA_SIZE") <= needed * 1.1 + 1024
    assert needed <= MicroModel(content).estimate_arena() <= 1.3 * needed


def test_without_the_micro_interpreter_the_arena_is_estimated(content, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    facts = describe(content)
    assert facts["arena"] >= MicroModel(content).estimate_arena()
    assert "pip install --pre tflite-micro" in facts["arena_source"]


def test_a_network_that_does_not_fit_is_refused(content, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(export_board, "RAM", 90_000)
    with pytest.raises(UserError, match="does not fit an ESP32: .* fast_cnn_small"):
        write_project(tmp_path / "new", content, splits.x_test, splits.y_test)
    assert not (tmp_path / "new").exists()


def test_an_operator_that_chips_lack_is_named(content, monkeypatch):
    monkeypatch.setattr(micro_model, "OPERATORS", ("Conv2D", "Mul", "Add", "FullyConnected"))
    with pytest.raises(UserError, match="needs the operator MAX_POOL_2D"):
        MicroModel(content).operators()


def test_a_class_without_images_has_no_test_vector(content, splits):
    labels = np.where(splits.y_test == 3, 4, splits.y_test)
    facts = vectors_of(content, splits.x_test, labels)
    assert facts["n_vectors"] == 18 == len(facts["image_rows"]) == len(facts["output_rows"])
