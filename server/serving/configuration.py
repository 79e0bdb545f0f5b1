"""The configuration of a served version in the words of Triton's ``ModelConfig``.

Source: "Model Configuration Extension" of the documentation of the Triton Inference Server. Clients
read the largest batch, names, types and dimensions from it; ``dims`` leave out the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from penstock.runtimes.contract import TensorSpec

    from .servable import Servable


def model_configuration(servable: Servable, versions: Collection[str]) -> dict[str, Any]:
    """The configuration as JSON has it.

    Args:
        servable: The version described.
        versions: All loaded versions of the model.
    """
    signature = servable.signature
    batched = servable.wire.batch_axis
    options = servable.scheduled.options
    configuration: dict[str, Any] = {
        "name": servable.name,
        "platform": servable.platform,
        "version_policy": {"specific": {"versions": [int(one) for one in versions]}},
        "max_batch_size": options.max_batch_size if batched else 0,
        "input": [_tensor(one, batched=batched) for one in signature.inputs],
        "output": [_tensor(one, batched=batched) for one in signature.outputs],
        "model_transaction_policy": {"decoupled": False},
    }
    if batched:
        delay = round(options.max_hold_seconds * 1e6)
        configuration["dynamic_batching"] = {"max_queue_delay_microseconds": delay}
    return configuration


def _tensor(spec: TensorSpec, *, batched: bool) -> dict[str, Any]:
    """An input or an output; an optional input has no batch in its shape."""
    own = 1 if batched and not spec.optional else 0
    datatype = "STRING" if spec.datatype == "BYTES" else spec.datatype
    tensor: dict[str, Any] = {
        "name": spec.name,
        "data_type": f"TYPE_{datatype}",
        "dims": list(spec.shape[own:]),
    }
    return {**tensor, "optional": True} if spec.optional else tensor
