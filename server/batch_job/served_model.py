"""The model of a batch job, as the prediction port describes it."""

from __future__ import annotations

from typing import Any

from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.codecs.signature import WireSignature

from .job_failed import JobFailed


def read_model(described: dict[str, Any]) -> WireSignature:
    """The signature in the answer of ``GET /v2/models/{model}/versions/{version}``.

    Raises:
        JobFailed: The model takes no rows, or the answer is none of that kind.
    """
    try:
        name, parameters = described["name"], described["parameters"]
        signature = Signature(
            tuple(map(_spec, described["inputs"])),
            tuple(map(_spec, described["outputs"])),
            batch_axis=parameters["batching"] == "on",
            rows_axis=parameters["rows"] == "axis 0",
        )
        wire = WireSignature(signature, name, parameters["version"])
    except (KeyError, TypeError, AttributeError):
        raise JobFailed("the server does not describe the model as Penstock does") from None
    problem = wire.row_columns.problem
    if problem:
        raise JobFailed(f"model {name!r} takes no rows: {problem}")
    return wire


def _spec(tensor: dict[str, Any]) -> TensorSpec:
    parameters = tensor.get("parameters", {})
    return TensorSpec(
        tensor["name"],
        tensor["datatype"],
        tuple(tensor["shape"]),
        optional=parameters.get("optional", False),
        columns=tuple(map(_column, parameters.get("columns", ()))),
    )


def _column(column: dict[str, Any]) -> Column:
    categories = column.get("categories")
    return Column(
        column["name"],
        None if categories is None else tuple(categories),
        column.get("missing", False),
    )
