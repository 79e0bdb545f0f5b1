"""The file of the target: decoded when it changes, kept while it cannot be understood."""

from __future__ import annotations

import logging

import pytest

from penstock.monitoring.files.decoding import ContentError, pack
from penstock.server.config.model_config import ModelConfig
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, decode_target, write_target
from penstock.server.target.target_file import TargetFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "target.msgpack"


@pytest.fixture
def decoded():
    return []


@pytest.fixture
def file(path, decoded):
    def decode(data):
        decoded.append(data)
        return decode_target(data)

    return TargetFile(path, decode, Target())


def target(number):
    return Target(number, {"m": ModelPlan("m", {}, None, {}, ModelConfig())})


def test_before_there_is_a_file_the_first_content_holds(file):
    assert file.current() == Target()


def test_each_target_is_decoded_once(file, path, decoded):
    for number in (1, 2):
        write_target(path, target(number))
        found = file.current()
        assert found == target(number)
        assert file.current() is found
    assert len(decoded) == 2


def test_a_file_that_goes_away_changes_nothing(file, path):
    write_target(path, target(1))
    assert file.current().number == 1
    path.unlink()
    assert file.current().number == 1


@pytest.mark.parametrize("content", [b"", b"\xc1", pack({"number": "x", "models": []}), pack([])])
def test_what_is_no_target_leaves_the_one_before_and_is_told_once(
    file, path, decoded, content, caplog
):
    write_target(path, target(1))
    file.current()
    decoded.clear()
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert [file.current().number for _ in range(3)] == [1, 1, 1]
    assert len(decoded) == 1
    assert caplog.text.count("the one before it holds") == 1
    write_target(path, target(2))
    assert file.current().number == 2


def test_a_file_that_cannot_be_read_is_tried_again(file, path, caplog):
    path.mkdir()
    with caplog.at_level(logging.WARNING):
        assert file.current() == Target()
    assert "cannot be read" in caplog.text
    path.rmdir()
    write_target(path, target(3))
    assert file.current().number == 3


def test_an_error_names_the_place():
    plan = {"name": "m", "versions": {1: "/a"}, "default": None, "aliases": {"stable": "x"}}
    content = pack({"number": 1, "models": [{**plan, "config": {}}]})
    with pytest.raises(ContentError) as caught:
        decode_target(content)
    expected = "the target: models[0].aliases.stable is 'x', expected a whole number"
    assert str(caught.value) == expected
