"""Whether rows of several requests may share a run of an ONNX model, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.runtimes.row_proof.proof import RowProof, prove_rows

from .contract import VARIABLE, ModelLoadError
from .row_probe import probe

if TYPE_CHECKING:
    from penstock.runtimes.row_proof.graph import Graph

    from .contract import Signature
    from .onnx_model import OnnxModel
    from .onnx_observation import Observation

OVERRULE = "set batch_axis = true in the section [runtime] of model.toml if rows may share runs"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether rows of several requests may share a run, and the reason, for people."""

    batch_axis: bool
    reason: str


def rows_possible(signature: Signature) -> str:
    """Why axis 0 of the inputs cannot be rows; empty if it can."""
    required = [spec for spec in signature.inputs if not spec.optional]
    if not required:
        return "there is no input that a request must give"
    for spec in required:
        if spec.shape[:1] != (VARIABLE,):
            return f"axis 0 of input '{spec.name}' is not open: {list(spec.shape)}"
    return ""


def decide(
    candidate: OnnxModel,
    graph: Graph | str,
    observation: Observation,
    wanted: bool | None,  # noqa: FBT001  three values
    max_rows: int,
) -> Decision:
    """Decide by the owner's word, else by the graph, else by a probe; when in doubt, no.

    Args:
        candidate: The model, with a batch axis.
        graph: Its graph, or why that could not be read.
        observation: Its observed behaviour.
        wanted: The setting ``batch_axis``, if it was given.
        max_rows: Most rows of a run.

    Raises:
        ModelLoadError: A batch axis is demanded where there can be none.
    """
    signature = candidate.signature
    impossible = rows_possible(signature) or observation.contradiction()
    if wanted and impossible:
        raise ModelLoadError(f"batch_axis = true cannot be: {impossible}")
    if wanted is not None:
        return Decision(wanted, f"declared by batch_axis = {str(wanted).lower()}")
    if impossible:
        return Decision(batch_axis=False, reason=impossible)
    return _looked_into(candidate, graph, observation, max_rows)


def _looked_into(
    candidate: OnnxModel, graph: Graph | str, observation: Observation, max_rows: int
) -> Decision:
    """Decide by the graph, else by a probe."""
    proof = graph_proof(graph, candidate.signature)
    if proof.proven:
        return Decision(batch_axis=True, reason="proven by the graph")
    if proof.coupled:
        reason = f"rows influence each other: {proof.reason}"
    elif not observation.runs:
        reason = f"it accepts no made-up row, and its graph proves nothing: {proof.reason}"
    else:
        result = probe(candidate, max_rows)
        reason = f"{result.reason} (the graph proves nothing: {proof.reason})"
        if result.apart:
            return Decision(batch_axis=True, reason=reason)
    return Decision(batch_axis=False, reason=f"{reason}; {OVERRULE}")


def graph_proof(graph: Graph | str, signature: Signature) -> RowProof:
    """What the graph says of rows; nothing if there is only why it could not be read."""
    if isinstance(graph, str):
        return RowProof(proven=False, reason=graph)
    required = {spec.name: spec.shape for spec in signature.inputs if not spec.optional}
    optional = [spec.name for spec in signature.inputs if spec.optional]
    return prove_rows(graph, required, optional)
