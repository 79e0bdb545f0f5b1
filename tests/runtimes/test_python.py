"""Models written in Python: the example of the documentation, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from penstock.runtimes.contract import LoadOptions, ModelExecutionError, ModelLoadError
from penstock.runtimes.python import PythonRuntime
from penstock.runtimes.testing import check_runtime

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"


@pytest.fixture
def write(tmp_path):
    def write_model(code):
        (tmp_path / "model.py").write_text(code)
        return tmp_path / "model.py"

    return write_model


def load(path, **settings):
    return PythonRuntime().load(path, LoadOptions(settings=settings))


def example():
    section = PAGE.read_text().partition("\n## Models in Python\n")[2]
    (code,) = re.findall(
        r"^```python\n(.*?)^```", section.partition("\n## ")[0], re.DOTALL | re.MULTILINE
    )
    return f"import numpy as np\n{code}"


def test_the_example_of_the_documentation_keeps_its_promises(write, tmp_path):
    path = write(example())
    (tmp_path / "weight.json").write_text("[1, 10, 100]")
    check_runtime(PythonRuntime(), tmp_path)
    model = load(path, bias=0.5)
    x = np.array([[1, 2, 3], [0, 0, 1]], np.float32)
    assert model.execute([x], ["y"])[0].tolist() == [321.5, 100.5]


GOOD = """
class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}
    def load(self, directory): pass
    def predict(self, inputs): return {"y": inputs["x"]}
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "has no class Model"),
        ("Model = 3", "has no class Model"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", "cannot be run: SyntaxError"),
        (GOOD.replace("def load", "def other"), "has no method 'load'"),
        (GOOD.replace("inputs =", "other ="), "Model.inputs in .* is no dictionary"),
        (GOOD.replace("FP32", "float32"), r"Model.inputs\['x'\] .*expected a datatype and a shape"),
        (GOOD.replace("[-1, 1]", "[-2]"), "expected a datatype and a shape"),
        (GOOD.replace("def load", "batch_axis = 'yes'\n    def load"), "not True or False"),
        (GOOD.replace("def load", "metadata = {'a': 1}\n    def load"), "does not map texts"),
        (GOOD.replace("pass", "raise KeyError('x')"), "cannot be loaded: KeyError: 'x'"),
    ],
)
def test_a_file_that_makes_no_model_is_refused_with_the_reason(write, code, reason):
    with pytest.raises(ModelLoadError, match=reason):
        load(write(code))


def test_settings_that_load_does_not_take_are_refused(write):
    with pytest.raises(ModelLoadError, match=r"settings of \[runtime\] in model.toml \('speed'\)"):
        load(write(GOOD), speed=3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("None", "an object of type NoneType, expected a dictionary"),
        ("{}", "predict gave no output 'y'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_run_that_gives_no_outputs_says_what_was_expected(write, answer, reason):
    model = load(write(GOOD.replace('{"y": inputs["x"]}', answer)))
    with pytest.raises(ModelExecutionError, match=reason):
        model.execute([np.ones((1, 1), np.float32)], ["y"])


def test_versions_of_one_model_do_not_share_their_module(write, tmp_path):
    counted = GOOD.replace('{"y": inputs["x"]}', '{"y": inputs["x"] * FACTOR}')
    first = load(write(f"FACTOR = 2\n{counted}"))
    second = load(write(f"FACTOR = 3\n{counted}"))
    one = [np.ones((1, 1), np.float32)]
    assert [m.execute(one, ["y"])[0].item() for m in (first, second)] == [2.0, 3.0]
    assert not (tmp_path / "__pycache__").exists()
    assert json.dumps(dict(first.metadata)) == "{}"
