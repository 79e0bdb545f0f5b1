"""How much processor time a batch job takes beside the bare runtime.

    python tests/benchmarks/batch_throughput.py

A forest of XGBoost predicts the rows of a Parquet file, or of a CSV file (``--format csv``): by
its runtime alone, in runs of as many rows as the server's, and by ``penstock batch`` from file to
file. It prints rows for each second of processor time, of the worker and of the job together, and
their ratio. What the job takes to start is left out: a job of one row is run before.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import xgboost

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.xgboost.runtime import XgboostRuntime

COLUMNS = 30
#: The default of ``batching.max_batch_size``.
RUN_ROWS = 64
CLI = (sys.executable, "-m", "penstock.server.cli.main")


def train(path: Path, trees: int) -> None:
    """A regression of depth 6 on made-up rows."""
    generator = np.random.default_rng(trees)
    x = generator.standard_normal((4000, COLUMNS)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + generator.standard_normal(4000)
    params = {"max_depth": 6, "nthread": 1}
    path.parent.mkdir(parents=True)
    xgboost.train(params, xgboost.DMatrix(x, y), trees).save_model(path)


def bare(path: Path, rows: np.ndarray) -> float:
    """Processor seconds of the runtime for all rows."""
    model = XgboostRuntime().load(path, LoadOptions(threads=1))
    names = tuple(one.name for one in model.signature.outputs)
    for _ in range(50):
        model.execute([rows[:RUN_ROWS]], names)
    started = time.process_time()
    for first in range(0, len(rows), RUN_ROWS):
        model.execute([rows[first : first + RUN_ROWS]], names)
    return time.process_time() - started


def batch(home: Path, one: Path, source: Path) -> float:
    """Processor seconds of worker and job for all rows of a file but one."""
    command = [*CLI, "serve", str(home / "models"), "--port", "0", "--admin-port", "0"]
    command += ["--state-dir", str(home / "state")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        url = ""
        for line in server.stdout:
            found = re.search(r"(http://\S+)/docs", line)
            url = url or (found[1] if found else "")
            if line.startswith("  workers "):
                break
        spent = []
        for file in (one, one, source):  # the first waits until the model is loaded
            verb = [*CLI, "batch", "forest", str(file), "-o", str(home / f"out{source.suffix}")]
            before = of_workers(server.pid)
            job = subprocess.Popen([*verb, "--url", url], stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(job.pid, 0)
            job.returncode = os.waitstatus_to_exitcode(status)
            assert not job.returncode
            spent.append(used.ru_utime + used.ru_stime + of_workers(server.pid) - before)
        return spent[2] - spent[1]
    finally:
        server.terminate()
        server.wait()


def of_workers(pid: int) -> float:
    """Processor seconds of the workers below a process."""
    found = 0.0
    if b"server.worker.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return found + sum(of_workers(int(one)) for task in tasks for one in task.read_text().split())


def main() -> None:
    """Compare the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    arguments = parser.parse_args()
    write = {"parquet": pq.write_table, "csv": pyarrow.csv.write_csv}[arguments.format]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path = home / "models" / "forest" / "1" / "model.ubj"
        train(path, arguments.trees)
        rows = np.random.default_rng(1).standard_normal((arguments.rows, COLUMNS), np.float32)
        table = pa.table({f"f{at}": rows[:, at] for at in range(COLUMNS)})
        one, source = (home / f"{name}.{arguments.format}" for name in ("one", "in"))
        write(table[:1], one)
        write(table, source)
        alone, job = bare(path, rows), batch(home, one, source)
    sys.stdout.write(
        f"runtime {arguments.rows / alone:,.0f} rows/s, batch {arguments.rows / job:,.0f} rows/s\n"
        f"ratio {alone / job:.2f}\n"
    )


if __name__ == "__main__":
    main()
