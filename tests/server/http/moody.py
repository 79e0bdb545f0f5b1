"""A model whose versions fail in every way there is, by the value they are asked about."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import plug_ins

from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec, UnsuitableInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, LoadOptions

#: Values that version 2 has its moods at; version 1 has none.
RAISE, NAN, SHORT, HANG, UNSUITABLE, SLOW = 100.0, 200.0, 300.0, 400.0, 500.0, 600.0
#: Both versions answer NaN.
HOLLOW = 700.0
#: Both versions fail from here on.
HOPELESS = 1000.0
SLOW_SECONDS = 0.05

#: Hanging runs go on when it is set.
LET_GO = threading.Event()


class MoodyModel:
    """FP32 [-1, 1]: gives its input back, times its version. Quick ones run on the event loop."""

    metadata: Mapping[str, str] = {}

    def __init__(self, version: int, name: str, seconds: float) -> None:
        self.signature = Signature(
            (TensorSpec(name, "FP32", (-1, 1)),),
            (TensorSpec("y", "FP32", (-1, 1)),),
            batch_axis=True,
        )
        self._version = version
        self._seconds = seconds

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        (x,) = inputs
        assert x is not None
        if self._seconds:
            time.sleep(self._seconds)
        y = x * self._version
        if (x >= HOPELESS).any():
            raise ModelExecutionError("hopeless")
        y[x == HOLLOW] = np.nan
        if self._version == 1:
            return [y]
        if (x == RAISE).any():
            raise ModelExecutionError("in a bad mood")
        if (x == UNSUITABLE).any():
            raise UnsuitableInput("do not ask me that")
        if (x == SLOW).any():
            time.sleep(SLOW_SECONDS)
        if (x == HANG).any():
            LET_GO.wait(60)
        y[x == NAN] = np.nan
        return [y[:-1] if (x == SHORT).any() else y]

    def unload(self) -> None:
        LET_GO.set()


class MoodyRuntime:
    """Installed by its entry point, as plug-ins are. The file says: version, input, seconds."""

    platform = "moody"

    def find(self, directory: Path) -> Path | None:
        path = directory / "model.moody"
        return path if path.exists() else None

    def load(self, path: Path, options: LoadOptions) -> MoodyModel:
        number, name, seconds = path.read_text().split()
        return MoodyModel(int(number), name, float(seconds))


def add_moody(registry: Path, model: str, names: Sequence[str], seconds: float) -> None:
    """Publish a version for each name of the input."""
    for number, name in enumerate(names, 1):
        version = registry / model / str(number)
        version.mkdir(parents=True)
        (version / "model.moody").write_text(f"{number} {name} {seconds}")
    (registry / model / "model.toml").write_text('signature = "any"\n')


@contextmanager
def installed(site: Path) -> Iterator[None]:
    """With the plug-in in place."""
    with plug_ins.installed(plug_ins.write_site(site, "moody", f"{__name__}:MoodyRuntime")):
        yield
