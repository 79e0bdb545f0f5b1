"""Settings of runtimes: one decoder, one style of errors; no decoder where none is installed."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.discovery import runtimes
from penstock.runtimes.onnx_settings import OPTIMIZATION_LEVELS, OnnxSettings
from penstock.runtimes.settings import NoSettings, read_settings
from penstock.runtimes.sklearn.settings import SklearnSettings
from penstock.runtimes.torch.settings import TorchSettings
from penstock.server.config.runtime_settings import SETTINGS

INPUTS = {"x": ["FP32", [-1, 4]]}
#: Runs without the decoder, as the interpreter of a model's own virtual environment may.
BARE = """
import pickle, sys
sys.modules["msgspec"] = None
from penstock.runtimes.settings import NoSettings, read_settings
read_settings(NoSettings, {})
settings = pickle.loads(sys.stdin.buffer.read())
print(read_settings(type(settings), settings).inputs)
"""


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (SklearnSettings, {"text_colums": []}, "runtime.text_colums; did you mean text_columns?"),
        (SklearnSettings, {"text_columns": "city"}, "text_columns is 'city', expected a list"),
        (SklearnSettings, {"text_columns": ["a", 1]}, "text_columns[1] is 1, expected a text"),
        (SklearnSettings, {"batch_axis": 1}, "batch_axis is 1, expected true or false"),
        (TorchSettings, {"speed": 1}, "unknown key runtime.speed; expected one of inputs, outputs"),
        (TorchSettings, {"inputs": 5}, "runtime.inputs is 5, expected a table"),
        (TorchSettings, {"inputs": {"x": 5}}, "inputs.x is 5, expected a list of 2 values"),
        (TorchSettings, {"inputs": {"x": ["FP32", ["a"]]}}, "inputs.x[1][0] is 'a', expected a"),
        (TorchSettings, {"outputs": ["a", "a"]}, "outputs is ['a', 'a'], expected a name of its"),
        (OnnxSettings, {"providers": []}, "providers is [], expected a list of names"),
        (NoSettings, {"device": "cpu"}, "unknown key runtime.device; expected no keys"),
    ],
)
def test_a_mistake_is_explained(kind, settings, message):
    with pytest.raises(ModelLoadError) as raised:
        read_settings(kind, settings)
    assert str(raised.value).startswith("model.toml: ")
    assert message in str(raised.value)


def test_settings_are_read_as_they_are_declared():
    found = read_settings(TorchSettings, {"inputs": INPUTS, "outputs": ["y"], "batch_axis": True})
    assert found == TorchSettings({"x": ("FP32", (-1, 4))}, ("y",), batch_axis=True)
    provider = ["OpenVINOExecutionProvider", {"device_type": "CPU"}]
    assert read_settings(OnnxSettings, {"providers": [provider]}).providers == (tuple(provider),)
    for level in OPTIMIZATION_LEVELS:
        read_settings(OnnxSettings, {"graph_optimization_level": level})


def test_settings_that_were_read_need_no_decoder():
    settings = read_settings(TorchSettings, {"inputs": INPUTS})
    command = [sys.executable, "-c", BARE]
    found = subprocess.run(command, input=pickle.dumps(settings), capture_output=True, check=False)
    assert found.stdout.decode() == "{'x': ('FP32', (-1, 4))}\n", found.stderr.decode()


def test_the_configuration_knows_the_settings_of_every_runtime_of_this_project():
    declared = {
        platform: getattr(one, "settings", None)
        for platform, one in runtimes().items()
        if type(one).__module__.startswith("penstock.runtimes.")
    }
    assert declared.pop("python") is None
    assert declared == SETTINGS
