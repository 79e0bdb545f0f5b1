"""What a pipeline file must say, and what is refused with the place and what was expected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from penstock.server.files.refusal import ModelRefused
from penstock.server.pipelines.inspection import inspect_pipeline
from penstock.server.pipelines.pin_reader import PinReader, pins_of
from penstock.server.pipelines.pins import LOCK_FILE, Pin, encode_lock, read_pipeline
from penstock.server.pipelines.pipeline_file import parse_pipeline

from .conftest import DIAMOND

if TYPE_CHECKING:
    from pathlib import Path


def step(name: str, *, model: str = '"m"', inputs: str = 'x = "request.x"', more: str = "") -> str:
    return f'[[steps]]\nname = "{name}"\nmodel = {model}\ninputs = {{{inputs}}}\n{more}\n'


def outputs(text: str = 'y = "a.y"') -> str:
    return f"[outputs]\n{text}\n"


def test_steps_come_after_the_steps_that_they_need() -> None:
    names = [one.name for one in parse_pipeline(DIAMOND.encode()).steps]
    assert names.index("last") == 3
    assert {*names[:2]} == {"left", "right"}


REFUSED = {
    "no steps": ("steps = []\n" + outputs(), "steps"),
    "no outputs": (step("a"), "outputs"),
    "empty outputs": (step("a") + "[outputs]\n", "outputs"),
    "not TOML": ("[[steps", "not valid TOML"),
    "an unknown key": (step("a", more="verison = 1") + outputs(), "verison"),
    "a step without inputs": (step("a", inputs="") + outputs(), "steps[0].inputs"),
    "a model that is no text": (step("a", model="1") + outputs(), "steps[0].model"),
    "a name with a dot": (step("a.b") + outputs(), "a step is called 'a.b'"),
    "the name of the request": (step("request") + outputs(), "not 'request'"),
    "two steps of one name": (step("a") + step("a") + outputs(), "2 steps are called 'a'"),
    "a source without a dot": (
        step("a", inputs='x = "x"') + outputs(),
        "steps.a.inputs.x is 'x', expected one of 'request.…', 'a.…'",
    ),
    "a source that is no step": (
        step("a", inputs='x = "b.x"') + outputs(),
        "steps.a.inputs.x is 'b.x'",
    ),
    "an output of the request": (step("a") + outputs('y = "request.x"'), "expected an output"),
    "a circle of two": (
        step("a", inputs='x = "b.y"') + step("b", inputs='x = "a.y"') + outputs(),
        "in a circle",
    ),
    "a step that needs itself": (step("a", inputs='x = "a.y"') + outputs(), "in a circle: a → a"),
    "version 0": (step("a", more="version = 0") + outputs(), "steps.a.version is 0"),
    "too many steps": ("".join(step(f"s{i}") for i in range(33)) + outputs(), "1 to 32 steps"),
    "too much fan-out": (
        step("a") + "".join(step(f"s{i}", inputs='x = "a.y"') for i in range(17)) + outputs(),
        "'a.y' is taken 18 times, at most 16",
    ),
    "too many inputs": (
        step("a", inputs=", ".join(f'x{i} = "request.x{i}"' for i in range(65))) + outputs(),
        "1 to 64",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_with_its_place(case: str) -> None:
    text, reason = REFUSED[case]
    with pytest.raises(ModelRefused) as raised:
        parse_pipeline(text.encode())
    assert reason in str(raised.value)
    assert str(raised.value).startswith("pipeline.toml: ")


SOUND = step("a", more="version = 3") + outputs()
PINS = (Pin("a", "m", 3, "sha256:1"),)


def put(directory: Path, text: str, lock: bytes | None = None) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "pipeline.toml").write_text(text)
    if lock is not None:
        (directory / LOCK_FILE).write_bytes(lock)
    return directory


def test_a_lock_gives_the_versions_and_digests(tmp_path: Path) -> None:
    put(tmp_path, step("a") + outputs(), encode_lock(PINS))
    assert read_pipeline(tmp_path)[1] == PINS
    assert pins_of(tmp_path) == PINS


def test_without_a_lock_the_file_names_each_version(tmp_path: Path) -> None:
    put(tmp_path, SOUND)
    assert read_pipeline(tmp_path)[1] == (Pin("a", "m", 3),)
    for said, what in (("", "no version"), ('version = "stable"', "version 'stable'")):
        put(tmp_path, step("a", more=said) + outputs())
        with pytest.raises(ModelRefused, match=f"step 'a' has {what}, expected a number"):
            read_pipeline(tmp_path)
        assert pins_of(tmp_path) == ()


LOCKS = {
    "another version": (Pin("a", "m", 4),),
    "another model": (Pin("a", "n", 3),),
    "another step": (Pin("b", "m", 3),),
    "one step too many": (*PINS, Pin("b", "m", 3)),
    "one step twice": (*PINS, *PINS),
    "no steps": (),
}


@pytest.mark.parametrize("case", LOCKS)
def test_a_lock_of_another_pipeline_is_refused(tmp_path: Path, case: str) -> None:
    put(tmp_path, SOUND, encode_lock(LOCKS[case]))
    with pytest.raises(ModelRefused, match=r"pipeline\.lock\.json is not of this pipeline\.toml"):
        inspect_pipeline(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", json.dumps({"format": 2, "steps": []}).encode(), b" " * (1 << 17)],
)
def test_a_broken_lock_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, SOUND, content)
    with pytest.raises(ModelRefused, match=r"^pipeline\.lock\.json"):
        inspect_pipeline(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("helper.py", b"pass", "is code"),
        ("weights.pkl", b"x", "may run code"),
        ("notes.txt", b"PK\x03\x04", "is an archive"),
        ("model.onnx", b"x", "beside pipeline.toml"),
    ],
)
def test_files_that_are_no_data_are_refused(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    put(tmp_path, SOUND)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelRefused, match=reason):
        inspect_pipeline(tmp_path)


def test_links_are_not_followed_out_of_the_version(tmp_path: Path) -> None:
    put(tmp_path / "other", SOUND)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "pipeline.toml").symlink_to(tmp_path / "other" / "pipeline.toml")
    with pytest.raises(ModelRefused, match="symbolic link"):
        inspect_pipeline(tmp_path / "1")


def test_a_reader_reads_unchanged_files_once(tmp_path: Path) -> None:
    reader = PinReader()
    put(tmp_path, SOUND)
    assert reader.read(tmp_path, "d1") == (Pin("a", "m", 3),)
    put(tmp_path, SOUND.replace("3", "4"))
    assert reader.read(tmp_path, "d1")[0].version == 3
    assert reader.read(tmp_path, "d2")[0].version == 4
    reader.keep({(tmp_path, "d2")})
    assert reader.read(tmp_path, "d1")[0].version == 4
