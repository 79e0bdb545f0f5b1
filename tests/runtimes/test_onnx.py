"""Loading: what is refused and how it is said, settings, threads, unloading."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from penstock.runtimes.contract import LoadOptions, ModelExecutionError, ModelLoadError
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.onnx_errors import MAX_CHARACTERS, explain
from penstock.runtimes.testing import check_runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def linear(graph_file: Callable[..., Path]) -> Path:
    return graph_file(
        [("MatMul", ["x", "w"], ["y"])],
        [("x", "FLOAT", ["N", 3])],
        [("y", "FLOAT", ["N", 4])],
        initializers=[numpy_helper.from_array(WEIGHTS, "w")],
    )


def test_conformance(linear: Path) -> None:
    check_runtime(OnnxRuntime(), linear.parent)


def test_conformance_with_strings_and_an_optional_input(graph_file: Callable[..., Path]) -> None:
    path = graph_file(
        [("Identity", ["s"], ["t"]), ("Mul", ["x", "k"], ["y"])],
        [("s", "STRING", ["N"]), ("x", "FLOAT", ["N", 2]), ("k", "FLOAT", [2])],
        [("y", "FLOAT", ["N", 2]), ("t", "STRING", ["N"])],
        initializers=[numpy_helper.from_array(np.ones(2, np.float32), "k")],
    )
    check_runtime(OnnxRuntime(), path.parent)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"<html>not found</html>", b"version https://git-lfs"],
    ids=["empty", "zeros", "web page", "git-lfs pointer"],
)
def test_what_is_not_a_model_is_refused(
    tmp_path: Path,
    content: bytes,
    load: Callable[..., Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(
        ModelLoadError, match=rf"cannot load {path}: not an ONNX model, or cut short"
    ):
        load(path)


def test_a_model_cut_anywhere_is_refused_or_whole(linear: Path, load: Callable[..., Any]) -> None:
    whole = linear.read_bytes()
    for size in range(len(whole)):
        linear.write_bytes(whole[:size])
        try:
            model = load(linear)
        except ModelLoadError as error:
            assert str(linear) in str(error)  # noqa: PT017  either is right
        else:  # only the unused second opset is lost
            (answer,) = model.execute([np.eye(3, dtype=np.float32)], ["y"])
            np.testing.assert_array_equal(answer, WEIGHTS)
            assert size > len(whole) - 25


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path, load: Callable[..., Any]) -> None:
    with pytest.raises(ModelLoadError, match="File doesn't exist"):
        load(tmp_path / "model.onnx")


def test_an_unknown_operator_is_named(
    graph_file: Callable[..., Path], load: Callable[..., Any]
) -> None:
    path = graph_file([("Frobnicate", ["x"], ["y"])], [("x", "FLOAT", [1])], [("y", "FLOAT", [1])])
    with pytest.raises(ModelLoadError, match="Frobnicate"):
        load(path)


@pytest.mark.parametrize("present", [True, False])
def test_external_data_is_found_beside_the_model(
    linear: Path, load: Callable[..., Any], *, present: bool
) -> None:
    onnx.save_model(
        onnx.load(linear),
        linear,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    if present:
        x = np.eye(3, dtype=np.float32)
        np.testing.assert_array_equal(load(linear).execute([x], ["y"])[0], WEIGHTS)
    else:
        (linear.parent / "weights.bin").unlink()
        with pytest.raises(ModelLoadError, match=r"weights\.bin"):
            load(linear)


def test_find(tmp_path: Path, linear: Path) -> None:
    runtime = OnnxRuntime()
    assert runtime.find(tmp_path) == linear
    nested = tmp_path / "nested"
    (nested / "model.onnx").mkdir(parents=True)
    assert runtime.find(nested) is None
    (nested / "model.onnx" / "model.onnx").write_bytes(linear.read_bytes())
    assert runtime.find(nested) == nested / "model.onnx" / "model.onnx"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"providres": []}, "unknown key runtime.providres; did you mean providers"),
        ({"providers": "CPUExecutionProvider"}, "runtime.providers is .*, expected a list"),
        ({"providers": []}, r"runtime: providers is \[\], expected a list of names"),
        ({"providers": [7]}, r"runtime\.providers\[0\] is 7, expected a text or a list"),
        ({"providers": ["Abacus"]}, "unknown execution provider 'Abacus'; available: "),
        (
            {"graph_optimization_level": "most"},
            "is 'most', expected one of disabled, basic, extended, all",
        ),
        ({"graph_optimization_level": ["all"]}, "one of disabled, basic, extended, all"),
        ({"enable_mem_pattern": 1}, "enable_mem_pattern is 1, expected true or false"),
        ({"enable_cpu_mem_arena": "no"}, "enable_cpu_mem_arena is 'no', expected true or false"),
        ({"batch_axis": 0}, "batch_axis is 0, expected true or false"),
    ],
)
def test_wrong_settings_are_refused(
    linear: Path, load: Callable[..., Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        load(linear, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"providers": ["CPUExecutionProvider"]},
        {"providers": [["CPUExecutionProvider", {}]]},
        {"graph_optimization_level": "disabled"},
        {"graph_optimization_level": "basic", "enable_mem_pattern": False},
        {"graph_optimization_level": "extended", "enable_cpu_mem_arena": False},
    ],
)
def test_right_settings_are_accepted(
    linear: Path, load: Callable[..., Any], settings: dict[str, Any]
) -> None:
    (answer,) = load(linear, **settings).execute([np.eye(3, dtype=np.float32)], ["y"])
    np.testing.assert_array_equal(answer, WEIGHTS)


def test_threads_are_passed_on_and_do_not_spin(
    linear: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    seen: list[Any] = []
    original = onnxruntime.InferenceSession

    def spy(path: Path, options: Any, **more: Any) -> Any:
        seen.append(options)
        return original(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    OnnxRuntime().load(linear, LoadOptions(threads=2))
    (options,) = seen
    assert options.intra_op_num_threads == 2
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"


def test_no_threads_are_refused(linear: Path) -> None:
    with pytest.raises(ModelLoadError, match="threads must be at least 1: 0"):
        OnnxRuntime().load(linear, LoadOptions(threads=0))


def test_a_failing_run_raises_one_clear_line_and_prints_nothing(
    graph_file: Callable[..., Path], load: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    path = graph_file(
        [("Reshape", ["x", "shape"], ["y"])],
        [("x", "FLOAT", ["N"]), ("shape", "INT64", [2])],
        [("y", "FLOAT", [None, None])],
    )
    model = load(path, batch_axis=False)
    with pytest.raises(ModelExecutionError) as caught:
        model.execute([np.zeros(3, np.float32), np.array([5, 5])], ["y"])
    assert str(caught.value) == (
        "Reshape node '' failed: The input tensor cannot be reshaped to the requested shape. "
        "Input shape:{3}, requested shape:{5,5}"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([np.zeros((1, 3))], r"Actual: \(tensor\(double\)\) , expected: \(tensor\(float\)\)"),
        ([np.zeros((1, 2), np.float32)], "invalid dimensions for input: x"),
        ([np.zeros((1, 2, 3), np.float32)], "Invalid rank for input: x"),
        ([], r"required inputs \(\['x'\]\) are missing"),
        ([None], "Missing Input: x|[Uu]nable to handle object"),
    ],
)
def test_wrong_inputs_are_execution_errors(
    linear: Path, load: Callable[..., Any], inputs: list[Any], message: str
) -> None:
    with pytest.raises(ModelExecutionError, match=message):
        load(linear).execute(inputs, ["y"])


def test_explanations_are_short() -> None:
    assert len(explain(ValueError("x" * 10_000))) == MAX_CHARACTERS
    assert explain(ValueError()) == "ValueError"
    openvino = (
        "[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /o/b.cc:136 f::f(int) "
        "[with bool typed = false] [OpenVINO-EP] Exception while Loading Network for graph g_0: "
        "Exception from src/core.cpp:114:\nException from src/plugin.cpp:53:\n"
        "Check '!shape.rank().is_dynamic()' failed at src/node.cpp:106:\nno such shape\n\n"
    )
    assert explain(ValueError(openvino)) == "OpenVINO: no such shape"


def test_unload_lets_a_run_in_flight_finish(linear: Path, load: Callable[..., Any]) -> None:
    model = load(linear)
    x = np.ones((512, 3), np.float32)
    expected = model.execute([x], ["y"])[0]

    def work() -> int:
        runs = 0
        while True:
            try:
                (answer,) = model.execute([x], ["y"])
            except ModelExecutionError as error:
                assert str(error) == "the model is unloaded"  # noqa: PT017  the only way out
                return runs
            np.testing.assert_array_equal(answer, expected)
            runs += 1
            started.append(runs)

    started: list[int] = []
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(work) for _ in range(3)]
        while len(started) < 30:
            assert not any(future.done() for future in futures)
        model.unload()
        assert sum(future.result(timeout=60) for future in futures) >= 30


def test_looking_for_models_does_not_import_onnxruntime(linear: Path) -> None:
    code = (
        "import sys, pathlib; from penstock.runtimes.discovery import find_runtime\n"
        "runtime, path = find_runtime(pathlib.Path(sys.argv[1]))\n"
        "assert runtime.platform == 'onnx_onnxv1', runtime\n"
        "assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(linear.parent)], check=True, timeout=60)


@pytest.mark.parametrize(
    ("opset", "domain", "ir_version", "expected"),
    [
        (999, "", 9, r"uses operator set 999 of ai.onnx, and .* supports up to \d+; export it"),
        (999, "ai.onnx.ml", 9, r"operator set 999 of ai.onnx.ml, and .* up to \d+; export it"),
        (18, "", 999, r"ONNX IR version 999, and .* reads up to \d+; save it with ir_version"),
        (5, "", 9, r"operator Gelu is not in operator set 5, which the model imports"),
    ],
)
def test_a_file_that_is_too_new_is_refused_in_one_line_that_says_what_to_do(
    graph_file: Callable[..., Path],
    load: Callable[..., Any],
    opset: int,
    domain: str,
    ir_version: int,
    expected: str,
) -> None:
    path = graph_file([("Gelu", ["x"], ["y"])], [("x", "FLOAT", ["N"])], [("y", "FLOAT", ["N"])])
    model = onnx.load(path)
    model.ir_version = ir_version
    for one in model.opset_import:
        if one.domain == domain:
            one.version = opset
    onnx.save(model, path)
    with pytest.raises(ModelLoadError, match=expected) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "onnxruntime::" not in str(caught.value)
