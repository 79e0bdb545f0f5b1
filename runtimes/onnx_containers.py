"""Outputs that are sequences or optionals of tensors, as one tensor each.

A sequence of tensors of one shape is a tensor with one more dimension, its first. An optional that
has a value is its value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .contract import ModelExecutionError
from .onnx_session import SessionWrapper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .contract import Array

_CONTAINER: Final = re.compile(r"(seq|optional)\((tensor\(\w+\))\)")
_SEQUENCE: Final = "seq"


def element_type(kind: str) -> str:
    """The type of the tensors in a sequence or an optional; of another type, the type itself."""
    found = _CONTAINER.fullmatch(kind)
    return kind if found is None else found[2]


class ContainerSession(SessionWrapper):
    """An ``onnxruntime.InferenceSession`` whose sequences and optionals are given as tensors."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._kinds = {node.name: _kind(node) for node in session.get_outputs()}

    def run(
        self, outputs: Sequence[str] | None, feed: Mapping[str, Array], _options: None = None
    ) -> list[Any]:
        """As ``InferenceSession.run``.

        Raises:
            ModelExecutionError: A sequence has tensors of several shapes, or an optional no value.
        """
        names = list(self._kinds) if outputs is None else list(outputs)
        values = self._session.run(names, feed)
        return [
            _tensor(name, self._kinds[name], value)
            for name, value in zip(names, values, strict=True)
        ]


def with_containers(session: Any) -> Any:
    """The session, or one that makes tensors of its sequences and optionals."""
    containers = any(_kind(node) for node in session.get_outputs())
    return ContainerSession(session) if containers else session


def container_remarks(nodes: Sequence[Any]) -> tuple[str, ...]:
    """For people, how outputs that are no tensors are served."""
    return tuple(
        f"output '{node.name}' is of type {node.type}; it is served as "
        + ("one tensor, its parts along axis 0" if _kind(node) == _SEQUENCE else "its value")
        for node in nodes
        if _kind(node)
    )


def _kind(node: Any) -> str:
    found = _CONTAINER.fullmatch(node.type)
    return "" if found is None else found[1]


def _tensor(name: str, kind: str, value: Any) -> Any:
    if not kind:
        return value
    if kind != _SEQUENCE:
        if value is None:
            raise ModelExecutionError(f"output {name!r} is an optional without a value")
        return value
    if not value:
        raise ModelExecutionError(
            f"output {name!r} is a sequence without tensors, so it has no shape"
        )
    shapes = {part.shape for part in value}
    if len(shapes) > 1:
        listed = ", ".join(str(list(shape)) for shape in sorted(shapes))
        raise ModelExecutionError(
            f"output {name!r} is a sequence of tensors of the shapes {listed}; only tensors of one "
            "shape can be answered"
        )
    return np.stack(value)
