"""``python -m penstock.loadtests URL MODEL``: load on a running server."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from .bench import BenchError, bench
from .encodings import V2
from .outcome import RunRefused


def main(arguments: list[str] | None = None) -> int:
    """Run `bench` and print its report; ends with 1 when the run is worth nothing."""
    parser = argparse.ArgumentParser(prog="python -m penstock.loadtests", description=__doc__)
    parser.add_argument("url", help="such as http://127.0.0.1:8000")
    parser.add_argument("model")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, help="per second: an open loop instead of a closed")
    parser.add_argument("--arrivals", default="poisson", help="or gamma:CV, on-off[:FACTOR]")
    parser.add_argument("--protocol", choices=tuple(V2), default="json")
    parser.add_argument("--rows", type=int, default=1, help="in each request")
    options = parser.parse_args(arguments)
    console = Console(stderr=False)
    try:
        report = bench(**vars(options))
    except (BenchError, RunRefused, ValueError) as error:
        console.print(f"no result: {error}", markup=False)
        return 1
    console.print(report.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
