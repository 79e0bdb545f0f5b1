"""An onnxruntime session that stands in front of another one."""

from __future__ import annotations

from typing import Any


class SessionWrapper:
    """Describes the model as the other ``onnxruntime.InferenceSession`` does; a subclass runs it.

    Args:
        session: The other session.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.get_inputs = session.get_inputs
        self.get_outputs = session.get_outputs
        self.get_overridable_initializers = session.get_overridable_initializers
        self.get_modelmeta = session.get_modelmeta
