from __future__ import annotations

from importlib import metadata
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from penstock.runtimes import discovery
from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.discovery import find_runtime, runtimes
from penstock.runtimes.onnx import OnnxRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    runtimes.cache_clear()
    yield
    runtimes.cache_clear()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Pretend that these plug-ins are installed: name -> source of a class ``Plugin``."""

    def pretend(**sources: str) -> None:
        packages = tmp_path / "packages"
        packages.mkdir()
        monkeypatch.syspath_prepend(str(packages))
        for name, source in sources.items():
            (packages / f"plugin_{name}.py").write_text(source)
        entries = [
            EntryPoint(name, f"plugin_{name}:Plugin", discovery.ENTRY_POINT_GROUP)
            for name in sources
        ] + [EntryPoint("onnx", "penstock.runtimes.onnx:OnnxRuntime", discovery.ENTRY_POINT_GROUP)]
        monkeypatch.setattr(
            metadata,
            "entry_points",
            lambda *, group: [entry for entry in entries if entry.group == group],
        )

    return pretend


def plugin(platform: str, file: str) -> str:
    return (
        "class Plugin:\n"
        f"    platform = {platform!r}\n"
        "    def find(self, directory):\n"
        f"        path = directory / {file!r}\n"
        "        return path if path.exists() else None\n"
    )


@pytest.fixture
def version(tmp_path: Path) -> Path:
    directory = tmp_path / "1"
    directory.mkdir()
    return directory


def test_the_onnx_runtime_is_installed() -> None:
    assert isinstance(runtimes()["onnx_onnxv1"], OnnxRuntime)
    assert runtimes() is runtimes()


def test_the_runtime_that_finds_a_file_is_chosen(
    install: Callable[..., None], version: Path
) -> None:
    install(other=plugin("other", "model.bin"))
    (version / "model.bin").touch()
    runtime, path = find_runtime(version)
    assert runtime.platform == "other"
    assert path == version / "model.bin"


def test_a_platform_may_be_demanded(install: Callable[..., None], version: Path) -> None:
    install(other=plugin("other", "model.bin"))
    (version / "model.bin").touch()
    (version / "model.onnx").touch()
    assert find_runtime(version, "onnx_onnxv1")[1] == version / "model.onnx"
    with pytest.raises(ModelLoadError, match="several platforms; choose one: onnx_onnxv1, other"):
        find_runtime(version)


def test_an_unknown_platform_is_told_what_is_installed(
    install: Callable[..., None], version: Path
) -> None:
    install(other=plugin("other", "model.bin"))
    with pytest.raises(
        ModelLoadError, match=r"unknown platform 'x'; installed: onnx_onnxv1, other$"
    ):
        find_runtime(version, "x")


def test_no_model_file_says_who_looked(install: Callable[..., None], version: Path) -> None:
    install(other=plugin("other", "model.bin"))
    with pytest.raises(ModelLoadError, match=r"no model file in .* platforms onnx_onnxv1, other$"):
        find_runtime(version)
    with pytest.raises(ModelLoadError, match=r"no model file in .* for platform 'other'$"):
        find_runtime(version, "other")


@pytest.mark.parametrize(
    "source",
    [
        "import no_such_library",
        "no_plugin_here = 1",
        "class Plugin:\n    def __init__(self): raise OSError('no licence')",
        "class Plugin: ...",
    ],
    ids=["import", "attribute", "constructor", "platform"],
)
def test_a_broken_plugin_is_logged_and_left_out(
    install: Callable[..., None], caplog: pytest.LogCaptureFixture, source: str
) -> None:
    install(broken=source)
    assert list(runtimes()) == ["onnx_onnxv1"]
    assert "runtime broken (plugin_broken:Plugin) is left out" in caplog.text


def test_a_class_that_two_distributions_announce_is_one_runtime(
    install: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    announced = metadata.entry_points(group=discovery.ENTRY_POINT_GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [*announced, *announced])
    assert list(runtimes()) == ["onnx_onnxv1"]


def test_two_claims_to_one_platform_are_refused(install: Callable[..., Any]) -> None:
    install(mine=plugin("onnx_onnxv1", "model.bin"))
    with pytest.raises(ModelLoadError, match=r"'onnx_onnxv1' is claimed by plugin_mine:Plugin and"):
        runtimes()
