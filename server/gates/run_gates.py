"""Runs the gates of a version: loads the version, and the one that serves, into this process.

A version is loaded as a worker loads it, with the same checks. Nothing of it is served.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import contained, text_of
from penstock.monitoring.files.decoding import pack
from penstock.server.config.config import ServerConfig
from penstock.server.config.model_config import ModelConfig, read_model_config
from penstock.server.files.config_error import ConfigError
from penstock.server.files.refusal import ModelRefused
from penstock.server.loading.load_order import LoadOrder
from penstock.server.loading.loading import Loader
from penstock.server.pipelines.pin_reader import pins_of
from penstock.server.pipelines.pipeline_runtime import StepModel

from .cost_gates import LATENCY, latency_gate, memory_gate
from .evaluation_gates import EVALUATION, evaluation_gates
from .gate_report import GateResult, Verdict
from .heldout import read_heldout
from .promise_gates import GOLDEN, SCHEMA, card_gate, golden_gate, schema_gate
from .robustness_gates import robustness_gate
from .subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array
    from penstock.server.isolation.link import Link
    from penstock.server.loading.load_order import LoadedModel

    from .gate_order import GatedVersion, GateOrder
    from .gate_report import GateReport
    from .heldout import HeldOut

#: Kinds of messages: the configuration of the server and the order, and the report.
ORDER: Final = 1
REPORT: Final = 2
LOAD: Final = "load"
#: Held-out rows that the gates of robustness and latency use.
_FEW: Final = 256
_MOST_CHARACTERS: Final = 1000


def serve(link: Link) -> None:
    """Run the gates of one order, and send the report."""
    config_text, path, order = pickle.loads(link.expect()[1])  # noqa: S301  from our own process
    sys.path[:] = path
    os.nice(5)
    report = run_gates(ServerConfig.from_json(config_text), order)
    link.send(REPORT, pack(report.to_json()))


def run_gates(
    config: ServerConfig, order: GateOrder, clock: Callable[[], float] = time.time
) -> GateReport:
    """The report of a version. It loads the version into this process.

    Args:
        config: Configuration of the server.
        order: What to run.
        clock: Unix seconds.
    """
    began = clock()
    loader = Loader(config)
    try:
        gates = _Gates(loader, config, order)
        results = tuple(gates.results())
    finally:
        loader.close()
    return order.report(results, data=gates.data, at=began, seconds=clock() - began)


class _Gates:
    """The gates of one order."""

    def __init__(self, loader: Loader, config: ServerConfig, order: GateOrder) -> None:
        self._loader = loader
        self._config = config
        self._order = order
        self._options = order.config.gates
        self.data = ""

    def results(self) -> Iterator[GateResult]:
        """The result of each gate that is asked for."""
        options = self._options
        if options.card:
            yield card_gate(self._order.card, options.card)
        try:
            loaded = self._load(self._order.subject)
        except Exception as error:  # noqa: BLE001  a plug-in may raise anything
            yield GateResult(LOAD, Verdict.FAILED, text_of(error)[:_MOST_CHARACTERS])
            return
        subject = self._subject(self._order.subject, loaded)
        incumbent = self._incumbent() if self._compares else None
        if options.schema:
            yield _answer(SCHEMA, lambda: schema_gate(subject, incumbent))
        if options.golden:
            place = self._order.subject.directory
            yield _answer(GOLDEN, lambda: golden_gate(place, subject, options.golden))
        heldout: HeldOut | None = None
        if (asked := options.evaluation) is not None:
            try:
                heldout = read_heldout(self._order.home / asked.data, asked)
                self.data = heldout.sha256
                feedback = self._order.config.feedback
                yield from evaluation_gates(heldout, subject, incumbent, asked, feedback)
            except (ModelRefused, OSError) as error:
                yield _failed(EVALUATION, error)
        rows = self._rows(subject, heldout, loaded)
        for trial in options.robustness:
            yield robustness_gate(trial, subject, rows)
        budgets = options.budgets
        if budgets.p99_milliseconds is not None:
            yield _answer(LATENCY, lambda: latency_gate(subject, rows, budgets))
        if budgets.memory_bytes is not None:
            yield memory_gate(loaded.memory.measured, budgets)

    @property
    def _compares(self) -> bool:
        evaluation = self._options.evaluation
        return self._options.schema or (evaluation is not None and evaluation.margin is not None)

    def _incumbent(self) -> Subject | None:
        version = self._order.incumbent
        if version is None or version.digest == self._order.subject.digest:
            return None
        with suppress(Exception):  # it serves, so this machine has no room for a second one
            return self._subject(version, self._load(version))
        return None

    def _load(self, version: GatedVersion) -> LoadedModel:
        order = self._order
        return contained(
            self._loader.load,
            LoadOrder(
                order.model,
                str(version.version),
                version.directory,
                order.config,
                accepted=True,  # what its golden requests say is a gate of its own
                declared=version.declared,
                limit_seconds=order.config.gates.timeout_seconds,
                steps=self._steps(version.directory),
            ),
        )

    def _steps(self, directory: Path) -> dict[tuple[str, int], StepModel]:
        """The loaded models of the steps of a pipeline; none for another model."""
        found = {}
        for pin in pins_of(directory):
            home = self._config.registry / pin.model
            step = LoadOrder(
                pin.model,
                str(pin.version),
                self._order.steps.get((pin.model, pin.version), home / str(pin.version)),
                _config_of(home),
                accepted=True,
            )
            loaded = self._loader.load(step)
            found[pin.model, pin.version] = StepModel(loaded.model, loaded.digest)
        return found

    def _subject(self, version: GatedVersion, loaded: LoadedModel) -> Subject:
        rows = self._order.config.batching.max_batch_size
        return Subject(self._order.model, version.version, loaded.model, loaded.signature, rows)

    @staticmethod
    def _rows(
        subject: Subject, heldout: HeldOut | None, loaded: LoadedModel
    ) -> Sequence[Array | None] | None:
        """Rows that the version takes: held-out ones, else those of its golden requests."""
        if heldout is not None:
            with suppress(ModelRefused):
                return subject.inputs_of(heldout.beginning(_FEW))
        return loaded.known_inputs


def _answer(gate: str, run: Callable[[], GateResult]) -> GateResult:
    try:
        return run()
    except (ModelRefused, OSError) as error:
        return _failed(gate, error)


def _failed(gate: str, error: Exception) -> GateResult:
    return GateResult(gate, Verdict.FAILED, text_of(error)[:_MOST_CHARACTERS])


def _config_of(home: Path) -> ModelConfig:
    path = home / "model.toml"
    try:
        return read_model_config(path) if path.exists() else ModelConfig()
    except ConfigError:
        return ModelConfig()
