"""Files that people write: nothing in one can hang, exhaust or end its reader."""

from __future__ import annotations

import os
import socket
import time

import pytest

from penstock.monitoring.files.config_file import (
    MAX_BYTES,
    MAX_NUMBER,
    ConfigFileError,
    parse_toml,
    read_bounded,
    read_toml,
)


def test_what_an_editor_writes_is_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 'Z\xc3\xbcrich'\r\n[t]\r\nx = 1.5\r\n")
    assert read_toml(path) == {"name": "Zürich", "t": {"x": 1.5}}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "pipe, socket or device"),
        (lambda path: path.symlink_to("/dev/zero"), "pipe, socket or device"),
        (lambda path: path.symlink_to("/dev/tty"), "cannot be read|pipe, socket or device"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        (lambda path: path.write_bytes(b"#" * (MAX_BYTES + 1)), f"larger than {MAX_BYTES}"),
        (lambda path: path.touch() or os.truncate(path, 1 << 40), f"larger than {MAX_BYTES}"),
    ],
)
def test_what_is_no_small_regular_file_is_refused_at_once(tmp_path, make, reason):
    path = tmp_path / "a.toml"
    make(path)
    with pytest.raises(ConfigFileError, match=reason):
        read_toml(path)


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
        with pytest.raises(OSError, match="regular file"):
            read_bounded(tmp_path / "s")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = " + "[" * 100_000, "nested deeper"),
        ("a = " + "[" * 20 + "]" * 20, "nested deeper"),
        ("a = " + "{b = " * 900 + "1" + "}" * 900, "nested deeper"),
        ("a = " + "9" * 5_000, "not valid TOML"),
        ("a = 1" + "0" * 400, "whole number of 1329 bits"),
        ("a = -1" + "0" * 400, "whole number of 1329 bits"),
        (f"a = {MAX_NUMBER + 1}", "at most"),
        ("a = [1, nan]", "finite"),
        ("a = { b = -inf }", "a.b is -inf"),
        ("a = 1e999", "finite"),
        ("a" + ".a" * 100_000 + " = 1", "dots"),
        ("[" + "a" + ".a" * 100_000 + "]", "dots"),
        ("a = 1\na = 2", "not valid TOML"),
        ("\ud800", "UTF-8"),
    ],
)
def test_what_no_field_can_carry_is_refused_in_a_moment(text, reason):
    began = time.process_time()
    with pytest.raises(ConfigFileError, match=reason) as caught:
        parse_toml(text.encode("utf-8", "surrogatepass"))
    assert time.process_time() - began < 5
    assert len(str(caught.value)) < 500


def test_long_lists_of_numbers_are_no_nesting():
    values = ", ".join(f"{one}.5" for one in range(1000))
    assert len(parse_toml(f"a = [{values}]".encode())["a"]) == 1000
