"""A batch over a large file: bounded memory, and nothing lost or doubled by kills.

``PENSTOCK_BATCH_ROWS`` is the number of rows, ``PENSTOCK_BATCH_KILLS`` how often the job is killed.
"""

from __future__ import annotations

import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = int(os.environ.get("PENSTOCK_BATCH_ROWS", "400000"))
KILLS = int(os.environ.get("PENSTOCK_BATCH_KILLS", "3"))
#: Of the process of the job, in all: its libraries alone take about 100 MB.
MAX_BYTES = 300_000_000
GROUP = 1_000_000


@pytest.fixture
def server(tmp_path: Path, onnx_file: Callable[..., Path], live_server: Any) -> Iterator[Any]:
    onnx_file(
        tmp_path / "models" / "sum" / "1" / "model.onnx",
        [("Add", ["a", "b"], ["sum"])],
        [(name, "FLOAT", ["n", 1]) for name in "ab"],
        [("sum", "FLOAT", ["n", 1])],
    )
    with live_server(tmp_path / "models", threads=1) as running:
        yield running


def write(path: Path) -> None:
    rng = np.random.default_rng(1)
    schema = pa.schema([("id", pa.int64()), ("a", pa.float64()), ("b", pa.float64())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, ROWS, GROUP):
            count = min(GROUP, ROWS - first)
            ids = np.arange(first, first + count)
            columns = [ids, rng.normal(0, 9, count), rng.normal(0, 9, count)]
            writer.write_table(pa.table(columns, schema=schema))


def memory_of(command: list[str], work: Path, moment: Callable[[], float] | None) -> int:
    """Runs the job, or kills it a moment after it has put its next part on disk; its memory."""
    before = len(list(work.glob("*.part"))) if work.exists() else 0
    process = subprocess.Popen(command)
    most, kill_at = 0, math.inf
    while process.poll() is None:
        most = max(most, high_water(process.pid))
        if moment is not None and kill_at == math.inf and len(list(work.glob("*.part"))) > before:
            kill_at = time.monotonic() + moment()
        if time.monotonic() >= kill_at:
            process.kill()
        time.sleep(0.02)
    assert process.returncode in {0, -signal.SIGKILL if moment else 0}
    return most


def high_water(pid: int) -> int:
    """The most memory that a process had so far; 0 if it is over."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def test_a_large_file_takes_little_memory_and_survives_kills(server: Any, tmp_path: Path) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write(source)
    command = [sys.executable, "-m", "penstock.server.cli.main", "batch", "sum", str(source)]
    command += ["-o", str(output), "--key", "id", "--url", server.url]
    rng = random.Random(2)
    work = tmp_path / ".out.parquet.batch"
    for _ in range(KILLS):
        assert memory_of(command, work, lambda: rng.uniform(0, 0.5)) <= MAX_BYTES
    assert memory_of(command, work, None) <= MAX_BYTES
    assert not work.exists()
    ids, a, b = (column.to_numpy() for column in pq.read_table(source).columns)
    wanted = a.astype(np.float32) + b.astype(np.float32)
    first = 0
    for found in pq.ParquetFile(output).iter_batches(65_536):
        last = first + len(found)
        np.testing.assert_array_equal(found.column("id").to_numpy(), ids[first:last])
        np.testing.assert_array_equal(found.column("sum").to_numpy(), wanted[first:last])
        first = last
    assert first == ROWS
