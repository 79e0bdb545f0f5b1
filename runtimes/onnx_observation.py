"""What a model file leaves unsaid about its outputs, found out by running it once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .contract import VARIABLE
from .onnx_signature import is_zipmap
from .onnx_values import session_feed
from .synthetic import probe_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .contract import Signature


@dataclass(frozen=True, slots=True)
class Observation:
    """Facts that onnxruntime shows only in a result.

    Attributes:
        ranks: Number of dimensions of outputs that look like scalars because theirs is unknown.
        classes: Labels of each ZipMap output, in column order; empty if the model could not be run.
    """

    ranks: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, list[int | str]] = field(default_factory=dict)

    def complete(self, signature: Signature) -> Signature:
        """The signature with the observed ranks."""
        outputs = tuple(
            replace(spec, shape=(VARIABLE,) * self.ranks[spec.name])
            if spec.name in self.ranks
            else spec
            for spec in signature.outputs
        )
        return replace(signature, outputs=outputs)

    def metadata(self) -> dict[str, str]:
        """For each ZipMap output ``x`` the JSON list ``x.classes`` that names its columns."""
        return {
            f"{name}.classes": json.dumps(labels, ensure_ascii=False)
            for name, labels in self.classes.items()
            if labels
        }


def observe(session: Any, signature: Signature) -> Observation:
    """Run the model on one synthetic row if anything is left unsaid."""
    nodes = session.get_outputs()
    zipmaps = [node.name for node in nodes if is_zipmap(node)]
    rankless = [spec.name for spec in signature.outputs if not spec.shape]
    if not zipmaps and not rankless:
        return Observation()
    values = _sample(session, signature)
    return Observation(
        ranks={name: values[name].ndim for name in rankless if name in values},
        classes={
            name: [label for row in values.get(name, ())[:1] for label in row] for name in zipmaps
        },
    )


def _sample(session: Any, signature: Signature) -> dict[str, Any]:
    """Raw values by output name; empty if the model refuses all synthetic inputs."""
    names = [spec.name for spec in signature.outputs]
    for inputs in probe_inputs(signature, 1):
        try:
            values = session.run(names, session_feed(signature.inputs, inputs))
        except Exception:  # noqa: BLE001, S112  no common base class
            continue
        return dict(zip(names, values, strict=True))
    return {}
