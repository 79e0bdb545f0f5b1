"""Bars of progress: on a terminal only, and on standard error."""

from __future__ import annotations

import os
import pty
from contextlib import contextmanager, redirect_stderr

from penstock.server.cli import progress
from penstock.server.cli.main import main


@contextmanager
def terminal():
    """Standard error is a terminal in the block; gives a function for what was written to it.

    No fixture: between the phases of a test pytest puts its own stream there.
    """
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream, redirect_stderr(stream):

        def shown():
            stream.flush()
            os.set_blocking(ours, False)
            try:
                return os.read(ours, 1 << 20).decode(errors="replace")
            except BlockingIOError:
                return ""

        yield shown
    os.close(ours)


def test_what_is_counted_is_shown_on_a_terminal():
    with terminal() as shown:
        with progress.count_bar("rows of the file", 3) as count:
            count(3)
        assert "rows of the file" in shown()


def test_bytes_are_shown_on_a_terminal_if_there_are_many():
    with terminal() as shown:
        with progress.byte_bar("copying little", 1 << 20) as count:
            count(1 << 20)
        assert shown() == ""
        with progress.byte_bar("copying much", 1 << 30) as count:
            count(1 << 29)
        assert "copying much" in shown()


def test_a_pipe_gets_no_bar(capsys):
    with progress.count_bar("rows", 3) as count, progress.byte_bar("bytes", 1 << 30) as copied:
        count(3)
        copied(1 << 30)
    assert capsys.readouterr() == ("", "")


def rows(path, count):
    path.write_text("\n".join(["a,b", *(f"{n},{n % 7}" for n in range(count))]))
    return path


def test_a_baseline_shows_its_rows_on_a_terminal(tmp_path, capsys):
    file = rows(tmp_path / "rows.csv", 500)
    built = tmp_path / "baseline.json"
    with terminal() as shown:
        assert main(["baseline", "build", "m", "1", str(file), "--output", str(built)]) == 0
        assert "rows, read twice" in shown()
    assert "500 rows" in capsys.readouterr().out
