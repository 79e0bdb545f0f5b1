"""Metadata, report and status say how a version is batched and why."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from rich.console import Console

from penstock.server.cli.look import status_view
from penstock.server.loading.memory_estimate import LoadMemory
from penstock.server.serving.catalog import Catalog, ServedModel
from penstock.server.serving.lifecycle import State
from penstock.server.serving.metadata import signature_notes
from penstock.server.worker.report import version_report

if TYPE_CHECKING:
    from collections.abc import Callable

from dataclasses import replace
from types import SimpleNamespace

from penstock.runtimes.contract import Signature, TensorSpec

X, Y = TensorSpec("x", "FP32", (-1, 2)), TensorSpec("y", "FP32", (-1, 2))
OFF = Signature((X,), (Y,), batch_axis=False, batching="rows meet", remarks=("y is odd",))


def test_the_metadata_of_a_model_say_it(any_server: Any, post: Callable[..., bytes]) -> None:
    answer = any_server.ask(b"GET /v2/models/two HTTP/1.1\r\nhost: penstock\r\n\r\n")
    parameters = json.loads(answer.body)["parameters"]
    assert (parameters["batching"], parameters["batching_reason"]) == ("on", "proven by the graph")
    answer = any_server.ask(b"GET /v2/models/whole HTTP/1.1\r\nhost: penstock\r\n\r\n")
    parameters = json.loads(answer.body)["parameters"]
    assert parameters["batching"] == "off"
    assert parameters["batching_reason"] == "axis 0 of input 'x' is not open: [2, 3]"


def test_reason_and_remarks_are_left_out_where_there_are_none() -> None:
    plain = replace(OFF, batch_axis=True, batching="", remarks=())
    assert signature_notes(plain) == {"rows": "axis 0", "batching": "on"}
    assert signature_notes(OFF)["remarks"] == "y is odd"


def test_workers_report_it_and_the_status_shows_what_is_off() -> None:
    catalog = Catalog(lambda: 0.0)
    for state in (State.LOADING, State.READY):
        catalog.move(("m", "1"), state)
    model = SimpleNamespace(signature=OFF)
    servable: Any = SimpleNamespace(version="1", model=model, memory=LoadMemory())
    catalog.publish(ServedModel("m", {"1": servable}, servable))
    (report,) = version_report(catalog, {}, {})
    told = {"rows_axis": False, "on": False, "reason": "rows meet", "remarks": ["y is odd"]}
    assert report["batching"] == told

    version = {
        "version": 1,
        "state": "READY",
        "reason": "",
        "default": True,
        "aliases": [],
        "traffic": None,
        "workers": {},
        "batching": told,
        "drift": {"state": "drift", "words": "changed: [age]"},
        "labels": {"state": "none", "words": "none"},
    }
    found = {
        "registry": "r",
        "generation": 1,
        "target": {"number": 1},
        "converged": True,
        "workers": [],
        "log": None,
        "problems": [],
        "state_note": "",
        "models": [{"name": "m", "default_set": {}, "rollout": None, "versions": [version]}],
    }
    console = Console(file=io.StringIO(), width=150)
    console.print(status_view(found))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "m version 1: batching is off: rows meet" in shown
    assert "m version 1: y is odd" in shown
    assert "changed: [age]" in shown
