"""An MLflow model directory: where its ONNX file is and which run made it.

``MLmodel`` is YAML as ``mlflow`` writes it, block style without anchors, tags or merged keys. The
few values wanted are plain scalars, found by the indentation of their keys; a YAML library with all
that it can construct is not needed for that. What was misread could only name another file in the
same directory, which is checked like any other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.config_file import read_bounded
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import check_relative

if TYPE_CHECKING:
    from pathlib import Path

MLMODEL_FILE: Final = "MLmodel"

_MAX_BYTES: Final = 1 << 20
_LINE: Final = re.compile(r"( *)([A-Za-z_][\w.-]*):(?: +(.*))?")


@dataclass(frozen=True, slots=True)
class MlflowModel:
    """What ``MLmodel`` says.

    Attributes:
        model_path: Of the ONNX file, relative to the directory.
        run_id: Of the run that logged it; empty if it does not say.
    """

    model_path: str
    run_id: str


def read_mlflow_model(directory: Path) -> MlflowModel:
    """Read ``MLmodel``.

    Raises:
        ModelRefused: It is missing, or the model has no ONNX flavour.
    """
    try:
        content = read_bounded(directory / MLMODEL_FILE, _MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelRefused(
            f"{directory} is no MLflow model: {MLMODEL_FILE} cannot be read: {error}"
        ) from error
    values = scalars(content)
    data = values.get(("flavors", "onnx", "data"))
    if data is None:
        found = sorted({path[1] for path in values if path[0] == "flavors" and len(path) > 1})
        raise ModelRefused(
            f"{directory} has the flavours {', '.join(found) or 'none'}, expected onnx; log the "
            "model with mlflow.onnx.log_model"
        )
    check_relative(data)
    return MlflowModel(data, values.get(("run_id",), ""))


def scalars(content: str) -> dict[tuple[str, ...], str]:
    """The text of every scalar in block mappings, by the path of its keys."""
    values: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []
    for line in content.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        indent, key, value = len(match[1]), match[2], (match[3] or "").strip()
        while path and path[-1][0] >= indent:
            path.pop()
        path.append((indent, key))
        if value and value != "null":
            values.setdefault(tuple(name for _, name in path), _unquoted(value))
    return values


def _unquoted(value: str) -> str:
    if value[0] == value[-1] == "'" and len(value) > 1:
        return value[1:-1].replace("''", "'")
    if value[0] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value.split(" #", 1)[0].rstrip()
