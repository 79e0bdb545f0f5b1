"""A write to a standard stream never blocks."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import logging, os, sys
from penstock.server.config.config import ServerConfig
from penstock.server.processes.logs import configure_logs
configure_logs(ServerConfig(), "worker-0")
for _ in range(40_000):
    print("x" * 60)
os.write(2, b"native\\n")
logging.getLogger("penstock").warning("a record")
os.write(3, b"done")
"""
DEADLINE_SECONDS = 60


def run(code, stderr):
    reading, writing = os.pipe()
    code = f"import os\nos.dup2({writing}, 3)\n{code}"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=stderr, pass_fds=(writing,))
    os.close(writing)
    return process, reading


def test_a_log_that_nobody_reads_stops_neither_the_process_nor_its_end():
    reading, writing = os.pipe()
    process, done = run(CODE, writing)
    assert process.wait(DEADLINE_SECONDS) == 0
    assert os.read(done, 4) == b"done"
    for one in (reading, writing, done):
        os.close(one)


def test_words_of_others_stay_what_they_are(tmp_path):
    code = CODE.replace("40_000", "2") + "import time; time.sleep(0.5)"
    with (tmp_path / "log").open("w") as log:
        process, done = run(code, log)
        assert process.wait(DEADLINE_SECONDS) == 0
    os.close(done)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines.count("x" * 60) == 2
    assert "native" in lines
    assert [one for one in lines if one.endswith(" WARNING worker-0 a record")]
