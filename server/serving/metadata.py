"""Metadata of the server and its models, as in the Open Inference Protocol v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.monitoring.distribution import server_version

from .lifecycle import REPOSITORY_STATES, State

if TYPE_CHECKING:
    from penstock.runtimes.contract import Column, Signature, TensorSpec

    from .catalog import Catalog
    from .servable import Servable

#: The protocol extensions that this server has.
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "parameters",
    "statistics",
)


def server_metadata() -> dict[str, Any]:
    """``GET /v2``."""
    return {"name": "penstock", "version": server_version(), "extensions": list(EXTENSIONS)}


def model_index(catalog: Catalog) -> list[dict[str, Any]]:
    """``GET /v2/models``: every version known here and its state."""
    default = {name: m.default.version for name, m in catalog.models.items() if m.default}
    return [
        {
            "name": name,
            "version": number,
            "state": status.state,
            "reason": status.told,
            "default": default.get(name) == number,
        }
        for (name, number), status in sorted(
            catalog.statuses.items(), key=lambda item: (item[0][0], int(item[0][1]))
        )
    ]


def repository_index(catalog: Catalog, *, ready: bool) -> list[dict[str, Any]]:
    """``POST /v2/repository/index``: as `model_index`, in the words of the repository extension.

    Args:
        catalog: Catalog of this process.
        ready: Only versions that serve.
    """
    return [
        {
            "name": name,
            "version": number,
            "state": REPOSITORY_STATES[status.state],
            "reason": status.told,
        }
        for (name, number), status in sorted(
            catalog.statuses.items(), key=lambda item: (item[0][0], int(item[0][1]))
        )
        if status.state is State.READY or not ready
    ]


def model_metadata(servable: Servable, versions: list[str]) -> dict[str, Any]:
    """``GET /v2/models/{m}[/versions/{v}]``.

    Args:
        servable: The version described.
        versions: All loaded versions of the model.
    """
    signature = servable.signature
    return {
        "name": servable.name,
        "versions": versions,
        "platform": servable.platform,
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec) for spec in signature.outputs],
        "parameters": {
            **servable.model.metadata,
            "version": servable.version,
            **signature_notes(signature),
        },
    }


def signature_notes(signature: Signature) -> dict[str, str]:
    """Notes on a signature: its axis 0, the reason for or against batching, wrong declarations."""
    notes = {
        "rows": "axis 0" if signature.rows_axis else "one per request",
        "batching": "on" if signature.batch_axis else "off",
    }
    if signature.batching:
        notes["batching_reason"] = signature.batching
    if signature.remarks:
        notes["remarks"] = "; ".join(signature.remarks)
    return notes


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    tensor: dict[str, Any] = {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(spec.shape),
    }
    parameters: dict[str, Any] = {"optional": True} if spec.optional else {}
    if spec.columns:
        parameters["columns"] = [_column(one) for one in spec.columns]
    return {**tensor, "parameters": parameters} if parameters else tensor


def _column(column: Column) -> dict[str, Any]:
    """A column without what does not hold for it."""
    described: dict[str, Any] = {"name": column.name}
    if column.categories is not None:
        described["categories"] = list(column.categories)
    if column.missing:
        described["missing"] = True
    return described
