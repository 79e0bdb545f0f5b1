"""PyTorch files: answers are those of torch, and broken or hostile files are refused."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from penstock.runtimes.contract import LoadOptions, ModelExecutionError, ModelLoadError
from penstock.runtimes.testing import check_runtime
from penstock.runtimes.torch.runtime import TorchRuntime

#: TorchScript is on its way out, and its files are still there.
pytestmark = pytest.mark.filterwarnings(r"ignore:`torch\.jit:DeprecationWarning")

INPUTS = {"x": ["FP32", [-1, 4]]}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
        )

    def forward(self, x):
        y = self.layers(x)
        return y, y.argmax(dim=1)


@pytest.fixture(scope="module")
def net():
    return Net().eval()


@pytest.fixture
def exported(net, tmp_path):
    rows = torch.export.Dim("rows", min=1, max=4096)
    program = torch.export.export(net, (torch.rand(7, 4),), dynamic_shapes=({0: rows},))
    path = tmp_path / "model.pt2"
    torch.export.save(program, str(path))
    return path


@pytest.fixture
def script(net, tmp_path):
    path = tmp_path / "script" / "model.pt"
    path.parent.mkdir()
    torch.jit.script(net).save(str(path))
    return path


def load(path, **settings):
    return TorchRuntime().load(path, LoadOptions(settings=settings))


def expected(net, x):
    with torch.inference_mode():
        return [one.numpy() for one in net(torch.from_numpy(x))]


def test_both_kinds_of_file_answer_as_torch_does(net, exported, script):
    models = (
        load(exported, batch_axis=True, outputs=["scores", "label"]),
        load(script, inputs=INPUTS, batch_axis=True, outputs=["scores", "label"]),
    )
    for model in models:
        signature = model.signature
        assert [one.shape for one in signature.inputs] == [(-1, 4)]
        assert [(one.name, one.datatype, one.shape) for one in signature.outputs] == [
            ("scores", "FP32", (-1, 3)), ("label", "INT64", (-1,)),
        ]  # fmt: skip
        assert signature.batch_axis
        for rows in (1, 2, 64):
            x = np.random.default_rng(rows).random((rows, 4), np.float32)
            answers = model.execute([x], ["scores", "label"])
            for answer, wanted in zip(answers, expected(net, x), strict=True):
                np.testing.assert_allclose(answer, wanted, rtol=1e-6)


def test_the_conformance_kit_passes(exported, script):
    check_runtime(TorchRuntime(), exported.parent)
    check_runtime(TorchRuntime(), script.parent, options=LoadOptions(settings={"inputs": INPUTS}))


def test_inputs_of_another_shape_are_an_error_of_the_run(exported):
    model = load(exported)
    with pytest.raises(ModelExecutionError):
        model.execute([np.zeros((2, 5), np.float32)], ["output_0"])


def test_a_script_whose_inputs_nobody_declares_is_refused(script):
    with pytest.raises(ModelLoadError, match="does not say what it takes"):
        load(script)


def test_batching_is_refused_where_axis_0_is_not_rows(tmp_path, net):
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(net, (torch.rand(7, 4),)), str(path))
    with pytest.raises(ModelLoadError, match="axis 0 is not rows"):
        load(path, batch_axis=True)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"speed": 1}, "unknown key runtime.speed"),
        ({"batch_axis": 1}, "expected true or false"),
        ({"outputs": ["a"]}, "1 outputs are declared, the model gives 2"),
        ({"inputs": {"x": ["float32", [4]]}}, "expected a table such as"),
    ],
)
def test_settings_that_do_not_fit_are_refused(exported, settings, reason):
    with pytest.raises(ModelLoadError, match=reason):
        load(exported, **settings)


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def traversal(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil", b"")


def bomb(path):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data/bomb", bytes(50 << 20))


def twice(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(archive.namelist()[0], b"other")


def pickled(path):
    torch.save({"weights": torch.ones(3)}, str(path))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (truncate, "no file of torch"),
        (traversal, "an entry outside of itself"),
        (bomb, "unpacks to 52428800 bytes"),
        (twice, "two entries of one name"),
        (pickled, "cannot load"),
    ],
)
def test_broken_and_hostile_files_are_refused_with_the_reason(exported, change, reason):
    change(exported)
    with pytest.raises(ModelLoadError, match=reason):
        load(exported)
