"""The paths of predictions, and what each asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from penstock.server.codecs.protocols import INVOKE, TENSORS
from penstock.server.errors import InvalidRequest
from penstock.server.ports.paths import below, canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

#: ``/v2/models/{model}[/versions/{version}]/infer``
INFER_PATH: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
#: ``/v1/models/{model}[/versions/{version}|/labels/{alias}]:predict``
PREDICT_PATH: Final = re.compile(
    r"/v1/models/([^/:]+)(?:/(?:versions|labels)/([^/:]+))?:(predict|classify|regress)"
)
#: ``/models/{model}/invoke`` of SageMaker's endpoints with several models.
INVOKE_PATH: Final = re.compile(r"/models/([^/]+)/invoke")
#: Paths without a model: the default model is meant.
DEFAULT_PATHS: Final = frozenset(("/invocations", "/score"))
#: Stands for the default model.
DEFAULT_MODEL: Final = ""


class Target(NamedTuple):
    """What a prediction path asks for.

    Attributes:
        model: Name of the model, or `DEFAULT_MODEL`.
        version: Version or alias; ``None`` to let routing choose.
        protocol: The protocol of the path, see `penstock.server.codecs.protocols`.
    """

    model: str
    version: str | None = None
    protocol: str = TENSORS


def match_infer(path: str) -> Target | None:
    """What a prediction path asks for, or ``None`` for any other path.

    Args:
        path: As `penstock.server.ports.paths` reads it.
    """
    match = INFER_PATH.fullmatch(path)
    if match is not None:
        return Target(match[1], match[2])
    match = PREDICT_PATH.fullmatch(path)
    if match is not None:
        return Target(match[1], match[2], match[3])
    if path in DEFAULT_PATHS:
        return Target(DEFAULT_MODEL, None, INVOKE)
    match = INVOKE_PATH.fullmatch(path)
    return None if match is None else Target(match[1], None, INVOKE)


def match_target(target: bytes, root: str, routes: Mapping[str, str]) -> Target | None:
    """What a request target as sent asks for; a target with a query goes to the ASGI app.

    Args:
        target: In origin form.
        root: A root that a proxy in front may have left in the path.
        routes: As in `penstock.server.ports.border.Border`.
    """
    if b"?" in target or b"#" in target or not target.startswith(b"/"):
        return None
    try:
        path = below(canonical(target), root)
        return match_infer(routes.get(path, path))
    except InvalidRequest:  # the ASGI app answers with the reason
        return None
