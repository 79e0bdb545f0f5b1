"""A copy by hand is taken when it is there, never before."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.files.listing import FileFact
from penstock.server.files.refusal import ModelRefused
from penstock.server.onnx_file.inspection import inspect_version
from penstock.server.registry.content import Content
from penstock.server.registry.copy_completeness import Step, check, look, sight

EXAMPLES = Path(__file__).parents[3] / "examples" / "registry"
WINDOW = 2.0
FILES = (FileFact("model.onnx", 5, 1),)
PLAIN = Content(())


def test_files_must_keep_still_for_the_window_before_they_are_read():
    sighting = sight(None, FILES, 100.0)
    assert "waiting" in check(sighting, 101.9, WINDOW).reason
    assert check(sighting, 102.0, WINDOW).step is Step.READ
    assert sight(sighting, FILES, 101.0) is sighting
    assert check(sight(None, (), 0.0), 9.0, WINDOW).reason == "there are no files yet"


def test_content_is_read_twice_a_window_apart():
    sighting = sight(None, FILES, 100.0).with_content(PLAIN, 103.0)
    assert "a second time" in check(sighting, 104.9, WINDOW).reason
    assert check(sighting, 105.0, WINDOW).step is Step.TAKE


def test_what_has_lain_there_is_taken_after_one_reading():
    sighting = sight(None, FILES, 100.0, unchanged_seconds=3600)
    assert check(sighting, 100.0, WINDOW).step is Step.READ
    assert check(sighting.with_content(PLAIN, 100.0), 100.0, WINDOW).step is Step.TAKE


def test_a_window_of_zero_takes_what_is_whole_at_once():
    sighting = sight(None, FILES, 100.0)
    assert check(sighting, 100.0, 0.0).step is Step.READ
    content = Content((), hole="h", zeros="z")
    assert check(sighting.with_content(content, 100.0), 100.0, 0.0).step is Step.TAKE


def test_a_clock_that_was_set_back_only_delays():
    sighting = sight(None, FILES, 100.0, unchanged_seconds=-3600)
    assert check(sighting, 102.0, WINDOW).step is Step.READ


@pytest.mark.parametrize(
    ("content", "seconds"),
    [(Content((), hole="w has a hole"), 600.0), (Content((), zeros="w has only zeros"), 60.0)],
)
def test_what_looks_unwritten_is_taken_in_the_end(content, seconds):
    sighting = sight(None, FILES, 0.0).with_content(content, 2.0)
    verdict = check(sighting, seconds - 0.1, WINDOW)
    assert verdict.step is Step.WAIT
    assert verdict.reason.startswith(content.hole or content.zeros)
    assert f"for {seconds:g} s" in verdict.reason
    assert check(sighting, seconds, WINDOW).step is Step.TAKE


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.01, 5)), min_size=1, max_size=20))
def test_nothing_is_read_before_it_kept_still_for_the_window(steps):
    now, changed, sighting, before = 0.0, 0.0, None, None
    for size, pause in steps:
        now += pause
        if size != before:
            before, changed = size, now
        sighting = sight(sighting, (FileFact("model.onnx", size, 0),), now)
        assert (check(sighting, now, WINDOW).step is Step.READ) == (now - changed >= WINDOW)


def test_a_growing_copy_is_not_whole_at_any_byte(version):
    content = (EXAMPLES / "breast-cancer/1/model.onnx").read_bytes()
    sighting, now = None, 0.0
    for size in range(0, len(content) + 1, 7):
        (version / "model.onnx").write_bytes(content[:size])
        now += WINDOW * 0.9
        sighting = sight(sighting, look(version), now)
        assert check(sighting, now, WINDOW).step is Step.WAIT


@pytest.mark.parametrize("name", ["breast-cancer/1", "digits/1"])
def test_a_copy_that_stands_still_is_not_taken_before_all_that_runs_is_there(version, name):
    """A model that was cut off is refused, however long nothing changes.

    The exception is the end of the file, after graph and operator sets: there a message that lacks
    whole metadata entries is a message, too. What runs is all there.
    """
    content = (EXAMPLES / name / "model.onnx").read_bytes()
    (version / "model.onnx").write_bytes(content)
    whole = inspect_version(version).summary
    taken = []
    step = max(1, len(content) // 3000)
    for size in sorted({*range(0, len(content), step), *range(len(content) - 3000, len(content))}):
        (version / "model.onnx").write_bytes(content[: max(size, 0)])
        try:
            found = inspect_version(version)
        except ModelRefused:
            continue
        part = found.summary
        if found.missing_imports:  # it may be whole, so it only has to keep still for longer
            doubtful = Content((), imports="no import")
            still = sight(None, look(version), 0.0).with_content(doubtful, 0.0)
            assert check(still, 3 * WINDOW, WINDOW).step is Step.WAIT
            assert check(still, 30 * WINDOW, WINDOW).step is Step.TAKE
            continue
        taken.append(size)
        assert part.operators == whole.operators
        assert part.tensor_bytes == whole.tensor_bytes
        assert part.metadata.items() < whole.metadata.items()
    assert len(taken) <= len(whole.metadata) + 1


def test_data_that_is_still_coming_is_waited_for(version, onnx_model, external):
    model = onnx_model(initializers=[external("w.bin")])
    (version / "model.onnx").write_bytes(model.SerializeToString())
    for size in range(16):
        (version / "w.bin").write_bytes(bytes(size))
        with pytest.raises(ModelRefused, match=r"w\.bin has"):
            inspect_version(version)
    (version / "w.bin").write_bytes(bytes(16))
    inspect_version(version)
