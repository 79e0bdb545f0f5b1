"""``python -P traced.py TRACE -m MODULE ...``: runs a module of the project, and traces it.

The processes of the server that it starts are traced like it.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from penstock.monitoring import distribution

sys.path.insert(0, str(Path(__file__).parent))  # `tracer`

from tracer import Tracer


def main(trace: str, module: str, arguments: list[str]) -> None:
    """Run the module as ``python -m`` does."""

    def command(*inner: str) -> list[str]:
        return [sys.executable, "-P", __file__, trace, *inner]

    distribution.python_command = command
    sys.argv = [module, *arguments]
    tracer = Tracer(Path(trace), module.rpartition(".")[2])
    tracer.install()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3], sys.argv[4:])
