from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.discovery import library_versions
from penstock.runtimes.library import Library, MissingLibrary, library_of
from penstock.runtimes.onnx import OnnxRuntime

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_library_says_what_to_install() -> None:
    library = Library("no_such_library", "xgboost", ("xgboost-cpu", "xgboost"))
    with pytest.raises(MissingLibrary, match=r"pip install 'penstock-server\[xgboost\]'"):
        library.load()
    assert issubclass(MissingLibrary, ModelLoadError)


def test_a_library_whose_own_library_is_missing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "half_there.py").write_text("import no_such_part\n")
    with pytest.raises(MissingLibrary, match=r"completely .no module 'no_such_part'"):
        Library("half_there", "half", ("half",)).load()


def test_a_broken_library_is_refused_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_there.py").write_text("raise OSError('libgomp.so.1 is missing')\n")
    with pytest.raises(ModelLoadError, match=r"cannot be imported: .*libgomp"):
        Library("broken_there", "broken", ("broken",)).load()


def test_an_installed_library_is_named_with_its_version() -> None:
    library = Library("numpy", "", ("no-such-distribution", "numpy"))
    assert library.load() is sys.modules["numpy"]
    assert library.version == f"numpy {library.load().__version__}"
    assert Library("nothing", "", ("no-such-distribution",)).version == ""


def test_versions_of_libraries_belong_to_what_was_measured_and_proven() -> None:
    assert library_versions()["onnx_onnxv1"].startswith("onnxruntime")
    assert library_of(OnnxRuntime()) is OnnxRuntime.library
    assert library_of(object()) is None
