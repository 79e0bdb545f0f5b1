"""From drift to a better model, with no person: two circles on this machine.

python examples/loop/run.py             a good circle, then one whose new model is worse
python examples/loop/run.py --times 10  ten of each, each pair with a new server

Exit status 1: a step did not happen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from circles import both_circles
from stage import Stage, StepMissing


def main() -> int:
    """Run the circles; returns the exit status."""
    parser = argparse.ArgumentParser(description="Two circles from drift to a better model.")
    parser.add_argument("--times", type=int, default=1, help="pairs of circles")
    times = parser.parse_args().times
    done = 0
    for number in range(times):
        with tempfile.TemporaryDirectory(prefix="penstock-loop-") as place:
            try:
                both_circles(Stage(Path(place), seed=number))
            except (StepMissing, OSError, subprocess.SubprocessError) as error:
                print(f"MISSING: {error}", flush=True)
                log = Path(place) / "server.log"
                print(log.read_text()[-4000:] if log.exists() else "no log", file=sys.stderr)
                break
            done += 1
    print(f"{done} of {times}: {done} good promotions, {done} refusals of a worse model")
    return 0 if done == times else 1


if __name__ == "__main__":
    sys.exit(main())
