"""An MLflow model directory: where its model file is, its columns, and which run made it.

``MLmodel`` is YAML, read by PyYAML's base loader: it is its safe loader without tags, types and
merged keys. Each value is a text, a list or a mapping, and an alias is one more name of the same
object, so reading takes time and memory in proportion to the file, whatever is in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.config_file import read_bounded
from penstock.runtimes.contract import Column
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import check_relative

if TYPE_CHECKING:
    from pathlib import Path

MLMODEL_FILE: Final = "MLmodel"
#: Flavours whose model file is a data format, in the order in which they are looked for.
_FLAVORS: Final = ("onnx", "xgboost", "lightgbm", "catboost")

_SKLEARN: Final = "sklearn"

_MAX_BYTES: Final = 1 << 20
#: Keys, values and aliases; mlflow writes about a hundred, its signatures are one text each. PyYAML
#: takes half a second for so many.
_MAX_NODES: Final = 20_000
#: As a plain scalar, what YAML calls null.
_NULL: Final = ("", "~", "null")


@dataclass(frozen=True, slots=True)
class MlflowModel:
    """The content of an ``MLmodel`` file.

    Attributes:
        model_path: Model path of the model file, relative to the directory.
        run_id: Id of the run that logged it; empty if it does not say.
        columns: The columns of its signature; empty if it has none, or one of tensors.
    """

    model_path: str
    run_id: str
    columns: tuple[Column, ...] = ()


def read_mlflow_model(directory: Path) -> MlflowModel:
    """Read ``MLmodel``.

    Raises:
        ModelRefused: It is missing, is no YAML, or the model has no flavour that is a data format.
    """
    try:
        content = _mapping(_loaded(read_bounded(directory / MLMODEL_FILE, _MAX_BYTES).decode()))
    except (OSError, ValueError) as error:
        raise ModelRefused(
            f"{directory} is no MLflow model: {MLMODEL_FILE} cannot be read: {error}"
        ) from error
    flavors = _mapping(content.get("flavors"))
    paths = (_text(_mapping(flavors.get(one)).get("data")) for one in _FLAVORS)
    data = next(filter(None, paths), "") or _skops_of(_mapping(flavors.get(_SKLEARN)))
    if not data:
        raise ModelRefused(
            f"{directory} has the flavours {', '.join(sorted(flavors)) or 'none'}, expected onnx "
            "with the path of its file under data, or one of "
            f"{', '.join(_FLAVORS[1:])}, or sklearn in the format skops; log the model with "
            "mlflow.onnx.log_model, for example"
        )
    check_relative(data)
    inputs = _text(_mapping(content.get("signature")).get("inputs"))
    return MlflowModel(data, _text(content.get("run_id")), _columns(inputs))


def _skops_of(flavor: dict[str, Any]) -> str:
    """The file of a scikit-learn model, if it is one of skops: a pickle runs what it likes."""
    path = _text(flavor.get("pickled_model"))
    return path if path.endswith(".skops") else ""


def _columns(text: str) -> tuple[Column, ...]:
    """The columns of a signature, which is a list in JSON; empty unless all of them have names."""
    try:
        entries = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return ()
    if not isinstance(entries, list):
        return ()
    named = [one for one in entries if isinstance(one, dict) and isinstance(one.get("name"), str)]
    if len(named) < len(entries) or any(one.get("type") == "tensor" for one in named):
        return ()
    return tuple(Column(one["name"], missing=one.get("required") is False) for one in named)


def _loaded(text: str) -> Any:
    """The content of a YAML document.

    Raises:
        ValueError: It is none; the message names the line.
    """
    import yaml  # by `penstock push` of an MLflow model only

    class Loader(yaml.BaseLoader):
        nodes = 0

        def compose_node(self, parent: Any, index: int) -> Any:
            self.nodes += 1
            if self.nodes > _MAX_NODES:
                raise yaml.YAMLError(f"it has more than {_MAX_NODES} values")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - safer than the safe loader, see above
    except yaml.MarkedYAMLError as error:
        place = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise ValueError(f"{place}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _mapping(value: Any) -> dict[str, Any]:
    """A mapping with texts as keys; empty if the value is another one."""
    if not isinstance(value, dict):
        return {}
    return {key: one for key, one in value.items() if isinstance(key, str)}


def _text(value: Any) -> str:
    """A text; empty if the value is none, or null."""
    return value if isinstance(value, str) and value not in _NULL else ""
