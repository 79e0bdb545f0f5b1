"""A copy by hand is taken when it is there, never before."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.registry.inspection import inspect_version
from penstock.server.registry.refusal import ModelRefused
from penstock.server.registry.safe_files import FileFact
from penstock.server.registry.stability import judge, look, sight

EXAMPLES = Path(__file__).parents[3] / "examples" / "registry"
WINDOW = 2.0


def fine():
    return None


def test_files_must_keep_still_for_the_window():
    files = (FileFact("model.onnx", 5, 1),)
    sighting = sight(None, files, 100.0)
    assert "waiting" in judge(sighting, 101.9, WINDOW, fine).reason
    assert judge(sighting, 102.0, WINDOW, fine).ready
    assert sight(sighting, files, 101.0) is sighting


def test_what_has_lain_there_is_taken_at_once():
    sighting = sight(None, (FileFact("model.onnx", 5, 1),), 100.0, unchanged_seconds=3600)
    assert judge(sighting, 100.0, WINDOW, fine).ready


def test_a_clock_that_was_set_back_only_delays():
    sighting = sight(None, (FileFact("model.onnx", 5, 1),), 100.0, unchanged_seconds=-3600)
    assert judge(sighting, 102.0, WINDOW, fine).ready


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.01, 5)), min_size=1, max_size=20))
def test_ready_means_unchanged_for_the_window(steps):
    now, changed, sighting, before = 0.0, 0.0, None, None
    for size, pause in steps:
        now += pause
        if size != before:
            before, changed = size, now
        sighting = sight(sighting, (FileFact("model.onnx", size, 0),), now)
        assert judge(sighting, now, WINDOW, fine).ready == (now - changed >= WINDOW)


def test_the_model_is_not_read_while_files_change():
    def unread():
        raise AssertionError("read too early")

    sighting = sight(None, (FileFact("model.onnx", 5, 1),), 0.0)
    assert not judge(sighting, 1.0, WINDOW, unread).ready
    assert not judge(sight(None, (), 0.0), 9.0, WINDOW, unread).ready


def test_what_is_refused_says_why():
    def refuse():
        raise ModelRefused("no graph")

    verdict = judge(sight(None, (FileFact("model.onnx", 5, 1),), 0.0), 9.0, WINDOW, refuse)
    assert (verdict.ready, verdict.reason, verdict.refused) == (False, "no graph", True)


def test_a_growing_copy_is_not_taken_at_any_byte(version):
    """One byte more at each look, none of them within the window of the last."""
    content = (EXAMPLES / "breast-cancer/1/model.onnx").read_bytes()
    sighting, now = None, 0.0
    for size in range(len(content) + 1):
        (version / "model.onnx").write_bytes(content[:size])
        now += WINDOW * 0.9
        sighting = sight(sighting, look(version), now)
        assert not judge(sighting, now, WINDOW, lambda: inspect_version(version)).ready
    assert judge(sighting, now + WINDOW, WINDOW, lambda: inspect_version(version)).ready


@pytest.mark.parametrize("name", ["breast-cancer/1", "digits/1"])
def test_a_copy_that_stands_still_is_not_taken_before_all_that_runs_is_there(version, name):
    """A model that was cut off is refused, however long nothing changes.

    The exception is the end of the file, after graph and operator sets: there a message that lacks
    whole metadata entries is a message, too. What runs is all there.
    """
    content = (EXAMPLES / name / "model.onnx").read_bytes()
    (version / "model.onnx").write_bytes(content)
    whole = inspect_version(version).outline
    taken = []
    step = max(1, len(content) // 3000)
    for size in sorted({*range(0, len(content), step), *range(len(content) - 3000, len(content))}):
        (version / "model.onnx").write_bytes(content[: max(size, 0)])
        try:
            part = inspect_version(version).outline
        except ModelRefused:
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
        verdict = judge(
            sight(None, look(version), 0.0), 9.0, WINDOW, lambda: inspect_version(version)
        )
        assert "w.bin has" in verdict.reason
    (version / "w.bin").write_bytes(bytes(16))
    assert judge(
        sight(None, look(version), 0.0), 9.0, WINDOW, lambda: inspect_version(version)
    ).ready
